"""The API of the door, for staff with a permission for the door. Each view parses the input and makes one call."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from overlord.accounts.permissions import StaffPermission
from overlord.accounts.selectors import actor_id
from overlord.kernel import clock, query_params, rate_limits, schema
from overlord.kernel.numbers import LARGEST_ID
from overlord.kernel.rate_limits import Limit
from tickets.admission import door_services, pictures, representation, rules, selectors
from tickets.admission.api import door_serializers as serializers
from tickets.admission.door_services import Shown
from tickets.admission.permissions import Permission

PICTURES = Limit(name="door-pictures", amount=200, seconds=10)  # for one person, who may use five phones
SEARCH_LENGTHS = (2, rules.SEARCH_LENGTH)  # least and most characters of a search
SEARCH_SCHEMA = {"type": "string", "minLength": SEARCH_LENGTHS[0], "maxLength": SEARCH_LENGTHS[1]}

# Made once, because making a serializer copies its fields. That takes longer than to validate them.
SCAN_INPUT = serializers.ScanInput()


class DoorView(APIView):
    permission_classes = (StaffPermission,)
    permission = Permission.USE_DOOR


class ScanMake(DoorView):
    @extend_schema(operation_id="door_scan", request=serializers.ScanInput, responses=serializers.ScanAnswer)
    def post(self, request: Request) -> Response:
        """Scan a ticket at a gate, and admit it if it can be admitted."""
        return Response(_scan(SCAN_INPUT.run_validation(request.data), request))


class ScanBatch(DoorView):
    @extend_schema(
        operation_id="door_scan_batch",
        request=serializers.ScansInput,
        responses=serializers.ScanAnswer(many=True),
    )
    def post(self, request: Request) -> Response:
        """Record scans whose holders were let in without a network.

        A scan that is sent twice counts once. A scan that the server would have refused is recorded too.

        Each scan has an answer of its own, in the order of the scans, also if its event does not exist.
        """
        body = serializers.ScansInput(data=request.data)
        body.is_valid(raise_exception=True)
        return Response([_scan(each, request, unchecked=True) for each in body.validated_data["scans"]])


def _scan(asked: dict[str, Any], request: Request, *, unchecked: bool = False) -> dict[str, Any]:
    shown = Shown(scan_id=asked["scan_id"], code=asked["code"], serial=asked["serial"], at=asked["at"])
    return door_services.scan_make(
        shown=shown,
        event_id=asked["event"],
        gate=asked["gate"],
        actor_id=actor_id(request),
        now=clock.now(),
        unchecked=unchecked,
    )


class ScanUndo(APIView):
    permission_classes = (StaffPermission,)
    permission = Permission.UNDO_ADMISSION

    @extend_schema(operation_id="door_scan_undo", request=None, responses=serializers.Scan)
    def post(self, request: Request, scan_id: Any) -> Response:
        """Undo the admission that a scan made, so that its ticket opens the door again."""
        return Response(
            door_services.admission_undo(scan_id=scan_id, actor_id=actor_id(request), now=clock.now())
        )


class DoorList(DoorView):
    @extend_schema(
        operation_id="door_list",
        parameters=[
            OpenApiParameter("since", schema.whole(least=0), description="The version that the door has.")
        ],
        responses=serializers.DoorList,
    )
    def get(self, request: Request, event_id: int) -> Response:
        """Return the list with which a door works without a network, or its changes since the version `since`."""
        since = query_params.whole(request.query_params, "since", default=0, least=0, most=LARGEST_ID)
        return Response(door_services.door_list(event_id=event_id, since=since))


class EventScans(DoorView):
    @extend_schema(
        operation_id="door_scans_list",
        parameters=[
            OpenApiParameter("gate", str, description="Only scans at this gate."),
            OpenApiParameter("conflicts", bool, description="Only scans with a conflict."),
        ],
        responses=serializers.Scan(many=True),
    )
    def get(self, request: Request, event_id: int) -> Response:
        """List the newest scans of an event, fifty at most."""
        params = request.query_params
        if "\0" in params.get("gate", ""):
            raise query_params.unreadable("gate", "This is not a valid name of a gate.")
        rows = selectors.scans_newest(
            event_id=event_id,
            gate=params.get("gate"),
            only_conflicts=query_params.flag(params, "conflicts"),
            most=rules.LISTED,
        )
        return Response([representation.scan(row) for row in rows])


class EventTickets(DoorView):
    @extend_schema(
        operation_id="door_tickets_search",
        parameters=[
            OpenApiParameter(
                "q", SEARCH_SCHEMA, required=True, description="A serial, a name or an e-mail address."
            )
        ],
        responses=serializers.FoundTicket(many=True),
    )
    def get(self, request: Request, event_id: int) -> Response:
        """Find tickets of an event by serial, name or e-mail address, fifty at most."""
        words = request.query_params.get("q", "").strip()
        least, most = SEARCH_LENGTHS
        if not least <= len(words) <= most or "\0" in words:
            raise query_params.unreadable("q", f"Enter {least} to {most} characters.")
        rows = selectors.tickets_found(event_id=event_id, words=words, most=rules.LISTED)
        return Response([representation.ticket_found(row) for row in rows])


class GreyPicture(BaseParser):
    """Parse a picture as its grey pixels, one byte each."""

    media_type = "application/octet-stream"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        return bytes(stream.read())


class PictureRead(DoorView):
    parser_classes = (GreyPicture,)

    @extend_schema(
        operation_id="door_picture_read",
        parameters=[
            OpenApiParameter(
                "width",
                schema.whole(least=1, most=pictures.MOST_PIXELS),
                required=True,
                description="The width of the picture, in pixels.",
            )
        ],
        request={"application/octet-stream": bytes},
        responses=serializers.PictureCode,
    )
    def post(self, request: Request) -> Response:
        """Read the QR code in a picture of grey pixels, one byte each. This scans no ticket.

        A picture has at most as many pixels as one of 640 by 640.
        """
        width = query_params.whole(
            request.query_params, "width", default=1, least=1, most=pictures.MOST_PIXELS
        )
        rate_limits.count(PICTURES, actor_id(request))
        grey = request.data if isinstance(request.data, bytes) else b""
        try:
            return Response({"code": pictures.code_of_picture(grey, width=width)})
        except pictures.NotAPicture:
            raise query_params.unreadable(
                "width", "The picture does not have this width, or it is too large."
            ) from None
