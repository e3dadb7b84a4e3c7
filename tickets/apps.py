from django.apps import AppConfig


class TicketsConfig(AppConfig):
    name = "tickets"

    def ready(self) -> None:
        from realtime import streams
        from tickets import projections

        streams.register("event", access="public", project=projections.project_events)
        streams.register("events", access="public", project=projections.project_next_events, interval=1.0)
