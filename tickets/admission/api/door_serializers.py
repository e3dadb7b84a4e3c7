"""The input that the API of the door takes, and the schema of its answers."""

from typing import Any

from rest_framework import serializers

from overlord.kernel.numbers import LARGEST_ID
from overlord.kernel.serializer_fields import InstantField, WholeNumberField
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


class ShownInput(serializers.Serializer):
    """What a person showed: a code or a serial."""

    scan_id = serializers.UUIDField(help_text="Of this scan. The same again gets the first answer.")
    code = serializers.CharField(max_length=SHOWN_LENGTH, required=False, default="", allow_blank=True)
    serial = serializers.CharField(
        max_length=SHOWN_LENGTH, required=False, default="", allow_blank=True, help_text="Instead of a code."
    )
    at = InstantField(
        required=False,
        default=None,
        allow_null=True,
        help_text="When it was scanned, in UTC unless it has an offset; left out: now.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if bool(attrs["code"]) == bool(attrs["serial"]):
            raise serializers.ValidationError({"code": "Give a code or a serial, one of them."})
        return attrs


class ScanInput(ShownInput):
    gate = GateField(max_length=1000)
    event = WholeNumberField(
        min_value=1,
        max_value=LARGEST_ID,
        required=False,
        default=None,
        allow_null=True,
        help_text="The event at this door. A ticket of another one is refused.",
    )


class ScansInput(serializers.Serializer):
    scans = serializers.ListField(child=ScanInput(), min_length=1, max_length=MOST_SCANS)


class DoorTicket(serializers.Serializer):
    id = serializers.IntegerField()
    serial = serializers.CharField()
    state = serializers.ChoiceField(choices=TICKET_STATES)
    seat = serializers.IntegerField(help_text="Which of the reservation's tickets it is.")
    seats = serializers.IntegerField(help_text="How many the reservation has.")
    holder = serializers.CharField(help_text="Who comes with it, if the buyer said so.")
    holder_erased = serializers.BooleanField(help_text="It was handed to a person whose data was erased.")
    buyer = serializers.CharField()
    email = serializers.CharField()
    event = serializers.IntegerField()
    event_name = serializers.CharField()
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
        help_text="Its holder was let in without a network, and should not be."
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
    version = serializers.IntegerField(help_text="To ask with as `since` the next time.")
    complete = serializers.BooleanField(
        help_text="Whether it replaces what is known, instead of adding to it."
    )
    keys = Key(many=True)
    ticket_types = TicketTypeName(many=True)
    tickets = serializers.ListField(
        child=serializers.ListField(),
        help_text="Of each: id, serial, ticket type, issue, state, when admitted, at which gate.",
    )


class PictureCode(serializers.Serializer):
    code = serializers.CharField(allow_null=True, help_text="Null when there is none in the picture.")
