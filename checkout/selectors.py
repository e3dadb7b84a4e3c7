"""Reads of payments."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from checkout import representation
from checkout.models import Payment


def payments_of(*, client_id: int) -> QuerySet[Payment]:
    """Will select a client's payments."""
    return Payment.objects.filter(client_id=client_id)


def payment_of(*, client_id: int, payment_id: int) -> Payment | None:
    """Will find one payment of the client's; another's looks like none."""
    return payments_of(client_id=client_id).filter(pk=payment_id).first()


def payments_shown(*, reservation_ids: Collection[int]) -> dict[int, list[dict[str, Any]]]:
    """Will give the payments of reservations as the API does, newest first: {client: [payment]}."""
    shown: dict[int, list[dict[str, Any]]] = {}
    for paid in Payment.objects.filter(reservation_id__in=reservation_ids).order_by("-id"):
        shown.setdefault(paid.client_id, []).append(representation.payment(paid))
    return shown


def payments_to_resume(*, now: datetime, most: int) -> list[int]:
    """Will find payments in flight that no worker has: their message was lost, or their worker died."""
    idle = Payment.objects.filter(status__in=Payment.IN_FLIGHT, lease_until__lte=now)
    return list(idle.order_by("lease_until").values_list("pk", flat=True)[:most])
