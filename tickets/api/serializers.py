"""The input of the API of events and reservations, and the schema of its answers."""

from typing import Any

from django.core.validators import RegexValidator
from rest_framework import serializers
from rest_framework.fields import empty

from overlord.kernel.numbers import LARGEST_ID
from overlord.kernel.serializer_fields import ShortListField, StrictSerializer, WholeNumberField
from tickets import rules
from tickets.event_rules import EventStatus, SaleState
from tickets.rules import Opening, ReservationState
from tickets.voucher_rules import TEXT_LENGTH

SALE = serializers.ChoiceField(choices=[state.value for state in SaleState])


class CodeField(serializers.CharField):
    """A discount or presale code, which may be left out or empty."""

    def __init__(self) -> None:
        super().__init__(
            max_length=TEXT_LENGTH,
            allow_null=True,
            allow_blank=True,
            default=None,
            validators=[RegexValidator(r"^[^\x00]*$")],
            help_text="A discount or presale code of the event. Case and spaces around it do not matter.",
        )

    def run_validation(self, data: Any = empty) -> str | None:
        return super().run_validation(data) or None


class ItemInput(StrictSerializer):
    ticket_type = WholeNumberField(min_value=1, max_value=LARGEST_ID)
    amount = WholeNumberField(min_value=1, max_value=rules.LARGEST_AMOUNT)


class ReservationInput(ItemInput):
    code = CodeField()


class BatchInput(StrictSerializer):
    items = ShortListField(child=ItemInput(), min_length=1, max_length=rules.MOST_TYPES)
    code = CodeField()
    order = WholeNumberField(
        min_value=1,
        max_value=LARGEST_ID,
        allow_null=True,
        default=None,
        help_text="An unpaid order of mine, to which the tickets are added. Without it, a new order is made.",
    )


class ResizeInput(StrictSerializer):
    amount = WholeNumberField(min_value=1, max_value=rules.LARGEST_AMOUNT)


class EventInList(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    date = serializers.DateTimeField()
    tickets = serializers.ListField(
        child=serializers.IntegerField(), help_text="Ids of the ticket types that have tickets left."
    )


class TicketType(serializers.Serializer):
    id = serializers.IntegerField()
    event = serializers.IntegerField()
    ticket_type = serializers.CharField()
    price = serializers.CharField(help_text="A decimal, with as many decimal places as the currency has.")
    currency = serializers.CharField()
    amount = serializers.IntegerField()
    available = serializers.IntegerField()
    held = serializers.IntegerField()
    sold = serializers.IntegerField()
    max_per_user = serializers.IntegerField()
    sale = SALE
    opens_at = serializers.DateTimeField(allow_null=True)
    closes_at = serializers.DateTimeField()
    next_release_at = serializers.DateTimeField(
        allow_null=True, help_text="When the earliest hold of the type ends; null if there is none."
    )
    version = serializers.IntegerField()


class EventDetail(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    date = serializers.DateTimeField()
    time_zone = serializers.CharField(
        help_text="An IANA name: the time zone in which people read the event's times."
    )
    ends_at = serializers.DateTimeField(allow_null=True)
    venue = serializers.CharField(help_text="May be empty. The address may be empty too.")
    address = serializers.CharField()
    description = serializers.CharField(help_text="The description as it was written, in Markdown.")
    picture = serializers.CharField(
        allow_null=True, help_text="The path of a JPEG file on this server, or null."
    )
    currency = serializers.CharField()
    buyers = serializers.ChoiceField(choices=[each.value for each in rules.Buyers])
    opening = serializers.ChoiceField(choices=[opening.value for opening in Opening])
    status = serializers.ChoiceField(
        choices=[EventStatus.ON_SALE.value, EventStatus.CANCELLED.value],
        help_text=(
            "The status of the event: `cancelled` if it is cancelled, otherwise `on_sale`. The API does not"
            " show drafts."
        ),
    )
    sale = SALE
    version = serializers.IntegerField()
    server_time = serializers.DateTimeField()
    tickets = TicketType(many=True)


class Reservation(serializers.Serializer):
    id = serializers.IntegerField()
    order = serializers.IntegerField(
        help_text="The id of the order, which is that of its first reservation. One payment pays for all of it."
    )
    ticket_type = serializers.IntegerField()
    event = serializers.IntegerField()
    amount = serializers.IntegerField()
    unit_price = serializers.CharField()
    total = serializers.CharField()
    currency = serializers.CharField()
    created = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    expires_in = serializers.IntegerField(
        help_text="In whole seconds; 0 if it does not expire, and for a hold that is about to be released."
    )
    state = serializers.ChoiceField(choices=[state.value for state in ReservationState])
    validated = serializers.BooleanField()
    version = serializers.IntegerField()
    ended_at = serializers.DateTimeField(
        required=False, help_text=("When the reservation ended. Present only if it has ended.")
    )
    code = serializers.CharField(
        required=False,
        help_text=("The discount or presale code. Present only if the reservation was made with one."),
    )
    unit_discount = serializers.CharField(
        required=False, help_text="By how much the code reduced the unit price. Present with `code`."
    )


class Order(serializers.Serializer):
    order = serializers.IntegerField()
    reservations = Reservation(many=True)
    total = serializers.CharField(help_text="The sum of the reservations that have not ended.")
    currency = serializers.CharField()
