"""Register the live stream of lines, and let entries follow a guest to an account.

Also let the deletion of an event lock the event's line.
"""

from django.apps import AppConfig


class LineConfig(AppConfig):
    name = "tickets.line"
    verbose_name = "Line"

    def ready(self) -> None:
        from overlord.accounts import guests
        from realtime import streams
        from tickets import operations as tickets
        from tickets.line import operations, projections, services

        streams.register(streams.Kind.LINE, access=streams.Access.PUBLIC, project=projections.project_lines)
        guests.register_follower(services.entries_follow)
        tickets.register_deletion_lock(operations.line_lock)
