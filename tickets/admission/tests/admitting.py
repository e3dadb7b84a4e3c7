"""Paid reservations and their tickets, for the tests of this app and of the apps above."""

from overlord.accounts.models import User
from overlord.kernel import db
from tickets import operations
from tickets.admission.models import Ticket
from tickets.models import Reservation, TicketType
from tickets.tests.reserving import claim


def paid(buyer: User, ticket_type: TicketType, quantity: int = 1) -> Reservation:
    """Reserve tickets and validate them, as a settled payment does."""
    reservation_id = claim(buyer.pk, ticket_type, quantity).reservation["id"]
    with db.transaction():
        validate(order_id=reservation_id)
    return Reservation.objects.get(pk=reservation_id)


def validate(*, order_id: int) -> None:
    """Validate a held order, as a settled payment does."""
    order, now = operations.order_lock(order_id=order_id)
    reservations = operations.order_begin_paying(order=order, now=now)
    operations.order_validate(reservations=reservations, now=now)


def give_back(reservation: Reservation) -> None:
    """Put the seats of a paid reservation back on sale."""
    with db.transaction():
        locked = operations.reservation_lock(reservation_id=reservation.pk)
        operations.reservations_return(reservations=[locked], now=db.now())


def tickets_of(reservation: Reservation) -> list[Ticket]:
    """Return a reservation's tickets in order."""
    return list(Ticket.objects.filter(reservation=reservation).order_by("seat"))
