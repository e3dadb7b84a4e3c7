"""Actions of a buyer on a payment."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError

from checkout import operations, price_rules, rules
from checkout.models import Payment
from checkout.rules import Contact
from overlord.accounts import operations as accounts
from overlord.kernel import db
from overlord.kernel.preconditions import check_version
from tickets import operations as tickets
from tickets.models import Reservation

RELEASED_SENTENCE = "The reservation was released, and its tickets are back on sale."


@dataclass(frozen=True, kw_only=True)
class OrderPayment:
    """A payment and all reservations of its order, as the transaction left them. `made`: the payment is new."""

    payment: Payment
    order: Sequence[Reservation]
    made: bool = False


@contextmanager
def person_limit_errors() -> Iterator[None]:
    """Run the block. Raise EmailRequired if the database refuses it because a guest has no e-mail address.

    Raise OverLimit if the database refuses it because one person would have too many tickets.
    """
    try:
        yield
    except IntegrityError as error:
        match db.violated(error):
            case "reservation_guest_gives_email":
                raise rules.EmailRequired() from error
            case "reservation_within_max_per_person":
                raise rules.OverLimit(**db.violation_facts(error)) from error
        raise


def payment_create(
    *, buyer_id: int, reservation_id: int, gateway: str, contact: Contact | None = None
) -> OrderPayment:
    """Return the payment of the order that has this reservation of the buyer. Make a payment if there is none.

    Raise NotFound, AlreadyPaid, ReservationExpired or EmailHasAccount.
    """
    with db.transaction():
        _contact_set(buyer_id, contact)
        order, now = tickets.order_lock_with(reservation_id=reservation_id, buyer_id=buyer_id)
        _check_payable(order, now=now)
        payment, made = operations.payment_open(order=order, gateway=gateway, now=now)
    return OrderPayment(payment=payment, order=order, made=made)


def payment_pay(
    *,
    buyer_id: int,
    payment_id: int,
    token: str,
    price: str | None = None,
    calendar_version: int | None = None,
    version: int | None = None,
    contact: Contact | None = None,
    language: str = "",
) -> OrderPayment:
    """Protect the whole order from expiry and hand the payment to a worker. If the price is 0, it succeeds at once.

    Return the payment and its order. The order is paid at its price of this moment. From now on, all mails to the
    buyer are in `language`, if it is not empty.

    Raise NotFound, PaymentInProgress, AlreadyPaid, EventCancelled, Invalid or OverLimit; Outdated if the buyer saw
    another `version` of the payment; OrderChanged if the buyer was shown another `price`; EventMoved if the buyer
    was shown another `calendar_version` of the event; ReservationExpired, with the ids of the reservations that
    have ended; for a guest also EmailRequired or EmailHasAccount.
    """
    rules.check_token(token)
    with person_limit_errors(), db.transaction():
        _contact_set(buyer_id, contact)
        accounts.language_keep(user_id=buyer_id, language=language)
        payment, order, now = operations.payment_order_lock(payment_id=payment_id, buyer_id=buyer_id)
        rules.check_may_pay(payment.status)
        _check_payable(order, now=now)
        rules.check_answered(payment.status)  # last, because an expired hold is the more helpful reason
        reservations = tickets.order_begin_paying(order=order, now=now)
        check_version(version, payment.version)  # after all that forbids to pay whatever the version is
        price_rules.check_price(price, [each.total_minor for each in reservations], currency=payment.currency)
        price_rules.check_event(calendar_version, order[0].ticket_type.event.calendar_version)
        operations.payment_begin(payment=payment, reservations=reservations, token=token, now=now)
    return OrderPayment(payment=payment, order=order)


def reservation_pay(
    *,
    buyer_id: int,
    reservation_id: int,
    gateway: str,
    token: str,
    price: str | None = None,
    calendar_version: int | None = None,
    contact: Contact | None = None,
    language: str = "",
) -> OrderPayment:
    """Make the payment of the order that has this reservation, if there is none, and pay it; return both.

    Raise what `payment_create` and `payment_pay` raise.
    """
    opened = payment_create(buyer_id=buyer_id, reservation_id=reservation_id, gateway=gateway)
    return payment_pay(
        buyer_id=buyer_id,
        payment_id=opened.payment.pk,
        token=token,
        price=price,
        calendar_version=calendar_version,
        contact=contact,
        language=language,
    )


def payment_remove(*, buyer_id: int, payment_id: int, version: int | None = None) -> None:
    """Remove the buyer's payment if it has not started or has failed, and has no incident.

    Raise NotFound; PaymentStarted for any other payment; Outdated if the buyer saw another version of the payment.
    `version` is the version of the payment that the buyer saw, or None if the request names none.
    """
    with db.transaction():
        payment = operations.payment_lock(payment_id=payment_id, buyer_id=buyer_id)
        rules.check_removable(payment.status)
        check_version(version, payment.version)
        operations.payment_remove(payment=payment)


def _check_payable(order: Sequence[Reservation], *, now: datetime) -> None:
    """Raise AlreadyPaid if a part of a locked order is paid.

    Raise ReservationExpired if a part has expired, or if all of it was released.
    """
    states = {each.pk: tickets.reservation_state(reservation=each, now=now) for each in order}
    if Reservation.State.VALIDATED in states.values():
        raise rules.AlreadyPaid()
    expired = [pk for pk, state in states.items() if state == Reservation.State.EXPIRED]
    if expired:
        raise rules.ReservationExpired(state=Reservation.State.EXPIRED, reservations=expired)
    if set(states.values()) == {Reservation.State.RELEASED}:
        raise rules.ReservationExpired(
            RELEASED_SENTENCE, state=Reservation.State.RELEASED, reservations=list(states)
        )


def _contact_set(buyer_id: int, contact: Contact | None) -> None:
    if contact is not None:
        accounts.guest_contact_set(user_id=buyer_id, email=contact.email, name=contact.name)
