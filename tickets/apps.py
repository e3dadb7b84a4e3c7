"""Register the live streams of one event and of all events."""

from django.apps import AppConfig


class TicketsConfig(AppConfig):
    name = "tickets"

    def ready(self) -> None:
        from realtime import streams
        from tickets import projections

        streams.register(streams.Kind.EVENT, access=streams.Access.PUBLIC, project=projections.project_events)
        streams.register(
            streams.Kind.EVENTS,
            access=streams.Access.PUBLIC,
            project=projections.project_next_events,
            interval=1.0,
        )
