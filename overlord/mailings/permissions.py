"""The permissions of staff for messages to buyers."""

from enum import StrEnum


class Permission(StrEnum):
    """Permissions as Django names them: the app, and the codename in the Meta of a model."""

    SEND_MESSAGES = "mailings.send_messages"
