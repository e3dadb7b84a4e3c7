"""The monitor's words for what happens in a sale, and for the states of sales and lines.

The page passes them to its script.
"""

from django.utils.translation import gettext as _


def feed() -> dict[str, str]:
    """Return the labels of the activity feed. The keys are the values of `what` in `sql/feed.sql`."""
    return {
        "reserved": _("Reserved"),
        "paid": _("Paid"),
        "failed": _("Payment failed"),
        "expired": _("Reservation expired"),
        "released": _("Released"),
        "returned": _("Back on sale"),
    }


def sales() -> dict[str, str]:
    """Return the labels of an event's sale, by the status that the monitor gives it."""
    return {
        "open": _("On sale"),
        "all_held": _("All reserved"),
        "sold_out": _("Sold out"),
        "line": _("Through the line"),
        "paused": _("Paused"),
        "upcoming": _("Not open yet"),
        "ended": _("Ended"),
        "cancelled": _("Cancelled"),
    }


def lines() -> dict[str, str]:
    """Return the labels of a line, by the status that the monitor gives it."""
    return {
        "lobby": _("People can join"),
        "serving": _("Giving out tickets"),
        "open": _("Nobody is waiting"),
        "held": _("Paused by staff"),
        "standing": _("Waiting for tickets"),
    }
