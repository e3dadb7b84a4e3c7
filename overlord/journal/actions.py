"""The actions that the journal records, each with the sentence that people read.

To add an action, add its sentence here and a translation in each language. A sentence may have placeholders for the
facts of its entry, such as `%(count)s`. Actions that another table records (a refund, a note, an edit in the admin)
are not listed here: the page of the journal reads them from that table.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext_lazy as _lazy


class Action(StrEnum):
    """The actions. Entries keep the value of an action for ever, so a value never changes."""

    EVENT_MADE = "event_made"
    EVENT_EDITED = "event_edited"
    EVENT_COPIED = "event_copied"
    EVENT_PUBLISHED = "event_published"
    EVENT_UNPUBLISHED = "event_unpublished"
    PICTURE_SET = "picture_set"
    PICTURE_REMOVED = "picture_removed"
    SALE_PAUSED = "sale_paused"
    SALE_RESUMED = "sale_resumed"
    LOOK_CHANGED = "look_changed"
    LOGO_CHANGED = "logo_changed"
    EVENTS_LOADED = "events_loaded"
    CODES_MADE = "codes_made"
    CODE_CHANGED = "code_changed"
    CODE_ENDED = "code_ended"
    CODE_REOPENED = "code_reopened"
    CODES_DOWNLOADED = "codes_downloaded"
    KEY_ROTATED = "key_rotated"
    ATTENDEES_DOWNLOADED = "attendees_downloaded"
    INCIDENT_CLOSED = "incident_closed"
    CHARGE_PAID_BACK = "charge_paid_back"
    CHARGE_CLOSED = "charge_closed"
    ROLES_MADE = "roles_made"
    MESSAGE_SENT = "message_sent"
    MESSAGE_TRIED_AGAIN = "message_tried_again"
    STAFF_INVITED = "staff_invited"
    INVITATION_SENT_AGAIN = "invitation_sent_again"
    INVITATION_WITHDRAWN = "invitation_withdrawn"
    INVITATION_ACCEPTED = "invitation_accepted"
    STAFF_ROLES_CHANGED = "staff_roles_changed"
    STAFF_ACCESS_ENDED = "staff_access_ended"
    SECOND_FACTOR_SET = "second_factor_set"
    BACKUP_CODES_MADE = "backup_codes_made"
    SECOND_FACTOR_RESET = "second_factor_reset"
    PERSON_EXPORTED = "person_exported"
    PERSON_ERASED = "person_erased"


SENTENCES: dict[str, Any] = {
    Action.EVENT_MADE: _lazy("Created the event"),
    Action.EVENT_EDITED: _lazy("Edited the event"),
    Action.EVENT_COPIED: _lazy("Created the event as a copy of event %(source)s"),
    Action.EVENT_PUBLISHED: _lazy("Put the event on sale"),
    Action.EVENT_UNPUBLISHED: _lazy("Changed the event back to a draft"),
    Action.PICTURE_SET: _lazy("Set the picture of the event"),
    Action.PICTURE_REMOVED: _lazy("Removed the picture of the event"),
    Action.SALE_PAUSED: _lazy("Paused the sale"),
    Action.SALE_RESUMED: _lazy("Resumed the sale"),
    Action.LOOK_CHANGED: _lazy("Changed the shop settings"),
    Action.LOGO_CHANGED: _lazy("Changed the logo of the shop"),
    Action.EVENTS_LOADED: _lazy("Loaded %(count)s events from a file and put them on sale"),
    Action.CODES_MADE: _lazy("Created %(count)s codes of the event (first code: %(code)s)"),
    Action.CODE_CHANGED: _lazy("Changed the code %(code)s of the event"),
    Action.CODE_ENDED: _lazy("Ended the code %(code)s of the event"),
    Action.CODE_REOPENED: _lazy("Made the code %(code)s of the event usable again"),
    Action.CODES_DOWNLOADED: _lazy("Downloaded the list of codes of the event"),
    Action.KEY_ROTATED: _lazy("Changed the key that signs tickets"),
    Action.ATTENDEES_DOWNLOADED: _lazy("Downloaded the list of attendees"),
    Action.INCIDENT_CLOSED: _lazy("Closed an incident about payment %(payment)s"),
    Action.CHARGE_PAID_BACK: _lazy("Refunded charge %(charge)s, which belongs to no payment"),
    Action.CHARGE_CLOSED: _lazy("Closed charge %(charge)s, which belongs to no payment"),
    Action.ROLES_MADE: _lazy("Created the default roles, or gave them their missing permissions"),
    Action.MESSAGE_SENT: _lazy("Sent message %(message)s to %(count)s people"),
    Action.MESSAGE_TRIED_AGAIN: _lazy("Tried again to send message %(message)s to %(count)s people"),
    Action.STAFF_INVITED: _lazy("Invited %(address)s to work as %(role)s"),
    Action.INVITATION_SENT_AGAIN: _lazy("Sent the invitation for %(address)s to work as %(role)s again"),
    Action.INVITATION_WITHDRAWN: _lazy("Withdrew the invitation for %(address)s to work as %(role)s"),
    Action.INVITATION_ACCEPTED: _lazy("Accepted an invitation to work as %(role)s"),
    Action.STAFF_ROLES_CHANGED: _lazy("Changed the roles of a person to: %(roles)s"),
    Action.STAFF_ACCESS_ENDED: _lazy("Ended the access of a person"),
    Action.SECOND_FACTOR_SET: _lazy("Set up a second factor"),
    Action.BACKUP_CODES_MADE: _lazy("Created new backup codes for the second factor"),
    Action.SECOND_FACTOR_RESET: _lazy("Reset the second factor of a person"),
    Action.PERSON_EXPORTED: _lazy("Exported the data that is kept about a person"),
    Action.PERSON_ERASED: _lazy("Erased the data of a person"),
}


# The sentences of entries whose `count` is 1.
SENTENCES_OF_ONE: dict[str, Any] = {
    Action.EVENTS_LOADED: _lazy("Loaded an event from a file and put it on sale"),
    Action.CODES_MADE: _lazy("Created the code %(code)s of the event"),
    Action.MESSAGE_SENT: _lazy("Sent message %(message)s to one person"),
    Action.MESSAGE_TRIED_AGAIN: _lazy("Tried again to send message %(message)s to one person"),
}


class _Known(dict[str, Any]):
    """The facts of an entry. A missing fact, such as an erased one, is shown as three dots."""

    def __missing__(self, name: str) -> str:
        return "…"


def sentence(action: str, facts: Mapping[str, Any]) -> str:
    """Return the sentence of an entry, in the reader's language.

    If this version does not know the action, because a later version wrote the entry, return the action's name.
    """
    text = SENTENCES_OF_ONE.get(action) if facts.get("count") == 1 else None
    text = text or SENTENCES.get(action)
    if text is None:
        return action.replace("_", " ")
    words = {
        name: ", ".join(map(str, value)) if isinstance(value, list) else value
        for name, value in facts.items()
    }
    return str(text) % _Known(words)


def label(action: str) -> str:
    """Return the text for an action in a list of actions: its sentence, with three dots for each fact."""
    return sentence(action, {})
