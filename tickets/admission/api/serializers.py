"""What the API gives, as the schema describes it."""

from rest_framework import serializers

from tickets.admission.rules import TicketState


class Ticket(serializers.Serializer):
    id = serializers.IntegerField()
    serial = serializers.CharField()
    code = serializers.CharField(
        allow_null=True, help_text="For a QR code, in its alphanumeric mode; null once it is revoked."
    )
    state = serializers.ChoiceField(choices=[state.value for state in TicketState])
    holder = serializers.CharField()
    event = serializers.IntegerField()
    ticket_type = serializers.IntegerField()
    admitted_at = serializers.DateTimeField(allow_null=True)


class Key(serializers.Serializer):
    id = serializers.IntegerField()
    event = serializers.IntegerField()
    public_key = serializers.CharField(help_text="Ed25519, 32 bytes in hexadecimal.")
    created = serializers.DateTimeField()
    retired_at = serializers.DateTimeField(
        allow_null=True, help_text="From then on, codes signed by it open nothing."
    )
