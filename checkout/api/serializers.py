"""The input that the API takes, and the schema of its answers."""

from django.core.validators import RegexValidator
from rest_framework import serializers

from checkout.price_rules import PRICE
from checkout.rules import TOKEN_LENGTH, RefundStatus, ShownStatus
from overlord.kernel.numbers import LARGEST_ID
from overlord.kernel.serializer_fields import MoneyField, WholeNumberField
from overlord.kernel.texts import EMAIL_LENGTH, PERSON_NAME_LENGTH


class ContactInput(serializers.Serializer):
    email = serializers.EmailField(
        max_length=EMAIL_LENGTH,
        required=False,
        allow_blank=True,
        help_text="Where a guest's tickets go. Those of an account go to its own address."
        " Left out or empty: as it was.",
    )
    name = serializers.CharField(
        max_length=PERSON_NAME_LENGTH,
        required=False,
        allow_blank=True,
        help_text="The name of a guest. Left out: as it was; empty: none.",
    )


class PaymentInput(ContactInput):
    reservation_id = WholeNumberField(min_value=1, max_value=LARGEST_ID)


class PayInput(ContactInput):
    token = serializers.CharField(
        max_length=TOKEN_LENGTH, help_text="What the gateway's form gave for the card."
    )
    price = MoneyField(
        required=False,
        validators=[RegexValidator(f"^{PRICE}$", "This must be a decimal in plain digits, such as 15.00.")],
        help_text="The `full_price` that the buyer was shown. If it is another one by now, nobody is charged.",
    )


class RefundInput(serializers.Serializer):
    amount = MoneyField(
        required=False,
        help_text="A decimal with the currency's digits. Left out: all that is left.",
    )
    return_tickets = serializers.BooleanField(
        default=False, help_text="Put the tickets back on sale; with a full refund only."
    )


class Payment(serializers.Serializer):
    id = serializers.IntegerField()
    reservation = serializers.IntegerField(help_text="The first reservation of the order.")
    reservations = serializers.ListField(
        child=serializers.IntegerField(), help_text="All reservations that it pays for."
    )
    full_price = serializers.CharField()
    amount = serializers.CharField(allow_null=True, help_text="What was charged; null until then.")
    refunded = serializers.CharField(
        allow_null=True, help_text="What has gone back to the buyer; null until it is charged."
    )
    currency = serializers.CharField(allow_null=True)
    payment_status = serializers.ChoiceField(choices=[status.value for status in ShownStatus])
    error = serializers.CharField(help_text="Why it failed, as the buyer is told.")
    unanswered = serializers.BooleanField(
        help_text="Whether the gateway never answered. It may still charge the payment, so the payment cannot be"
        " paid again or removed."
    )
    requires_action = serializers.DictField(
        allow_null=True, help_text="What the buyer's browser must do next."
    )
    created = serializers.DateTimeField()
    version = serializers.IntegerField()


class Refund(serializers.Serializer):
    id = serializers.IntegerField()
    amount = serializers.CharField()
    return_tickets = serializers.BooleanField(help_text="Whether its success puts the tickets back on sale.")
    status = serializers.ChoiceField(choices=[status.value for status in RefundStatus])
    error = serializers.CharField(help_text="Why the gateway refused it, as it says.")
    elsewhere = serializers.BooleanField(
        help_text="Whether staff recorded that the money went back outside of this shop."
    )
    created = serializers.DateTimeField()


class PaymentDetail(Payment):
    refunds = Refund(many=True, required=False, help_text="For staff who may refund: all, the oldest first.")


class RefundedPayment(Payment):
    refund = serializers.IntegerField(help_text="Which of the refunds this request has started.")
    refunds = Refund(many=True)
