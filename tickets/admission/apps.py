"""Register the live streams of doors and of tickets."""

from django.apps import AppConfig


class AdmissionConfig(AppConfig):
    name = "tickets.admission"
    verbose_name = "Admission"

    def ready(self) -> None:
        from realtime import streams
        from tickets.admission import links, projections
        from tickets.admission.permissions import Permission

        streams.register(
            streams.Kind.DOOR,
            access=streams.Access.STAFF,
            project=projections.project_doors,
            interval=projections.UPDATE_SECONDS,
            refresh=projections.REFRESH_SECONDS,
            permission=Permission.USE_DOOR,
        )
        streams.register(
            streams.Kind.TICKETS,
            access=streams.Access.LINK,
            project=projections.project_tickets,
            link_read=links.stream_read,
        )
