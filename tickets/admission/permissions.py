"""The permissions of staff at the door."""

from enum import StrEnum


class Permission(StrEnum):
    """Permissions as Django names them: the app, and the codename in the Meta of a model."""

    USE_DOOR = "admission.use_door"
    UNDO_ADMISSION = "admission.undo_admission"
