"""The input of the API of the door, and the schema of its answers."""

from typing import Any
from uuid import UUID

from rest_framework import serializers

from overlord.kernel.numbers import LARGEST_ID
from overlord.kernel.serializer_fields import InstantField, ShortListField, WholeNumberField
from overlord.kernel.texts import one_line
from tickets.admission.api.serializers import TICKET_STATES, Key
from tickets.admission.rules import GATE_LENGTH, MOST_SCANS, SHOWN_LENGTH, ScanResult


class GateField(serializers.CharField):
    """The name of a gate, on one line."""

    def to_internal_value(self, data: Any) -> str:
        try:
            return one_line(str(super().to_internal_value(data)), most=GATE_LENGTH)
        except ValueError as error:
            raise serializers.ValidationError(str(error), code="invalid") from None


class ScanIdField(serializers.UUIDField):
    """The id of a scan, as a text. The base class would also read a number, and `true` as the id 1."""

    def to_internal_value(self, data: Any) -> UUID:
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        found: UUID = super().to_internal_value(data)
        return found


class ShownInput(serializers.Serializer):
    """The code or the serial that a person showed."""

    scan_id = ScanIdField(help_text="The id of this scan. A repetition of it gets the first answer.")
    code = serializers.CharField(max_length=SHOWN_LENGTH, required=False, default="", allow_blank=True)
    serial = serializers.CharField(
        max_length=SHOWN_LENGTH,
        required=False,
        default="",
        allow_blank=True,
        help_text=("The serial of the ticket, instead of a code."),
    )
    at = InstantField(
        required=False,
        default=None,
        allow_null=True,
        help_text="The time of the scan, in UTC unless it has an offset. If it is left out, the time is now.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if bool(attrs["code"]) == bool(attrs["serial"]):
            raise serializers.ValidationError({"code": "Give either a code or a serial."})
        return attrs


class ScanInput(ShownInput):
    gate = GateField(max_length=1000)
    event = WholeNumberField(
        min_value=1,
        max_value=LARGEST_ID,
        required=False,
        default=None,
        allow_null=True,
        help_text="The event at this door. A ticket of another event is refused.",
    )


class ScansInput(serializers.Serializer):
    scans = ShortListField(child=ScanInput(), min_length=1, max_length=MOST_SCANS)


class DoorTicket(serializers.Serializer):
    id = serializers.IntegerField()
    serial = serializers.CharField()
    state = serializers.ChoiceField(choices=TICKET_STATES)
    seat = serializers.IntegerField(help_text="The number of the ticket in its reservation, from 1.")
    seats = serializers.IntegerField(help_text="How many tickets the reservation has.")
    holder = serializers.CharField(help_text="The name of the person who comes with it, or empty.")
    holder_erased = serializers.BooleanField(
        help_text="Whether it was handed to a person whose data was erased."
    )
    buyer = serializers.CharField()
    email = serializers.CharField()
    event = serializers.IntegerField()
    event_name = serializers.CharField()
    event_date = serializers.DateTimeField(
        allow_null=True, help_text="Only for a ticket of another event, in the answer to its scan."
    )
    event_time_zone = serializers.CharField(allow_null=True, help_text="As `event_date`.")
    ticket_type = serializers.IntegerField()
    ticket_type_name = serializers.CharField()


class Admission(serializers.Serializer):
    scan_id = serializers.UUIDField()
    at = serializers.DateTimeField()
    gate = serializers.CharField()
    by = serializers.CharField()


class ScanAnswer(serializers.Serializer):
    scan_id = serializers.UUIDField()
    result = serializers.ChoiceField(choices=[result.value for result in ScanResult])
    ticket = DoorTicket(allow_null=True)
    first = Admission(allow_null=True, help_text="When the ticket was admitted.")


class Scan(ScanAnswer):
    event = serializers.IntegerField(allow_null=True)
    gate = serializers.CharField()
    by = serializers.CharField()
    at = serializers.DateTimeField()
    recorded_at = serializers.DateTimeField()
    conflict = serializers.BooleanField(
        help_text="Whether a gate without a network let its holder in, though the server would have refused it."
    )
    undone_at = serializers.DateTimeField(allow_null=True)
    undone_by = serializers.CharField(allow_null=True)


class FoundTicket(DoorTicket):
    first = Admission(allow_null=True, help_text="When the ticket was admitted.")


class TicketTypeName(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()


class DoorList(serializers.Serializer):
    event = serializers.IntegerField()
    version = serializers.IntegerField(help_text="The value of `since` for the next request.")
    complete = serializers.BooleanField(
        help_text="Whether this list replaces the one that the door has. Otherwise it has only changes."
    )
    keys = Key(many=True)
    ticket_types = TicketTypeName(many=True)
    tickets = serializers.ListField(
        child=serializers.ListField(),
        help_text="For each ticket: id, serial, ticket type, issue, state, when it was admitted, at which gate.",
    )


class PictureCode(serializers.Serializer):
    code = serializers.CharField(allow_null=True, help_text="Null if the picture has no code.")
