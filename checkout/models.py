"""The tables of payments, refunds, mails and incidents. `rules` has the transitions, `operations` the steps."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from checkout.order_rules import OrderAction
from checkout.rules import IN_FLIGHT, REFUND_IN_FLIGHT, TOKEN_LENGTH, PaymentStatus, RefundStatus
from overlord.kernel.idempotency import KEY_LENGTH
from tickets.models import Event, Reservation


class Payment(models.Model):
    """One buyer's payment of one order, with all its tries. The field `reservation` is the order's lead."""

    Status = PaymentStatus
    IN_FLIGHT = IN_FLIGHT

    buyer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    reservation = models.ForeignKey(Reservation, on_delete=models.PROTECT, related_name="payments")
    status = models.CharField(
        max_length=12,
        choices=[(status.value, status.value.replace("_", " ").title()) for status in PaymentStatus],
        default=PaymentStatus.NOT_STARTED.value,
    )
    amount_minor = models.BigIntegerField("amount", help_text="In minor units.")
    refunded_minor = models.BigIntegerField(
        "refunded", default=0, help_text="Refunded or being refunded, in minor units."
    )
    currency = models.CharField(max_length=3)
    error = models.TextField(blank=True, help_text="The sentence that tells the buyer why it failed.")
    requires_action = models.JSONField(null=True, help_text="The step that the buyer's browser must do next.")
    gateway = models.CharField(max_length=20)
    gateway_reference = models.CharField(
        max_length=100, blank=True, help_text="The gateway's name for the intent of this try."
    )
    gateway_nonce = models.CharField(
        max_length=32,
        blank=True,
        default="",
        db_default="",
        help_text="A random text for each try. It is part of the gateway's keys.",
    )
    gateway_token = models.CharField(max_length=TOKEN_LENGTH, blank=True, help_text="Erased at the outcome.")
    try_number = models.IntegerField(
        default=0, help_text="Rises when the buyer tries again. It is part of the gateway's keys."
    )
    attempts = models.IntegerField(default=0, help_text="How often a worker has taken this try.")
    lease_until = models.DateTimeField(null=True, help_text="When one worker's exclusive time ends.")
    next_look_at = models.DateTimeField(null=True, help_text="When a worker looks at it again.")
    deadline = models.DateTimeField(null=True, help_text="When it is cancelled unless it has an outcome.")
    created = models.DateTimeField()
    version = models.BigIntegerField(default=1)

    class Meta:
        permissions = [("refund_payment", "Can refund payments")]
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gte=0), name="payment_amount_not_negative"),
            models.CheckConstraint(
                condition=Q(refunded_minor__gte=0, refunded_minor__lte=F("amount_minor")),
                name="payment_refunded_at_most_its_amount",
            ),
            models.UniqueConstraint(
                fields=["reservation"],
                condition=Q(status__in=[*IN_FLIGHT]),
                name="payment_one_in_flight_per_reservation",
            ),
            models.UniqueConstraint(
                fields=["reservation"],
                condition=Q(status=PaymentStatus.SUCCESS),
                name="payment_one_captured_per_reservation",
            ),
            models.CheckConstraint(
                condition=Q(gateway_token="") | Q(status__in=[*IN_FLIGHT]),
                name="payment_token_erased_at_the_outcome",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=[*IN_FLIGHT]) | Q(next_look_at__isnull=False, deadline__isnull=False),
                name="payment_in_flight_is_looked_after",
            ),
        ]
        indexes = [
            models.Index(fields=["buyer", "-id"], name="payment_by_buyer"),
            models.Index(
                fields=["next_look_at"], condition=Q(next_look_at__isnull=False), name="payment_to_look_after"
            ),
            models.Index(fields=["gateway_reference"], name="payment_by_reference"),
        ]

    def __str__(self) -> str:
        return f"payment {self.pk} ({self.status})"

    @property
    def left_minor(self) -> int:
        """Return how much money can still be refunded, in minor units."""
        return self.amount_minor - self.refunded_minor


class Refund(models.Model):
    """Money that goes back to a buyer."""

    Status = RefundStatus

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    amount_minor = models.BigIntegerField("amount", help_text="In minor units.")
    return_tickets = models.BooleanField(default=False)
    idempotency_key = models.CharField(max_length=KEY_LENGTH, null=True, help_text="Of the API request.")
    amount_left_out = models.BooleanField(
        null=True, help_text="Whether the request named no amount. Empty: this is not known."
    )
    status = models.CharField(
        max_length=10,
        choices=[(status.value, status.value.title()) for status in RefundStatus],
        default=RefundStatus.PENDING.value,
    )
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Empty if the system started it, because the money came late.",
    )
    gateway_reference = models.CharField(max_length=100, blank=True)
    error = models.TextField(
        blank=True, default="", db_default="", help_text="The gateway's reason, if it refused."
    )
    elsewhere = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Staff recorded that the money went back outside of this shop.",
    )
    gateway_nonce = models.CharField(max_length=32, blank=True, default="", db_default="")
    try_number = models.IntegerField(default=1)
    attempts = models.IntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    next_look_at = models.DateTimeField(null=True)
    created = models.DateTimeField()

    class Meta:
        permissions = [("retry_refund", "Can retry refunds that failed")]
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gte=1), name="refund_amount_positive"),
            models.UniqueConstraint(
                fields=["payment"],
                condition=Q(status__in=[*REFUND_IN_FLIGHT]),
                name="refund_one_in_flight_per_payment",
            ),
            models.UniqueConstraint(
                fields=["payment", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="refund_unique_idempotency_key",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_look_at"], condition=Q(next_look_at__isnull=False), name="refund_to_look_after"
            ),
            models.Index(
                fields=["created", "id"], condition=Q(requested_by__isnull=False), name="refund_by_staff"
            ),
        ]

    def __str__(self) -> str:
        return f"refund {self.pk} of payment {self.payment_id} ({self.status})"


class WebhookEvent(models.Model):
    """A message of a gateway that was processed. Each message is processed once."""

    gateway = models.CharField(max_length=20)
    event_id = models.CharField(max_length=255)
    received = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["gateway", "event_id"], name="webhook_event_once")]

    def __str__(self) -> str:
        return f"{self.gateway} {self.event_id}"


class Receipt(models.Model):
    """The mail about a successful payment. The row is written with the success; a worker sends the mail later."""

    payment = models.OneToOneField(
        Payment, on_delete=models.PROTECT, primary_key=True, related_name="receipt"
    )
    attempts = models.IntegerField(default=0)
    next_look_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    issue = models.IntegerField(
        default=1, db_default=1, help_text="Rises when staff send it again. It is in the mail's Message-ID."
    )

    class Meta:
        indexes = [
            models.Index(
                fields=["next_look_at"], condition=Q(next_look_at__isnull=False), name="receipt_to_send"
            ),
        ]

    def __str__(self) -> str:
        return f"receipt of payment {self.payment_id}"


class CounterSale(models.Model):
    """A sale by staff at the counter, for cash or free, without a gateway. The row is never deleted."""

    payment = models.OneToOneField(
        Payment, on_delete=models.PROTECT, primary_key=True, related_name="counter"
    )
    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="+")
    sold_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    is_free = models.BooleanField()
    key = models.CharField(max_length=64, unique=True, help_text="Names the form: each form sells once.")
    at = models.DateTimeField()

    class Meta:
        permissions = [("sell_at_counter", "Can sell at the counter, for cash or free")]
        indexes = [models.Index(fields=["at", "payment"], name="counter_sale_by_time")]

    def __str__(self) -> str:
        return f"sale of payment {self.payment_id} at the counter"


class EventCancellation(models.Model):
    """The cancellation of an event by staff, with the text for its buyers. The row is never deleted."""

    event = models.OneToOneField(Event, on_delete=models.PROTECT, primary_key=True, related_name="+")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    message = models.TextField(blank=True)
    created = models.DateTimeField()
    next_look_at = models.DateTimeField(null=True, help_text="Empty when nothing is left to start.")

    class Meta:
        permissions = [("cancel_event", "Can cancel an event and refund all its orders")]

    def __str__(self) -> str:
        return f"cancellation of event {self.event_id}"


class CancelledOrder(models.Model):
    """A paid order of a cancelled event, and the mail to its buyer. Payment and refund show what is left to do."""

    payment = models.OneToOneField(
        Payment, on_delete=models.PROTECT, primary_key=True, related_name="cancelled"
    )
    cancellation = models.ForeignKey(EventCancellation, on_delete=models.PROTECT, related_name="orders")
    refund = models.OneToOneField(
        Refund,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The refund that the cancellation started. Empty while the order waits for it.",
    )
    settled_at = models.DateTimeField(
        null=True, help_text="When the tickets of an order that cost nothing went back on sale."
    )
    attempts = models.IntegerField(default=0)
    next_look_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["next_look_at"],
                condition=Q(next_look_at__isnull=False),
                name="cancelled_order_to_tell",
            ),
        ]

    def __str__(self) -> str:
        return f"notice of the cancelled payment {self.payment_id}"


class OrderRecord(models.Model):
    """An action of staff on an order, or a note about it. The row is never deleted."""

    What = OrderAction

    order = models.ForeignKey(
        Reservation, on_delete=models.PROTECT, related_name="+", help_text="The order's lead."
    )
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    what = models.CharField(max_length=20, choices=[(each.value, each.value) for each in OrderAction])
    text = models.TextField(blank=True)
    at = models.DateTimeField()

    class Meta:
        permissions = [
            ("manage_orders", "Can see orders, resend mails, change addresses, release holds"),
            ("view_attendees", "Can see and download who has tickets of an event"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(what__in=[*OrderAction]), name="order_record_deed_known")
        ]
        indexes = [models.Index(fields=["at", "id"], name="order_record_by_time")]

    def __str__(self) -> str:
        return f"{self.what} of order {self.order_id}"


class PaymentStep(models.Model):
    """The state of a payment at one time. A trigger writes the row. The row stays when the payment is removed."""

    payment_number = models.BigIntegerField()
    at = models.DateTimeField()
    status = models.CharField(max_length=12)
    try_number = models.IntegerField()
    attempts = models.IntegerField()
    gateway_reference = models.CharField(max_length=100)
    error = models.TextField()

    class Meta:
        indexes = [
            models.Index(fields=["payment_number"], name="payment_step_of"),
            # The monitor's list of the latest activity reads the failed steps by this index.
            models.Index(fields=["id"], condition=Q(status="FAILURE"), name="payment_step_failed"),
        ]

    def __str__(self) -> str:
        return f"payment {self.payment_number}: {self.status}"


class UnmatchedCharge(models.Model):
    """A charge in the gateway's list whose payment our tables have lost. Staff pay it back, or close it."""

    gateway = models.CharField(max_length=20)
    gateway_reference = models.CharField(max_length=100, help_text="The gateway's name for the intent.")
    payment_number = models.BigIntegerField(help_text="The id of the payment that was lost.")
    amount_minor = models.BigIntegerField("amount", help_text="The part not refunded, in minor units.")
    currency = models.CharField(max_length=3)
    charged_at = models.DateTimeField()
    found_at = models.DateTimeField()
    refund_reference = models.CharField(max_length=100, blank=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gte=1), name="unmatched_charge_amount_positive"),
            models.UniqueConstraint(fields=["gateway", "gateway_reference"], name="unmatched_charge_once"),
        ]

    def __str__(self) -> str:
        return f"charge {self.gateway_reference} without a payment"


class RefundNotice(models.Model):
    """The mail that tells a buyer of a refund. The row is written when the money has gone back."""

    refund = models.OneToOneField(Refund, on_delete=models.PROTECT, primary_key=True, related_name="notice")
    attempts = models.IntegerField(default=0)
    next_look_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["next_look_at"],
                condition=Q(next_look_at__isnull=False),
                name="refund_notice_to_send",
            ),
        ]

    def __str__(self) -> str:
        return f"notice of refund {self.refund_id}"

    @property
    def payment(self) -> Payment:
        """Return the payment that was refunded."""
        return self.refund.payment


class Incident(models.Model):
    """Something about a payment that staff should look at."""

    class Cause(models.TextChoices):
        GATEWAY_SILENT = "gateway_silent", "The gateway does not answer; the payment was abandoned"
        LATE_MONEY = "late_money", "The money came late and is being refunded"
        REFUND_FAILED = "refund_failed", "The gateway refused a refund"
        WRONG_AMOUNT = "wrong_amount", "The gateway charged another amount than was asked"
        STUCK = "stuck", "A payment or a refund still has no outcome, or a mail could not be sent"

    cause = models.CharField(max_length=20, choices=Cause)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="incidents")
    detail = models.TextField(blank=True)
    created = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        permissions = [("close_incident", "Can close incidents")]
        constraints = [
            models.UniqueConstraint(
                fields=["payment", "cause"], condition=Q(closed_at=None), name="incident_open_once_per_cause"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_cause_display()}: payment {self.payment_id}"
