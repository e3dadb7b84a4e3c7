"""The monitor: the whole sale at a glance, for staff."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from overlord.kernel import clock
from overlord.kernel.methods import allow
from overlord.shop.permissions import staff_with
from stats import labels
from stats import monitor as figures
from stats.permissions import Permission

LEAST_HEIGHT = 4  # of the chart, so that one reservation does not fill it
BLANK = {
    "sale": "",
    "status": "",
    "sold": 0,
    "held": 0,
    "capacity": 0,
}  # the row from which the page's <template> elements are made


@allow("GET")
@staff_with(Permission.VIEW_MONITOR)
def monitor(request: HttpRequest) -> HttpResponse:
    """Show what is sold, on hold and available, and what needs a look. Its modules keep it live."""
    now = clock.now()
    shown = figures.picture(now=now)
    most = max((max(minute["reserved"], minute["paid"]) for minute in shown["minutes"]), default=0)
    context = {
        "shown": shown,
        "most": max(most, LEAST_HEIGHT),
        "least_height": LEAST_HEIGHT,
        "blank": BLANK,
        "labels": {"happenings": labels.happenings(), "sales": labels.sales()},
        "now": now,
    }
    return render(request, "stats/monitor.html", context)
