"""Two pages: the monitor, which shows the whole sale to staff, and /metrics, which Prometheus reads."""

import hmac

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from prometheus_client import CONTENT_TYPE_LATEST

from overlord.kernel import clock
from overlord.kernel.methods import allow
from overlord.shop import error_pages, searches
from overlord.shop.paging import Page, page_number
from overlord.shop.permissions import staff_with
from stats import labels, monitor_events
from stats import metrics as prometheus
from stats import monitor as figures
from stats.permissions import Permission

LEAST_HEIGHT = 4  # of the chart, so that one reservation does not fill it
# The page's <template> elements are made from this row.
BLANK = {
    "switch": "",
    "status": "",
    "sold": 0,
    "held": 0,
    "capacity": 0,
    "admitted": 0,
    "tickets": 0,
    "conflicts": 0,
    "entered": 0,
    "waiting": 0,
    "served": 0,
    "given": 0,
    "passed": 0,
    "per_minute": 0,
}


@allow("GET")
@staff_with(Permission.VIEW_MONITOR)
def monitor(request: HttpRequest) -> HttpResponse:
    """Show what is sold, on hold and available, and what needs attention. The page's modules keep it live."""
    now = clock.now()
    search, number = searches.text_asked(request), page_number(request)
    shown = figures.content(now=now)
    is_live = number == 1 and not search
    page = (
        Page(rows=shown["events"], number=1, is_last=not monitor_events.more_events_exist(now=now))
        if is_live
        else monitor_events.events_page(search=search, number=number, now=now)
    )
    most = max((max(minute["reserved"], minute["paid"]) for minute in shown["minutes"]), default=0)
    context = {
        "shown": shown,
        "search": search,
        "page": page,
        "is_live": is_live,  # the stream has only the events of the first page without a search
        "most": max(most, LEAST_HEIGHT),
        "least_height": LEAST_HEIGHT,
        "blank": BLANK,
        "labels": {"feed": labels.feed(), "sales": labels.sales(), "lines": labels.lines()},
        "now": now,
    }
    return render(request, "stats/monitor.html", context)


@allow("GET")
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with the figures for Prometheus; 404 to a client that may not read them, 503 without the database."""
    if not _may_read_metrics(request):
        return error_pages.not_found(request, Http404())
    try:
        return HttpResponse(prometheus.text(now=clock.now()), content_type=CONTENT_TYPE_LATEST)
    except DatabaseError:
        connection.close()
        return HttpResponse("The database does not answer.\n", status=503, content_type="text/plain")


def _may_read_metrics(request: HttpRequest) -> bool:
    """Return whether the request carries METRICS_TOKEN, or did not come through the front server.

    The front server always writes X-Forwarded-For. A client that asks a web process directly is in our own network.
    """
    if "X-Forwarded-For" not in request.headers:
        return True
    given = request.headers.get("Authorization", "").encode()
    wanted = f"Bearer {settings.METRICS_TOKEN}".encode()
    return bool(settings.METRICS_TOKEN) and hmac.compare_digest(given, wanted)
