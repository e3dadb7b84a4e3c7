"""The input of the API of tickets, and the schema of its answers."""

from rest_framework import serializers

from overlord.kernel.serializer_fields import WholeNumberField
from overlord.kernel.texts import EMAIL_LENGTH
from tickets.admission.rules import HOLDER_LENGTH, MOST_ISSUES, TicketState

TICKET_STATES = [state.value for state in TicketState]


class Ticket(serializers.Serializer):
    id = serializers.IntegerField()
    serial = serializers.CharField(
        allow_null=True, help_text="Null if the ticket was handed over, unless it is revoked."
    )
    code = serializers.CharField(
        allow_null=True,
        help_text="The text of a QR code in alphanumeric mode. Null if the ticket is revoked or was handed over.",
    )
    issue = serializers.IntegerField(help_text="1 at first; each new code of the ticket raises it by 1.")
    state = serializers.ChoiceField(choices=TICKET_STATES)
    holder = serializers.CharField()
    handed_to = serializers.EmailField(
        allow_null=True,
        help_text="The address of the person to whom it was handed over. Null if the buyer has it, or if"
        " `holder_erased`.",
    )
    holder_erased = serializers.BooleanField(
        help_text="Whether the ticket was handed over to a person whose data was erased afterwards."
    )
    event = serializers.IntegerField()
    ticket_type = serializers.IntegerField()
    admitted_at = serializers.DateTimeField(allow_null=True)


class HolderInput(serializers.Serializer):
    holder = serializers.CharField(
        max_length=HOLDER_LENGTH, allow_blank=True, help_text="The name of the person who comes with it."
    )
    issue = WholeNumberField(
        required=False,
        min_value=1,
        max_value=MOST_ISSUES,
        help_text="The issue that the client knows. If the ticket has another issue now, the request is refused.",
    )


class HandOverInput(HolderInput):
    email = serializers.EmailField(
        max_length=EMAIL_LENGTH, help_text="The address of the person who gets it."
    )
    holder = serializers.CharField(max_length=HOLDER_LENGTH, allow_blank=True, required=False, default="")


class Key(serializers.Serializer):
    id = serializers.IntegerField()
    event = serializers.IntegerField()
    public_key = serializers.CharField(help_text="Ed25519, 32 bytes in hexadecimal.")
    created = serializers.DateTimeField()
    retired_at = serializers.DateTimeField(
        allow_null=True, help_text="From this time on, codes that it signed open nothing."
    )
