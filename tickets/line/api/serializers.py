"""What the API of a line takes, and what it gives as the schema describes it."""

from rest_framework import serializers

from overlord.kernel.numbers import LARGEST_ID
from overlord.kernel.serializer_fields import WholeNumberField
from tickets import rules as tickets
from tickets.api.serializers import Reservation
from tickets.line.rules import EntryState


class Item(serializers.Serializer):
    ticket_type = WholeNumberField(min_value=1, max_value=LARGEST_ID)
    amount = WholeNumberField(min_value=1, max_value=tickets.LARGEST_AMOUNT)


class EntryInput(serializers.Serializer):
    items = serializers.ListField(child=Item(), min_length=1, max_length=tickets.MOST_TYPES)
    second = serializers.ListField(
        child=Item(),
        max_length=tickets.MOST_TYPES,
        default=list,
        help_text="What to give when not all of `items` is there.",
    )


class Entry(serializers.Serializer):
    number = serializers.IntegerField()
    state = serializers.ChoiceField(choices=[state.value for state in EntryState])
    items = Item(many=True)
    second = Item(many=True)
    entered_at = serializers.DateTimeField()
    place = serializers.IntegerField(allow_null=True, help_text="Null before the draw.")
    ahead = serializers.IntegerField(allow_null=True, help_text="How many places come before it.")
    seconds = serializers.IntegerField(allow_null=True, help_text="The wait at the measured pace.")
    look_by = serializers.DateTimeField(
        allow_null=True,
        help_text="When a hold goes on to the next, unless its owner looks at this entry before.",
    )
    reservations = Reservation(many=True)


class Proof(serializers.Serializer):
    commitment = serializers.CharField()
    seed = serializers.CharField()
    digest = serializers.CharField()
    drawn = serializers.IntegerField()
    entries = serializers.ListField(
        child=serializers.ListField(), help_text="Of each entry: its number, and when it was made."
    )
