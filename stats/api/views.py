"""The views of the stats API: the figures of events and of ticket types. Each calls one selector."""

from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from overlord.accounts.permissions import StaffPermission, is_of_staff
from overlord.kernel.pagination import position_read, position_text
from overlord.kernel.query_params import unreadable
from stats import representation, selectors
from stats.api import serializers
from stats.permissions import Permission

MOST = 1000  # events in one answer


class StaffUnlessPublic(StaffPermission):
    """Allow staff who may see the figures, and everybody if STATS_PUBLIC is set."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return settings.STATS_PUBLIC or super().has_permission(request, view)


class StatsView(APIView):
    permission_classes = (StaffUnlessPublic,)
    permission = Permission.VIEW_STATS

    def is_from_staff(self, request: Request) -> bool:
        """Return whether the request comes from staff who may see the figures.

        Unless the figures are public, `has_permission` refuses everybody else before this is asked.
        """
        return not settings.STATS_PUBLIC or is_of_staff(request, self.permission)


class EventStats(StatsView):
    @extend_schema(
        operation_id="stats_events",
        parameters=[OpenApiParameter("after", str, description="The cursor from the link to the next page.")],
        responses=serializers.EventStats(many=True),
    )
    def get(self, request: Request) -> Response:
        """List at most a thousand events with their figures, by date, with a `Link` to the next ones.

        Drafts are left out. An event's figures are those of all its ticket types, also of hidden ones.
        """
        rows = selectors.events(after=_after(request.query_params.get("after")), most=MOST + 1)
        headers = {}
        if len(rows) > MOST:
            last = rows[MOST - 1]
            cursor = position_text((last["date"], last["id"]))
            url = replace_query_param(request.build_absolute_uri(), "after", cursor)
            headers["Link"] = f'<{url}>; rel="next"'
        return Response([representation.event(row) for row in rows[:MOST]], headers=headers)


def _after(cursor: str | None) -> tuple[datetime, int] | None:
    """Return the position that a cursor stands for; raise Invalid if it cannot be read."""
    if cursor is None:
        return None
    try:
        date, event_id = position_read(cursor, ("date", "id"))
    except ValueError as error:
        raise unreadable("after", str(error)) from None
    return date, event_id


class TopEvents(StatsView):
    by: selectors.Ranking

    def get(self, request: Request) -> Response:
        """List the five events with the highest figure. Drafts are left out.

        If there are more than fifty events, their figures are compared in turn, five hundred events each second.
        The events with the latest reservations and sales are compared every second.
        """
        return Response([representation.event(row) for row in selectors.events_top(by=self.by)])


def _named(operation_id: str) -> Callable[[type[TopEvents]], type[TopEvents]]:
    """Return a decorator that gives a view of top events its name in the schema."""
    described = extend_schema(operation_id=operation_id, responses=serializers.EventStats(many=True))
    return extend_schema_view(get=described)


@_named("stats_events_top_popular")
class TopPopular(TopEvents):
    by = selectors.Ranking.RESERVATIONS


@_named("stats_events_top_selling")
class TopSelling(TopEvents):
    by = selectors.Ranking.SOLD


@_named("stats_events_top_profit")
class TopProfit(TopEvents):
    by = selectors.Ranking.PROFIT


class TicketTypeStats(StatsView):
    @extend_schema(operation_id="stats_tickets", responses=serializers.TicketTypeStats(many=True))
    def get(self, request: Request) -> Response:
        """List the figures of ticket types. Types with the same name and currency are added up.

        Drafts are left out. Hidden ticket types count only for staff, and only after their first reservation.
        """
        rows = selectors.ticket_types(with_hidden=self.is_from_staff(request))
        return Response([representation.ticket_type(row) for row in rows])
