"""The stage of a reservation on its way to being paid. `static/checkout/stages.js` has the same rule."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from checkout.rules import ReservationState, ShownStatus


class Stage(StrEnum):
    """The state of a reservation and its payment on the buyer's pages."""

    HELD = "held"
    FAILED = "failed"
    UNANSWERED = "unanswered"
    PROCESSING = "processing"
    PAID = "paid"
    EXPIRED = "expired"
    RELEASED = "released"
    REFUNDING = "refunding"
    REFUNDED = "refunded"


def stage_of(reservation: Mapping[str, Any], payment: Mapping[str, Any] | None, *, now: datetime) -> Stage:
    """Return the stage of a reservation and its latest payment, both as the API shows them."""
    status = payment["payment_status"] if payment else ShownStatus.NOT_STARTED
    state = reservation["state"]
    if state == ReservationState.VALIDATED:
        return Stage.REFUNDED if status == ShownStatus.REFUNDED else Stage.PAID
    if state == ReservationState.PAYING:
        return Stage.PROCESSING
    if state == ReservationState.HELD and reservation["expires_at"] > now:
        if payment and payment.get("unanswered"):
            return Stage.UNANSWERED
        return Stage.FAILED if status == ShownStatus.FAILURE else Stage.HELD
    if status == ShownStatus.REFUNDED:
        return Stage.REFUNDED
    if status == ShownStatus.PROCESSING:
        return Stage.REFUNDING
    return Stage.RELEASED if state == ReservationState.RELEASED else Stage.EXPIRED
