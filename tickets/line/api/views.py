"""The API of a line. Each view parses the input, makes one call and shows the result."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from overlord.accounts.permissions import StaffPermission
from overlord.accounts.selectors import actor_id
from overlord.kernel import clock
from tickets import limits
from tickets.line import representation, selectors, services, staff_services
from tickets.line.api import serializers
from tickets.line.permissions import Permission
from tickets.line.rules import Action

# Made once, because making a serializer copies its fields. That takes longer than to validate them.
ENTRY_INPUT = serializers.EntryInput()


class LineEntry(APIView):
    @extend_schema(
        operation_id="line_enter",
        request=serializers.EntryInput,
        responses={200: serializers.Entry, 201: serializers.Entry},
    )
    def post(self, request: Request, event_id: int) -> Response:
        """Enter the line of an event. If I wait in it already, change my wish and keep my place."""
        limits.count_reserve(request._request, buyer_id=actor_id(request))
        wanted = ENTRY_INPUT.run_validation(request.data)
        choices = [_pairs(wanted["items"])] + ([_pairs(wanted["second"])] if wanted["second"] else [])
        entry, is_new = services.entry_make(
            event_id=event_id, buyer_id=actor_id(request), choices=choices, now=clock.now()
        )
        return Response(entry, status=status.HTTP_201_CREATED if is_new else status.HTTP_200_OK)

    @extend_schema(operation_id="line_get", responses=serializers.Entry)
    def get(self, request: Request, event_id: int) -> Response:
        """Return my entry. This counts as a look at the tickets that I was given."""
        return Response(services.entry_get(event_id=event_id, buyer_id=actor_id(request), now=clock.now()))

    @extend_schema(operation_id="line_leave", responses={204: None})
    def delete(self, request: Request, event_id: int) -> Response:
        """Leave the line."""
        services.entry_leave(event_id=event_id, buyer_id=actor_id(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _pairs(items: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(item["ticket_type"], item["amount"]) for item in items]


class LineProof(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(operation_id="line_proof", responses=serializers.Proof)
    def get(self, request: Request, event_id: int) -> Response:
        """Return the facts from which anyone can compute all places of a draw; 404 before it. They name nobody."""
        return Response(services.proof(event_id=event_id))


class LineActions(APIView):
    permission_classes = (StaffPermission,)
    permission = Permission.CONTROL_LINE

    @extend_schema(operation_id="line_actions", responses=serializers.StaffAction(many=True))
    def get(self, request: Request, event_id: int) -> Response:
        """List the actions of staff on the line of an event, the latest first."""
        done = staff_services.staff_actions(event_id=event_id)
        return Response([representation.staff_action(each) for each in done])

    @extend_schema(operation_id="line_act", request=serializers.StaffActionInput, responses=serializers.Line)
    def post(self, request: Request, event_id: int) -> Response:
        """Pause or resume the line, open the sale, or set the line's pace, message or public value.

        Staff first name the public value of a draw. They enter it later.
        Every open page shows the change at once. The action is recorded.
        """
        selectors.check_exists(event_id=event_id)
        body = serializers.StaffActionInput(data=request.data)
        body.is_valid(raise_exception=True)
        shown = staff_services.line_act(
            event_id=event_id,
            actor_id=actor_id(request),
            action=Action(body.validated_data["action"]),
            text=body.validated_data["text"],
            seen=body.validated_data["seen"],
            now=clock.now(),
        )
        return Response(shown)
