"""The permissions of staff for the figures."""

from enum import StrEnum


class Permission(StrEnum):
    """The permissions by the names that Django gives them: the app, and the codename in the Meta of a model."""

    VIEW_STATS = "stats.view_stats"
    VIEW_MONITOR = "stats.view_monitor"
