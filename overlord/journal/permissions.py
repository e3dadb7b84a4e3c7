"""The permissions of staff for the journal."""

from enum import StrEnum


class Permission(StrEnum):
    """Permissions as Django names them: the app, and the codename in the Meta of a model."""

    VIEW_JOURNAL = "journal.view_journal"
