"""The permissions of staff for lines."""

from enum import StrEnum


class Permission(StrEnum):
    """Permissions as Django names them: the app, and the codename in the Meta of a model."""

    CONTROL_LINE = "line.control_line"
