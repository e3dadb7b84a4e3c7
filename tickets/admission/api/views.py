"""The API of tickets and of the door: parse, one call, show."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from overlord.accounts.selectors import actor_id
from overlord.kernel import clock, query_params
from overlord.kernel.numbers import LARGEST_ID
from tickets.admission import representation, selectors, services
from tickets.admission.api import serializers

MOST_KEYS = 1000


class ReservationTickets(APIView):
    @extend_schema(operation_id="reservations_tickets", responses=serializers.Ticket(many=True))
    def get(self, request: Request, reservation_id: int) -> Response:
        """List the tickets of one of my paid reservations, each with its code."""
        return Response(
            services.tickets_get(buyer_id=actor_id(request), reservation_id=reservation_id, now=clock.now())
        )


class KeyList(APIView):
    """Open to anyone, so that anyone can verify a code. It authenticates nobody."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="door_keys_list",
        parameters=[OpenApiParameter("event", int, description="Only the keys of this event.")],
        responses=serializers.Key(many=True),
    )
    def get(self, request: Request) -> Response:
        """List the public keys that codes of tickets are signed with, the newest first, at most 1,000."""
        event_id = query_params.whole(request.query_params, "event", default=0, least=1, most=LARGEST_ID)
        keys = selectors.keys_of(event_id=event_id) if event_id else selectors.keys_newest(most=MOST_KEYS)
        return Response([representation.key(key) for key in keys])
