"""The stage of a reservation on its way to being paid. `static/checkout/stages.js` decides the same."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

Stage = Literal["held", "failed", "processing", "paid", "expired", "released", "refunding", "refunded"]


def stage_of(reservation: Mapping[str, Any], payment: Mapping[str, Any] | None, *, now: datetime) -> Stage:
    """Return the stage of a reservation and its latest payment, both as the API shows them."""
    status = payment["payment_status"] if payment else "NOT_STARTED"
    state = reservation["state"]
    if state == "validated":
        return "refunded" if status == "REFUNDED" else "paid"
    if state == "paying":
        return "processing"
    if state == "held" and reservation["expires_at"] > now:
        return "failed" if status == "FAILURE" else "held"
    if status == "REFUNDED":
        return "refunded"
    if status == "PROCESSING":
        return "refunding"
    return "released" if state == "released" else "expired"
