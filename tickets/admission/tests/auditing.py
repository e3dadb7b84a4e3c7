"""I9, read from the tables: each validated reservation has one valid ticket for each seat, and no other has any."""

from collections.abc import Iterable

from tickets.admission.models import Ticket
from tickets.models import Reservation


def audit_tickets(*, given_back: Iterable[int] = ()) -> None:
    """Check I9; `given_back` are the orders that were refunded in whole."""
    without = set(given_back)
    for reservation in Reservation.objects.all():
        standing = Ticket.objects.filter(reservation=reservation).exclude(state="revoked")
        paid = reservation.state == "validated" and (reservation.lead_id or reservation.pk) not in without
        due = reservation.quantity if paid else 0
        assert sorted(standing.values_list("seat", flat=True)) == list(range(1, due + 1)), reservation
        assert set(standing.values_list("event_id", flat=True)) <= {reservation.ticket_type.event_id}
