"""Two files for search engines: the sitemap, and the list of pages that they should not read (robots.txt)."""

from typing import Any

from django.conf import settings
from django.contrib.sitemaps import Sitemap
from django.contrib.sitemaps.views import sitemap as rendered
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from overlord.kernel import clock
from overlord.kernel.methods import allow
from overlord.shop.shared_answers import shared
from tickets import event_selectors
from tickets.models import Event

NOT_FOR_ROBOTS = (
    "/admin/",
    "/office/",
    "/checkout/",
    "/me/",
    "/t/",
    "/door/",
    "/monitor/",
    "/login/",
    "/api-auth/",
)


class EventPages(Sitemap):
    """The pages of the events that the home page lists."""

    changefreq = "daily"

    def items(self) -> QuerySet[Event, Any]:
        return event_selectors.events_for_buyers(now=clock.now()).order_by("id").values("id")

    def location(self, item: dict[str, Any]) -> str:
        return reverse("event", args=[item["id"]])


class Home(Sitemap):
    """The list of events."""

    changefreq = "hourly"

    def items(self) -> list[str]:
        return ["home"]

    def location(self, item: str) -> str:
        return reverse(item)


@allow("GET")
@shared(seconds=60)
def sitemap(request: HttpRequest) -> HttpResponse:
    """Answer with the list of pages that search engines may show."""
    answer: HttpResponse = rendered(request, {"home": Home, "events": EventPages})
    return answer


@allow("GET")
@shared(seconds=60)
def robots(request: HttpRequest) -> HttpResponse:
    """Answer with the list of paths that are not for search engines."""
    lines = [
        "User-agent: *",
        *(f"Disallow: {path}" for path in NOT_FOR_ROBOTS),
        f"Sitemap: {settings.BASE_URL}{reverse('sitemap')}",
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")
