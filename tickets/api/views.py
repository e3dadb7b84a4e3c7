"""The API of selling: parse, one call, show."""

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
from overlord.kernel import clock, query_params
from overlord.kernel.errors import Invalid
from overlord.kernel.pagination import Pages
from overlord.kernel.rendering import fingerprint
from overlord.kernel.schema import paginated
from tickets import availability, representation, rules, selectors, services
from tickets.api import serializers
from tickets.models import Event
from tickets.models import Reservation as ReservationModel

# Made once: a serializer copies its fields each time it is made, which costs more than four times their validation.
RESERVATION_INPUT = serializers.ReservationInput()
NEW_IN_LIST = ("held", "paying", "validated")


class PublicView(APIView):
    """Open to anyone, whoever he says he is."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class EventList(PublicView):
    @extend_schema(
        operation_id="events_list",
        parameters=[OpenApiParameter("upcoming", bool), *paginated.parameters],
        responses=paginated(serializers.EventInList),
    )
    def get(self, request: Request) -> Response:
        """Events by date, each with the ids of its ticket types that have tickets left."""
        events = Event.objects.values("id", "name", "date")
        if query_params.flag(request.query_params, "upcoming"):
            events = events.filter(date__gt=clock.now())
        return Pages("date", "id").respond(events, request=request, show=_events_shown)


def _events_shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return representation.events(rows, selectors.types_with_tickets_left([row["id"] for row in rows]))


class EventDetail(PublicView):
    @extend_schema(operation_id="events_get", responses=serializers.EventDetail)
    def get(self, request: Request, event_id: int) -> Response:
        """One event with its ticket types and their live availability."""
        return _tagged(request, availability.event_detail(event_id=event_id, now=clock.now()))


class TicketTypeDetail(PublicView):
    @extend_schema(operation_id="ticket_types_get", responses=serializers.TicketType)
    def get(self, request: Request, ticket_type: int) -> Response:
        """One ticket type with its live availability."""
        return _tagged(request, availability.ticket_type_detail(ticket_type=ticket_type, now=clock.now()))


def _tagged(request: Request, shown: dict[str, Any]) -> Response:
    """Will answer with an ETag, or 304 when the client has just this."""
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
        """My reservations, newest first: those that live or are paid for, or those in the states asked for."""
        mine = selectors.reservations_of(buyer_id=actor_id(request), states=_states(request))
        now = clock.now()
        return Pages("-id").respond(
            selectors.reservation_rows(mine),
            request=request,
            show=lambda rows: [representation.reservation(row, now=now) for row in rows],
        )

    @extend_schema(
        operation_id="reservations_create",
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)],
        request=serializers.ReservationInput,
        responses={201: serializers.Reservation},
    )
    def post(self, request: Request) -> Response:
        """Take tickets, for fifteen minutes."""
        wanted = RESERVATION_INPUT.run_validation(request.data)
        key = request.headers.get("Idempotency-Key")
        rules.check_idempotency_key(key)
        reserved = services.reservation_create(
            buyer_id=actor_id(request),
            ticket_type=wanted["ticket_type"],
            quantity=wanted["amount"],
            key=key,
            hold=timedelta(seconds=settings.HOLD_SECONDS),
            now=clock.now(),
        )
        headers = {"Location": f"/event/reservations/{reserved.reservation['id']}/"}
        if reserved.replayed:
            headers["Idempotency-Replayed"] = "true"
        return Response(reserved.reservation, status=status.HTTP_201_CREATED, headers=headers)


def _states(request: Request) -> tuple[str, ...]:
    asked = request.query_params.get("state", "")
    states = tuple(filter(None, asked.split(","))) or NEW_IN_LIST
    unknown = set(states) - set(ReservationModel.State.values)
    if unknown:
        sentence = f"Not a state: {', '.join(sorted(unknown))}."
        raise Invalid(sentence, errors={"state": [sentence]})
    return states


class ReservationDetail(APIView):
    @extend_schema(operation_id="reservations_get", responses=serializers.Reservation)
    def get(self, request: Request, reservation_id: int) -> Response:
        """One of my reservations; 410 with its state when it has ended."""
        return Response(
            services.reservation_get(
                buyer_id=actor_id(request), reservation_id=reservation_id, now=clock.now()
            )
        )

    @extend_schema(operation_id="reservations_release", responses={204: None})
    def delete(self, request: Request, reservation_id: int) -> Response:
        """Give held tickets back."""
        services.reservation_release(buyer_id=actor_id(request), reservation_id=reservation_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ReservationExtend(APIView):
    @extend_schema(
        operation_id="reservations_extend",
        request=None,
        responses=serializers.Reservation,
    )
    def post(self, request: Request, reservation_id: int) -> Response:
        """Keep held tickets five minutes from now, within thirty of their creation."""
        return Response(
            services.reservation_extend(buyer_id=actor_id(request), reservation_id=reservation_id)
        )
