"""The data of one person: export it, and erase everything that identifies the person.

An erased person's reservations and payments stay, with their amounts and times, so that counters and bookkeeping
stay right; nothing in them leads to the person any more (docs/privacy.md).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.db.models.fields.reverse_related import ForeignObjectRel
from django.utils.translation import gettext_noop

from checkout.models import OrderRecord, Payment, Refund
from checkout.order_rules import NotThisPerson, PersonIsStaff
from checkout.rules import IN_FLIGHT, REFUND_IN_FLIGHT, PaymentStatus
from overlord.accounts import operations as accounts
from overlord.accounts import selectors as account_selectors
from overlord.accounts.models import User
from overlord.journal import operations as journal
from overlord.journal.actions import Action
from overlord.kernel import db
from overlord.kernel.errors import NotFound
from overlord.kernel.pruning import BATCH, unreferenced
from tickets.admission.models import HandOverNotice, Ticket
from tickets.line import operations as line
from tickets.models import MoveNotice, Reservation

# Fields that name the user who did something as staff. Such a field does not make a row this user's data. Any other
# field that refers to a user makes the row that user's own data.
OF_STAFF = {
    "accounts.StaffInvitation.invited_by",
    "admin.LogEntry.user",
    "admission.Scan.actor",
    "admission.Scan.undone_by",
    "checkout.CounterSale.sold_by",
    "checkout.EventCancellation.requested_by",
    "checkout.OrderRecord.actor",
    "checkout.Refund.requested_by",
    "journal.JournalEntry.actor",
    "line.StaffAction.actor",
    "mailings.Mailing.author",
}
# Fields whose values would let a reader act as this person or as the shop. No export has them.
SECRET = {"password", "key_hash", "seed", "code_hash", "gateway_token", "gateway_nonce", "serial"}
# Fields outside the user's own row that identify a person, by model: the path to the person, and the values that
# replace them.
NAMING: dict[str, tuple[str, dict[str, Any]]] = {
    "tickets.Reservation": ("buyer", {"person_key": None, "idempotency_key": None}),
    "checkout.OrderRecord": ("order__buyer", {"text": ""}),
    "journal.JournalEntry": ("person", {"facts": {}}),
    "admission.Ticket": ("reservation__buyer", {"holder": ""}),
    "admission.HandOverNotice": ("ticket__reservation__buyer", {"to": ""}),
}

_erasers: list[Callable[..., None]] = []


def register_eraser(erase: Callable[..., None]) -> None:
    """Register a function that erases the data which an app above checkout keeps about a person.

    The call is `erase(user_id=..., others=...)`, in the transaction of the erasure. `others` has the person's
    addresses, each with the ids of the other users who keep it. These users are locked. An app registers its
    function when it is loaded.
    """
    _erasers.append(erase)


class Unfinished(Exception):
    """Something that concerns the person is not finished yet; the error's text says what."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The data of a person, in numbers, and what must end before the person can be erased."""

    user: User
    shown_as: str
    reservations: int
    payments: int
    tickets: int
    notes: int
    tokens: int
    is_shared: bool  # other users have one of the addresses too
    going_on: list[str]


def person_kept(*, user_id: int) -> Kept:
    """Return how much data is kept about a user; raise NotFound."""
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise NotFound()
    return Kept(
        user=user,
        shown_as=shown_as(user),
        reservations=Reservation.objects.filter(buyer=user_id).count(),
        payments=Payment.objects.filter(buyer=user_id).count(),
        tickets=Ticket.objects.filter(reservation__buyer=user_id).count(),
        notes=OrderRecord.objects.filter(order__buyer=user_id).exclude(text="").count(),
        tokens=user.api_tokens.count(),
        is_shared=any(_others_with(address=each, user_id=user_id).exists() for each in user.addresses),
        going_on=list(_going_on(user_id)),
    )


def person_export(*, user_id: int, now: datetime, staff_id: int | None = None) -> dict[str, Any]:
    """Return all data that is kept about a user, by table, and record the export in the journal; raise NotFound."""
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise NotFound()
    found: dict[str, dict[Any, dict[str, Any]]] = {}
    waiting: list[Model] = [user]
    while waiting:
        row = waiting.pop()
        rows = found.setdefault(row._meta.label, {})
        if row.pk not in rows:
            rows[row.pk] = _fields(row)
            waiting.extend(_referring(row))
    tables = {label: [rows[pk] for pk in sorted(rows)] for label, rows in sorted(found.items())}
    with db.transaction():
        journal.entry_add(actor_id=staff_id, action=Action.PERSON_EXPORTED, person_id=user_id, now=now)
    return {"exported_at": now, "user": user_id, "tables": tables}


def _referring(row: Model) -> Iterator[Model]:
    """Yield the rows that refer to `row` and are data of the same person."""
    for relation in row._meta.get_fields(include_hidden=True):
        if isinstance(relation, ForeignObjectRel) and label_of(relation) not in OF_STAFF:
            yield from relation.related_model._base_manager.filter(**{relation.field.name: row.pk})


def label_of(relation: ForeignObjectRel) -> str:
    """Return the name of the field that refers to another row, with its model: tickets.Reservation.buyer."""
    return f"{relation.related_model._meta.label}.{relation.field.name}"


def _fields(row: Model) -> dict[str, Any]:
    names = [field.attname for field in row._meta.concrete_fields if field.name not in SECRET]
    return {name: getattr(row, name) for name in names}


def person_erase(*, user_id: int, staff_id: int | None = None, typed: str | None = None) -> None:
    """Erase everything that identifies a user; raise NotFound, or Unfinished, which says what must end first.

    `typed` is the text by which staff confirm the person. Raise NotThisPerson if it is not the person's `shown_as`,
    and PersonIsStaff for a person with access to the box office. A command on the server gives neither `staff_id`
    nor `typed`. Then neither of these two errors is raised.
    """
    with db.transaction():
        user = _lock_with_others(user_id)
        if staff_id is not None:
            _check_erasure(user, typed or "")
        # First end the entries. A worker that gives tickets locks the entries, and then makes reservations that
        # refer to the user's row. The next step changes the username. From then on, such a reservation waits for
        # this transaction. If that step came first, the worker and this transaction would wait for each other.
        line.entries_end(buyer_id=user_id)
        # Before the checks: a claim of this buyer waits for the user's row, so no claim comes between a check and
        # the erasure.
        accounts.user_anonymise(user_id=user_id)
        if going_on := list(_going_on(user_id)):
            raise Unfinished(", ".join(going_on))
        others = {address: _others_locked(address, user_id) for address in sorted(user.addresses)}
        for address, found in others.items():
            if not found:
                _address_forget(address)
        for erase in _erasers:
            erase(user_id=user_id, others=others)
        for label, (buyer, instead) in NAMING.items():
            apps.get_model(label)._base_manager.filter(**{buyer: user_id}).update(**instead)
        journal.entry_add(actor_id=staff_id, action=Action.PERSON_ERASED, person_id=user_id, now=db.now())


def _lock_with_others(user_id: int) -> User:
    """Lock a user, and the others who keep one of the user's addresses, in the order of their ids; raise NotFound.

    Return the user.

    If each erasure locked its own user first, two users with the same address who are erased at the same time would
    wait for each other.
    """
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise NotFound()
    ids = {user_id}
    for address in user.addresses:
        ids.update(_others_with(address=address, user_id=user_id).values_list("pk", flat=True))
    locked = User.objects.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True)
    found = {each.pk: each for each in locked}
    if user_id not in found:
        raise NotFound()
    return found[user_id]


def shown_as(user: User) -> str:
    """Return the text that staff must type to confirm the person: the e-mail address, otherwise the username."""
    return user.mail_address or user.username


def _check_erasure(user: User, typed: str) -> None:
    if user.is_staff or user.is_superuser:
        raise PersonIsStaff()
    if typed.strip().casefold() != shown_as(user).casefold():
        raise NotThisPerson()


def _others_with(*, address: str, user_id: int) -> QuerySet[User]:
    """Select the other users who keep an address: accounts, and guests with tickets that are held or paid for.

    Guests without tickets do not count, because they are deleted after a while, and a deletion forgets no address.
    If they counted, the address of an erased person could stay for ever.
    """
    of_guest = Reservation.objects.filter(
        buyer=OuterRef("pk"), state__in=[*Reservation.LIVE, Reservation.State.VALIDATED]
    )
    others = account_selectors.others_with(address=address, user_id=user_id)
    return others.filter(Q(is_guest=False) | Exists(of_guest))


def _others_locked(address: str, user_id: int) -> list[int]:
    """Lock the other users who keep an address, and return their ids.

    Because of the locks, their erasures run one after the other, and the last one forgets the address.
    """
    others = _others_with(address=address, user_id=user_id).select_for_update(no_key=True)
    return list(others.values_list("pk", flat=True))


def _address_forget(address: str) -> None:
    """Erase an address from the journal, and from tickets that were handed to it. The tickets stay valid."""
    Ticket.objects.filter(handed_to__iexact=address).update(handed_to=Ticket.NOBODY, holder="")
    HandOverNotice.objects.filter(to__iexact=address).update(to="")
    journal.address_forget(address=address)


def guests_forget(*, before: datetime) -> int:
    """Erase what identifies the guests who joined before `before` and bought nothing; return how many guests.

    Their rows stay, because their tries to pay are kept.
    """
    count = 0
    while True:
        with db.transaction():
            # A guest may begin to pay at this moment. Then either the guest's transaction waits for this lock, or
            # this lock waits for it, and the second query sees the payment.
            found = _guests_to_forget(before).order_by("pk").select_for_update(no_key=True)
            locked = list(found.values_list("pk", flat=True)[:BATCH])
            if not locked:
                return count
            ids = list(_guests_to_forget(before).filter(pk__in=locked).values_list("pk", flat=True))
            accounts.contacts_erase(user_ids=ids)
            for label, (buyer, instead) in NAMING.items():
                apps.get_model(label)._base_manager.filter(**{f"{buyer}__in": ids}).update(**instead)
        count += len(ids)


def _guests_to_forget(before: datetime) -> QuerySet[User]:
    """Select the guests with an address or a name who have only ended holds and payments without a charge.

    The guests joined, and their holds ended, before `before`.
    """
    ended = Q(state__in=Reservation.ENDED, ended_at__lt=before, validated_at=None)
    others = Reservation.objects.filter(~ended, buyer=OuterRef("pk"))
    charged = Payment.objects.filter(buyer=OuterRef("pk")).exclude(
        status__in=[PaymentStatus.NOT_STARTED, PaymentStatus.FAILURE]
    )
    guests = User.objects.filter(~Exists(others), ~Exists(charged), is_guest=True, date_joined__lt=before)
    known = guests.exclude(contact_email="", contact_name="", verified_email="")
    return unreferenced(known, but=(Reservation, Payment))


def _going_on(user_id: int) -> Iterator[str]:
    """Yield what must end before a user is erased, because it needs the address or would still change rows."""
    if Reservation.objects.filter(buyer=user_id, state__in=Reservation.LIVE).exists():
        yield gettext_noop("tickets are reserved")
    if Payment.objects.filter(buyer=user_id, status__in=IN_FLIGHT).exists():
        yield gettext_noop("a payment is in progress")
    if Refund.objects.filter(payment__buyer=user_id, status__in=REFUND_IN_FLIGHT).exists():
        yield gettext_noop("a refund is in progress")
    owed = Q(receipt__next_look_at__isnull=False) | Q(refunds__notice__next_look_at__isnull=False)
    owed |= Q(cancelled__next_look_at__isnull=False)
    moved = MoveNotice.objects.filter(buyer=user_id, next_look_at__isnull=False)
    handed = HandOverNotice.objects.filter(ticket__reservation__buyer=user_id, next_look_at__isnull=False)
    if Payment.objects.filter(owed, buyer=user_id).exists() or moved.exists() or handed.exists():
        yield gettext_noop("a mail still has to be sent")
