"""What the monitor calls what happened, and the states of a sale. The page passes both to its JavaScript."""

from django.utils.translation import gettext as _


def happenings() -> dict[str, str]:
    """Return the labels of the activity feed, by what happened."""
    return {
        "reserved": _("Reserved"),
        "paid": _("Paid"),
        "failed": _("Payment failed"),
        "expired": _("Hold expired"),
        "released": _("Released"),
        "returned": _("Back on sale"),
    }


def sales() -> dict[str, str]:
    """Return the labels of an event's sale, by the status that the monitor gives it."""
    return {
        "open": _("On sale"),
        "all_held": _("All on hold"),
        "sold_out": _("Sold out"),
        "line": _("By the line"),
        "paused": _("Paused"),
        "upcoming": _("Not open yet"),
        "ended": _("Ended"),
    }
