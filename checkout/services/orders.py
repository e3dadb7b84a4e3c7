"""Actions of staff on an order, except for its money. Each transaction also records its action and the actor."""

from datetime import datetime

from django.db.models import F

from checkout import operations, order_rules, selectors
from checkout.models import Receipt
from checkout.order_rules import OrderAction
from checkout.rules import PaymentStatus
from overlord.accounts import operations as accounts
from overlord.kernel import db
from overlord.kernel.errors import NotFound
from tickets import operations as tickets
from tickets import selectors as ticket_selectors
from tickets.admission import operations as admission
from tickets.line import selectors as line
from tickets.models import Reservation


def receipt_resend(*, staff_id: int, order_id: int) -> None:
    """Send the mail with the tickets of a paid order again; raise NotFound, NothingToSend or NoAddress."""
    with db.transaction():
        charged = selectors.payment_charged(order_id=order_id)
        payment = operations.payment_lock(payment_id=charged.pk) if charged else None
        order, now = _order(order_id)
        if payment is None or payment.status != PaymentStatus.SUCCESS:
            raise order_rules.NothingToSend()
        if not selectors.has_tickets_to_send(order_id=order_id):
            raise order_rules.NothingToSend()
        if not order[0].buyer.mail_address:
            raise order_rules.NoAddress()
        again = {"attempts": 0, "next_look_at": now}
        if not Receipt.objects.filter(payment=payment).update(**again, issue=F("issue") + 1):
            Receipt.objects.create(payment=payment, **again)  # the buyer had no address before
        _record(order, staff_id, OrderAction.MAIL, f"to {order[0].buyer.mail_address}", now=now)


def address_change(
    *, staff_id: int, order_id: int, before: str, name_before: str, email: str, name: str
) -> None:
    """Change the address and the name of a guest. The earlier address no longer leads to the orders.

    A guest has one address and one name for all orders. `before` and `name_before` are the values that staff saw.

    Raise NotFound, AddressOfAccount, OrderOutdated or EmailHasAccount. Raise WaitsInLine for a guest who waits,
    with a proven address, in a line that may still give tickets. The place in the line belongs to that address, and
    the guest could not find it without the address.
    """
    with db.transaction():
        buyer = accounts.user_lock(user_id=_buyer_id(order_id))  # a user is locked before the user's orders
        order, now = _order(order_id)
        if not buyer.is_guest:
            raise order_rules.AddressOfAccount()
        seen = (buyer.contact_email, buyer.contact_name) == (before, name_before)
        if order[0].buyer_id != buyer.pk or not seen:
            raise order_rules.OrderOutdated()
        is_other = email != before
        was_proven = is_other and accounts.guest_proof_end(user_id=buyer.pk, email=email)
        if was_proven and line.is_waiting(buyer_id=buyer.pk, now=now):
            raise order_rules.WaitsInLine()
        accounts.guest_contact_set(
            user_id=buyer.pk, email=email if is_other else None, name=name, by_staff=True
        )
        if is_other:
            for each in {order_id, *ticket_selectors.orders_paid(buyer_id=buyer.pk)}:
                admission.order_link_renew(order_id=each)
        text = f"from {before or 'none'} to {email}"
        if name != name_before:
            text = f"{text}\n{name_before}\n{name}"
        _record(order, staff_id, OrderAction.ADDRESS, text, now=now)


def hold_release(*, staff_id: int, order_id: int) -> None:
    """Release the holds of an order; raise NotFound, PaymentInProgress, AlreadyValidated or ReservationEnded."""
    with db.transaction():
        order, now = _order(order_id)
        held = [each for each in order if each.state == Reservation.State.HELD] or order[:1]
        tickets.reservations_release(reservations=held, now=now)
        _record(order, staff_id, OrderAction.RELEASE, "", now=now)


def note_add(*, staff_id: int, order_id: int, text: str) -> None:
    """Keep a note about an order; raise NotFound or Invalid."""
    note = order_rules.note_read(text)
    with db.transaction():
        order, now = _order(order_id)
        _record(order, staff_id, OrderAction.NOTE, note, now=now)


def _buyer_id(order_id: int) -> int:
    buyer_id = Reservation.objects.filter(pk=order_id).values_list("buyer_id", flat=True).first()
    if buyer_id is None:
        raise NotFound()
    return buyer_id


def _order(order_id: int) -> tuple[list[Reservation], datetime]:
    """Lock an order; return its reservations and `now`; raise NotFound."""
    order, now = tickets.order_lock(order_id=order_id)
    if order[0].lead_id is not None:  # this is a reservation of an order, but not its lead
        raise NotFound()
    return order, now


def _record(
    order: list[Reservation], staff_id: int, action: OrderAction, text: str, *, now: datetime
) -> None:
    operations.order_record(order_id=order[0].pk, staff_id=staff_id, action=action, text=text, now=now)
