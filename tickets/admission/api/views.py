"""The API of tickets and of their public keys. Each view parses the input, makes one call and shows the result."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from overlord.accounts.selectors import actor_id
from overlord.kernel import clock, query_params, schema
from overlord.kernel.numbers import LARGEST_ID
from tickets.admission import hand_over_services, representation, selectors, services
from tickets.admission.api import serializers

MOST_KEYS = 1000


class ReservationTickets(APIView):
    @extend_schema(operation_id="reservations_tickets", responses=serializers.Ticket(many=True))
    def get(self, request: Request, reservation_id: int) -> Response:
        """List the tickets of one of my paid reservations, each with its code."""
        return Response(
            services.tickets_get(buyer_id=actor_id(request), reservation_id=reservation_id, now=clock.now())
        )


class ReservationTicket(APIView):
    @extend_schema(
        operation_id="reservations_ticket_rename",
        request=serializers.HolderInput,
        responses=serializers.Ticket,
    )
    def patch(self, request: Request, reservation_id: int, ticket_id: int) -> Response:
        """Set the name of the person who comes with one of my tickets. Its code stays the same."""
        body = serializers.HolderInput(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(
            hand_over_services.ticket_rename(
                reach=hand_over_services.reach_of_buyer(
                    buyer_id=actor_id(request), reservation_id=reservation_id, ticket_id=ticket_id
                ),
                ticket_id=ticket_id,
                holder=body.validated_data["holder"],
                seen=body.validated_data.get("issue"),
                now=clock.now(),
            )
        )


class HandOver(APIView):
    @extend_schema(
        operation_id="reservations_ticket_hand_over",
        request=serializers.HandOverInput,
        responses=serializers.Ticket,
    )
    def post(self, request: Request, reservation_id: int, ticket_id: int) -> Response:
        """Hand over one of my tickets to an e-mail address. It gets a new code, and both people get a mail."""
        body = serializers.HandOverInput(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(
            hand_over_services.ticket_hand_over(
                reach=hand_over_services.reach_of_buyer(
                    buyer_id=actor_id(request), reservation_id=reservation_id, ticket_id=ticket_id
                ),
                ticket_id=ticket_id,
                email=body.validated_data["email"],
                holder=body.validated_data["holder"],
                seen=body.validated_data.get("issue"),
                now=clock.now(),
            )
        )


class KeyList(APIView):
    """The public keys. They need no log-in, so that anybody can verify a code."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="door_keys_list",
        parameters=[
            OpenApiParameter("event", schema.whole(least=1), description="Only the keys of this event.")
        ],
        responses=serializers.Key(many=True),
    )
    def get(self, request: Request) -> Response:
        """List the public keys that verify the codes of tickets, the newest first, at most 1,000."""
        event_id = query_params.whole(request.query_params, "event", default=0, least=1, most=LARGEST_ID)
        keys = selectors.keys_of(event_id=event_id) if event_id else selectors.keys_newest(most=MOST_KEYS)
        return Response([representation.key(key) for key in keys])
