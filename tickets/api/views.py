"""The API of events and reservations. Each view parses the input, makes one call and shows the result."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from overlord.accounts.selectors import actor_id
from overlord.kernel import clock, idempotency, preconditions, query_params
from overlord.kernel.errors import Invalid
from overlord.kernel.pagination import Pages
from overlord.kernel.rendering import fingerprint
from overlord.kernel.schema import idempotency_key, if_match, paginated
from tickets import availability, limits, order_services, representation, selectors, services
from tickets.api import serializers
from tickets.rules import LISTED_STATES, ReservationState

# Made once, because making a serializer copies its fields. That takes longer than to validate them.
RESERVATION_INPUT = serializers.ReservationInput()


class PublicView(APIView):
    """The base of the views that need no log-in."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class EventList(PublicView):
    @extend_schema(
        operation_id="events_list",
        parameters=[
            OpenApiParameter("upcoming", bool, description="Only the events that have not begun."),
            *paginated.parameters,
        ],
        responses=paginated(serializers.EventInList),
    )
    def get(self, request: Request) -> Response:
        """List events by date, each with the ids of its ticket types that have tickets left."""
        is_upcoming = query_params.flag(request.query_params, "upcoming")
        events = selectors.events_listed(after=clock.now() if is_upcoming else None)
        return Pages("date", "id").respond(events, request=request, show=_events_shown)


def _events_shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return representation.events(rows, selectors.types_with_tickets_left([row["id"] for row in rows]))


class EventDetail(PublicView):
    @extend_schema(operation_id="events_get", responses=serializers.EventDetail)
    def get(self, request: Request, event_id: int) -> Response:
        """Return an event with its ticket types and their tickets left. Pages of other sites may read it."""
        response = _tagged(request, availability.event_detail(event_id=event_id, now=clock.now()))
        response["Access-Control-Allow-Origin"] = "*"
        return response


class TicketTypeDetail(PublicView):
    @extend_schema(operation_id="ticket_types_get", responses=serializers.TicketType)
    def get(self, request: Request, ticket_type: int) -> Response:
        """Return a ticket type and its tickets left."""
        return _tagged(request, availability.ticket_type_detail(ticket_type=ticket_type, now=clock.now()))


def _tagged(request: Request, shown: dict[str, Any]) -> Response:
    """Answer with an ETag, or with 304 if the client has this content already."""
    tag = f'"{fingerprint(shown)}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    known = {
        given.strip().removeprefix("W/") for given in request.headers.get("If-None-Match", "").split(",")
    }
    if tag in known or "*" in known:
        return Response(status=status.HTTP_304_NOT_MODIFIED, headers=headers)
    return Response(shown, headers=headers)


class ReservationList(APIView):
    @extend_schema(
        operation_id="reservations_list",
        parameters=[
            OpenApiParameter("state", str, description="One or more states, separated by commas."),
            *paginated.parameters,
        ],
        responses=paginated(serializers.Reservation),
    )
    def get(self, request: Request) -> Response:
        """List my reservations, newest first: live and validated ones, or those in the given states."""
        mine = selectors.reservations_of(buyer_id=actor_id(request), states=_states(request))
        now = clock.now()
        return Pages("-id").respond(
            selectors.reservation_rows(mine),
            request=request,
            show=lambda rows: [representation.reservation(row, now=now) for row in rows],
        )

    @extend_schema(
        operation_id="reservations_create",
        parameters=[idempotency_key],
        request=serializers.ReservationInput,
        responses={201: serializers.Reservation},
    )
    def post(self, request: Request) -> Response:
        """Hold tickets of one type until `expires_at`, usually for fifteen minutes."""
        wanted = RESERVATION_INPUT.run_validation(request.data)
        key = idempotency.key_of(request.headers)
        buyer_id = actor_id(request)
        limits.count_reserve(request._request, buyer_id=buyer_id)
        hold, now = timedelta(seconds=settings.HOLD_SECONDS), clock.now()
        asked = {"ticket_type": wanted["ticket_type"], "quantity": wanted["amount"]}
        if wanted["code"] is None:
            reserved = services.reservation_create(buyer_id=buyer_id, **asked, key=key, hold=hold, now=now)
        else:
            with limits.guesses_counted(request._request, buyer_id=buyer_id, code=wanted["code"]):
                reserved = order_services.reservation_claim(
                    buyer_id=buyer_id,
                    item=order_services.Wanted(**asked),
                    code=wanted["code"],
                    key=key,
                    hold=hold,
                    now=now,
                )
        location = f"/event/reservations/{reserved.reservation['id']}/"
        headers = {"Location": location, **idempotency.replayed_headers(reserved.replayed)}
        return Response(reserved.reservation, status=status.HTTP_201_CREATED, headers=headers)


class ReservationBatch(APIView):
    @extend_schema(
        operation_id="reservations_create_batch",
        parameters=[idempotency_key],
        request=serializers.BatchInput,
        responses={201: serializers.Order},
    )
    def post(self, request: Request) -> Response:
        """Hold tickets of several types of one event, all or none, as one order."""
        body = serializers.BatchInput(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        key = idempotency.key_of(request.headers)
        buyer_id = actor_id(request)
        limits.count_reserve(request._request, buyer_id=buyer_id)
        with limits.guesses_counted(request._request, buyer_id=buyer_id, code=wanted["code"]):
            ordered = order_services.order_claim(
                buyer_id=buyer_id,
                items=[
                    order_services.Wanted(ticket_type=item["ticket_type"], quantity=item["amount"])
                    for item in wanted["items"]
                ],
                order_id=wanted["order"],
                key=key,
                hold=timedelta(seconds=settings.HOLD_SECONDS),
                now=clock.now(),
                code=wanted["code"],
            )
        location = f"/event/reservations/{ordered.order['order']}/"
        headers = {"Location": location, **idempotency.replayed_headers(ordered.replayed)}
        return Response(ordered.order, status=status.HTTP_201_CREATED, headers=headers)


def _states(request: Request) -> tuple[ReservationState, ...]:
    """Return the states that `?state=` names; raise Invalid for a state that does not exist."""
    asked = [each for each in request.query_params.get("state", "").split(",") if each]
    unknown = sorted(set(asked) - set(ReservationState))
    if unknown:
        sentence = f"There is no such state: {', '.join(unknown)}."
        raise Invalid(sentence, errors={"state": [sentence]})
    return tuple(map(ReservationState, asked)) or LISTED_STATES


class ReservationDetail(APIView):
    @extend_schema(operation_id="reservations_get", responses=serializers.Reservation)
    def get(self, request: Request, reservation_id: int) -> Response:
        """Return one of my reservations, or 410 with its state if it has ended."""
        return Response(
            services.reservation_get(
                buyer_id=actor_id(request), reservation_id=reservation_id, now=clock.now()
            )
        )

    @extend_schema(
        operation_id="reservations_resize",
        parameters=[if_match],
        request=serializers.ResizeInput,
        responses=serializers.Reservation,
    )
    def patch(self, request: Request, reservation_id: int) -> Response:
        """Change a hold to exactly this number of tickets, or not at all. The end of the hold stays the same."""
        body = serializers.ResizeInput(data=request.data)
        body.is_valid(raise_exception=True)
        buyer_id = actor_id(request)
        limits.count_change(request._request, buyer_id=buyer_id)
        return Response(
            services.reservation_resize(
                buyer_id=buyer_id,
                reservation_id=reservation_id,
                quantity=body.validated_data["amount"],
                version=preconditions.version_of(request.headers),
            )
        )

    @extend_schema(operation_id="reservations_release", parameters=[if_match], responses={204: None})
    def delete(self, request: Request, reservation_id: int) -> Response:
        """Release held tickets."""
        services.reservation_release(
            buyer_id=actor_id(request),
            reservation_id=reservation_id,
            version=preconditions.version_of(request.headers),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class ReservationExtend(APIView):
    @extend_schema(
        operation_id="reservations_extend",
        request=None,
        responses=serializers.Reservation,
    )
    def post(self, request: Request, reservation_id: int) -> Response:
        """Extend all holds of an order to five minutes from now, but at most to thirty minutes after its start."""
        buyer_id = actor_id(request)
        limits.count_change(request._request, buyer_id=buyer_id)
        return Response(services.reservation_extend(buyer_id=buyer_id, reservation_id=reservation_id))
