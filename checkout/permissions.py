"""The permissions of staff for orders and money, besides those that Django makes for each model."""

from enum import StrEnum


class Permission(StrEnum):
    """Permissions as Django names them: the app, and the codename in the Meta of a model."""

    MANAGE_ORDERS = "checkout.manage_orders"
    VIEW_ATTENDEES = "checkout.view_attendees"
    SELL = "checkout.sell_at_counter"
    CANCEL_EVENT = "checkout.cancel_event"
    REFUND = "checkout.refund_payment"
    RETRY_REFUND = "checkout.retry_refund"
    CLOSE_INCIDENT = "checkout.close_incident"


# An action that needs one of these also needs a second factor, if the setting STAFF_SECOND_FACTOR says so.
MOVES_MONEY = (Permission.REFUND, Permission.RETRY_REFUND, Permission.CANCEL_EVENT, Permission.SELL)
