"""The words for each result of a scan, for the door's page and its script."""

from django.utils.translation import gettext as _

from tickets.admission.rules import ScanResult

WAITING = "waiting"  # no answer has come yet
UNCHECKED = "unchecked"  # a door without a network let a ticket in
UNDONE = "undone"


def results() -> dict[str, str]:
    """Return the words for each result of a scan, for the states that only a page knows, and for some problems.

    The key of a problem is its code. A page has these problems if its log-in has ended meanwhile, or was replaced.
    """
    return {
        ScanResult.ADMITTED: _("Admitted"),
        ScanResult.ALREADY_ADMITTED: _("Already admitted"),
        ScanResult.REVOKED: _("No longer valid"),
        ScanResult.OTHER_EVENT: _("For another event"),
        ScanResult.UNKNOWN: _("Not a ticket"),
        WAITING: _("Checking…"),
        UNCHECKED: _("Let in without a check"),
        UNDONE: _("Admission undone"),
        "not_authenticated": _("You are no longer logged in. Log in again."),
        "permission_denied": _("You may not do this. Reload the page, or log in again."),
    }
