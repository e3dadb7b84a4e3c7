"""The input of the payment API, and the schema of its answers."""

from django.core.validators import RegexValidator
from rest_framework import serializers

from checkout.price_rules import PRICE
from checkout.rules import TOKEN_LENGTH, RefundStatus, ShownStatus
from overlord.kernel.numbers import LARGEST_ID
from overlord.kernel.serializer_fields import MoneyField, StrictSerializer, WholeNumberField
from overlord.kernel.texts import EMAIL_LENGTH, PERSON_NAME_LENGTH


class ContactInput(StrictSerializer):
    email = serializers.EmailField(
        max_length=EMAIL_LENGTH,
        required=False,
        allow_blank=True,
        help_text="The address to which a guest's tickets are sent. Tickets of an account go to the account's"
        " own address. If this is left out or empty, the address stays as it is.",
    )
    name = serializers.CharField(
        max_length=PERSON_NAME_LENGTH,
        required=False,
        allow_blank=True,
        help_text="The name of a guest. If it is left out, the name stays as it is. An empty text removes it.",
    )


class PaymentInput(ContactInput):
    reservation_id = WholeNumberField(min_value=1, max_value=LARGEST_ID)


class PayInput(ContactInput):
    token = serializers.CharField(
        max_length=TOKEN_LENGTH, help_text="The text that the gateway's form returned for the card."
    )
    price = MoneyField(
        required=False,
        validators=[RegexValidator(f"^{PRICE}$", "This must be a decimal number in digits, such as 15.00.")],
        help_text="The `full_price` that the buyer was shown. If it has changed since, nobody is charged.",
    )


class RefundInput(StrictSerializer):
    amount = MoneyField(
        required=False,
        help_text="A number with the currency's decimals. Without it, the full remaining amount is refunded.",
    )
    return_tickets = serializers.BooleanField(
        default=False,
        help_text=("Whether to put the tickets back on sale. Possible only with a full refund."),
    )


class Payment(serializers.Serializer):
    id = serializers.IntegerField()
    reservation = serializers.IntegerField(help_text="The first reservation of the order.")
    reservations = serializers.ListField(
        child=serializers.IntegerField(), help_text="The reservations of the order that the payment is for."
    )
    full_price = serializers.CharField()
    amount = serializers.CharField(
        allow_null=True, help_text="The money that was charged, or null before that."
    )
    refunded = serializers.CharField(
        allow_null=True, help_text="The money that went back to the buyer, or null before the charge."
    )
    currency = serializers.CharField(allow_null=True)
    payment_status = serializers.ChoiceField(choices=[status.value for status in ShownStatus])
    error = serializers.CharField(help_text="The sentence that tells the buyer why the payment failed.")
    unanswered = serializers.BooleanField(
        help_text="Whether the gateway never answered. It may still charge the payment, so the payment cannot be"
        " paid again or removed."
    )
    requires_action = serializers.DictField(
        allow_null=True, help_text="The step that the buyer's browser must do next, or null if there is none."
    )
    created = serializers.DateTimeField()
    version = serializers.IntegerField()


class Refund(serializers.Serializer):
    id = serializers.IntegerField()
    amount = serializers.CharField()
    return_tickets = serializers.BooleanField(
        help_text=("Whether the tickets go back on sale when the refund succeeds.")
    )
    status = serializers.ChoiceField(choices=[status.value for status in RefundStatus])
    error = serializers.CharField(help_text="The gateway's reason, if it refused the refund.")
    elsewhere = serializers.BooleanField(
        help_text="Whether staff recorded that the refund was made outside this shop."
    )
    created = serializers.DateTimeField()


class PaymentDetail(Payment):
    refunds = Refund(
        many=True, required=False, help_text="Only for staff who may refund: all refunds, the oldest first."
    )


class RefundedPayment(Payment):
    refund = serializers.IntegerField(
        help_text="The id of the refund that this request, or an earlier one with its key, has started."
    )
    refunds = Refund(many=True)
