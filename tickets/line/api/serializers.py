"""The input of the API of a line, and the schema of its answers."""

from rest_framework import serializers

from overlord.kernel.numbers import LARGEST_ID
from overlord.kernel.serializer_fields import ShortListField, StrictSerializer, WholeNumberField
from tickets import rules as tickets
from tickets.api.serializers import ItemInput, Reservation
from tickets.line.rules import Action, EntryState, PassedBecause, Phase


class Item(serializers.Serializer):
    ticket_type = WholeNumberField(min_value=1, max_value=LARGEST_ID)
    amount = WholeNumberField(min_value=1, max_value=tickets.LARGEST_AMOUNT)


class EntryInput(StrictSerializer):
    items = ShortListField(child=ItemInput(), min_length=1, max_length=tickets.MOST_TYPES)
    second = ShortListField(
        child=ItemInput(),
        max_length=tickets.MOST_TYPES,
        default=list,
        help_text="The second choice, which is given if not all of `items` is available.",
    )


class Entry(serializers.Serializer):
    number = serializers.IntegerField()
    state = serializers.ChoiceField(choices=[state.value for state in EntryState])
    items = Item(many=True)
    second = Item(many=True)
    entered_at = serializers.DateTimeField()
    place = serializers.IntegerField(
        allow_null=True, help_text=("The place in the line. Null before the draw.")
    )
    ahead = serializers.IntegerField(
        allow_null=True, help_text="How many places are still to be served before this one."
    )
    seconds = serializers.IntegerField(
        allow_null=True, help_text=("How many seconds the wait takes at the measured pace.")
    )
    look_by = serializers.DateTimeField(
        allow_null=True,
        help_text="When the hold passes to the next entry, unless its owner looks at this entry before that.",
    )
    passed_because = serializers.ChoiceField(
        choices=[each.value for each in PassedBecause],
        allow_null=True,
        help_text="Null unless the state is `passed`. `not_looked_at`: nobody looked at the tickets in time."
        " `own_tickets`: you had already reserved tickets of these types, or would have had more than the limit"
        " per person.",
    )
    reservations = Reservation(many=True)


class Proof(serializers.Serializer):
    commitment = serializers.CharField()
    seed = serializers.CharField()
    digest = serializers.CharField()
    drawn = serializers.IntegerField()
    public_name = serializers.CharField(
        allow_null=True, help_text="The name of the public value, if there is one."
    )
    public_value = serializers.CharField(allow_null=True)
    entries = serializers.ListField(
        child=serializers.ListField(), help_text="For each entry: its number, and when it was made."
    )


class Line(serializers.Serializer):
    """A line as its stream shows it."""

    phase = serializers.ChoiceField(choices=[phase.value for phase in Phase])
    entries = serializers.IntegerField()
    commitment = serializers.CharField(allow_null=True)
    seed = serializers.CharField(allow_null=True)
    digest = serializers.CharField(allow_null=True)
    drawn = serializers.IntegerField(allow_null=True)
    served = serializers.IntegerField()
    per_minute = serializers.IntegerField(
        help_text=("How many places are served per minute. 0 if this is not known yet.")
    )
    held = serializers.BooleanField(help_text="Whether staff have paused the line.")
    standing = serializers.BooleanField(
        help_text="Whether the tickets that people wish are not available now."
    )
    most_per_minute = serializers.IntegerField(
        allow_null=True,
        help_text=("The highest number of places per minute. Null means as fast as possible."),
    )
    message = serializers.CharField()
    public_name = serializers.CharField(allow_null=True)
    public_value = serializers.CharField(allow_null=True)
    opens_at = serializers.DateTimeField(allow_null=True)
    closes_at = serializers.DateTimeField(allow_null=True, help_text="When the sale ends.")
    cancelled = serializers.BooleanField(help_text="Whether the event is cancelled.")


class StaffActionInput(serializers.Serializer):
    action = serializers.ChoiceField(choices=[action.value for action in Action])
    text = serializers.CharField(
        default="", allow_blank=True, help_text="The message, the name of the public value, or the value."
    )
    seen = serializers.CharField(
        default=None,
        allow_null=True,
        allow_blank=True,
        help_text="The text that the action replaces, as it was seen: `most_per_minute` (empty for null) for"
        " `slower` and `faster`, the message, or the name. If the text has changed since, the action is refused"
        " with `line_outdated`. With null this is not checked.",
    )


class StaffAction(serializers.Serializer):
    at = serializers.DateTimeField()
    actor = serializers.CharField()
    action = serializers.ChoiceField(choices=[action.value for action in Action])
    text = serializers.CharField()
