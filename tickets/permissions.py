"""The permissions of staff for events and reservations, besides those that Django makes for each model."""

from enum import StrEnum


class Permission(StrEnum):
    """Permissions as Django names them: the app, and the codename in the Meta of a model."""

    MANAGE_EVENTS = "tickets.manage_events"
    PAUSE_SALE = "tickets.pause_sale"
    RETURN_TICKETS = "tickets.return_tickets"
