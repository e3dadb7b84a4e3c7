"""Register the stream of the monitor."""

from django.apps import AppConfig

REFRESH_SECONDS = 1.0  # while the stream has subscribers


class StatsConfig(AppConfig):
    name = "stats"

    def ready(self) -> None:
        from realtime import streams
        from stats import projections
        from stats.permissions import Permission

        streams.register(
            streams.Kind.STATS,
            access=streams.Access.STAFF,
            permission=Permission.VIEW_MONITOR,
            project=projections.project_monitor,
            interval=REFRESH_SECONDS,
            refresh=REFRESH_SECONDS,
        )
