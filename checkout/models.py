"""Paying for reservations. Fields and constraints only; transitions are in `rules`, steps in `operations`."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from tickets.models import Reservation


class Payment(models.Model):
    """One buyer's payment of one reservation, through as many tries as it takes."""

    class Status(models.TextChoices):
        NOT_STARTED = "NOT_STARTED"
        PENDING = "PENDING"
        PROCESSING = "PROCESSING"
        SUCCESS = "SUCCESS"
        FAILURE = "FAILURE"
        REFUNDED = "REFUNDED"

    client = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    reservation = models.ForeignKey(Reservation, on_delete=models.PROTECT, related_name="payments")
    status = models.CharField(max_length=12, choices=Status, default=Status.NOT_STARTED)
    amount = models.BigIntegerField(help_text="In minor units.")
    currency = models.CharField(max_length=3)
    error = models.TextField(blank=True, help_text="Why it failed, in a buyer's words.")
    gateway = models.CharField(max_length=20)
    gateway_reference = models.CharField(max_length=100, blank=True, help_text="The intent at the gateway.")
    gateway_token = models.CharField(max_length=200, blank=True, help_text="Erased at the outcome.")
    try_number = models.IntegerField(
        default=0, help_text="Rises when the buyer presses again after a decline."
    )
    lease_until = models.DateTimeField(null=True, help_text="Until when one worker has it to himself.")
    deadline = models.DateTimeField(null=True, help_text="When an unknown outcome must be settled.")
    created = models.DateTimeField()
    version = models.BigIntegerField(default=1)

    IN_FLIGHT = (Status.PENDING, Status.PROCESSING)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount__gte=0), name="payment_amount_not_negative"),
            models.UniqueConstraint(
                fields=["reservation"],
                condition=Q(status__in=["PENDING", "PROCESSING"]),
                name="payment_one_in_flight_per_reservation",
            ),
            models.UniqueConstraint(
                fields=["reservation"],
                condition=Q(status="SUCCESS"),
                name="payment_one_captured_per_reservation",
            ),
            models.CheckConstraint(
                condition=Q(gateway_token="") | Q(status__in=["PENDING", "PROCESSING"]),
                name="payment_token_erased_at_the_outcome",
            ),
        ]
        indexes = [
            models.Index(fields=["client", "-id"], name="payment_by_client"),
            models.Index(
                fields=["lease_until"],
                condition=Q(status__in=["PENDING", "PROCESSING"]),
                name="payment_in_flight",
            ),
        ]

    def __str__(self) -> str:
        return f"payment {self.pk} ({self.status})"
