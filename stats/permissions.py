"""What staff may be allowed to see of the figures."""

from enum import StrEnum


class Permission(StrEnum):
    """Permissions as Django names them: the app, and the codename in the Meta of a model."""

    VIEW_STATS = "stats.view_stats"
    VIEW_MONITOR = "stats.view_monitor"
