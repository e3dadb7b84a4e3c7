"""The monitor: the whole sale at a glance, for staff."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from overlord.kernel import clock
from overlord.shop.permissions import staff_only
from stats import monitor as figures

LEAST = 4  # so that one reservation is not a tower in the chart
BLANK = {"sold": 0, "held": 0, "capacity": 0}  # of which the page's templates for new rows are made


@require_GET
@staff_only
def monitor(request: HttpRequest) -> HttpResponse:
    """What is sold, held and free, how it moves, and what needs a look. Its modules keep it live."""
    now = clock.now()
    shown = figures.picture(now=now)
    most = max((max(minute["reserved"], minute["paid"]) for minute in shown["minutes"]), default=0)
    context = {"shown": shown, "most": max(most, LEAST), "blank": BLANK, "now": now}
    return render(request, "stats/monitor.html", context)
