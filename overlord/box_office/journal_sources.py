"""The tables that record what staff did: the journal, and tables of other apps.

No deed is recorded twice. A deed that has a row in another app (a refund, a note, a sale at the counter) has no
entry in the journal: the page reads it from that row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import F, Model, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import gettext_noop

from checkout.models import CounterSale, EventCancellation, OrderRecord, Payment, Refund
from checkout.order_rules import OrderAction
from overlord.accounts.models import User
from overlord.journal import actions
from overlord.journal.models import JournalEntry
from overlord.kernel import money
from overlord.shop import formats
from tickets.admission.models import Scan
from tickets.line import labels as line_labels
from tickets.line.models import StaffAction
from tickets.models import Event, Reservation
from tickets.selectors import reservations_of_order

NOTHING = Q(pk__in=[])


@dataclass(frozen=True, kw_only=True)
class Deed:
    """One action of staff, as a page shows it.

    `actor` is None for a command on the server. `event` and `order` are the ids of the event and the order that the
    action is about, and `person` is the user that it is about. Each is None if the action is about none.
    """

    at: datetime
    actor: User | None
    what: str
    event: int | None = None
    order: int | None = None
    person: User | None = None
    request_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A table that records deeds.

    `rows` selects its rows, `at` is the field with the time of a row, and `deed` turns a row into a deed.
    `of_event` and `of_order` take an id, and return the condition for the rows about this event or order.
    `of_person` takes the id of a user, and returns the condition for what this user did, and for what was done to
    this user if the table records that. `of_action` returns the condition for an action. `labels` returns the texts
    of the table's actions, by action.
    """

    rows: Callable[[], QuerySet[Any]]
    at: str
    deed: Callable[[Any], Deed]
    of_event: Callable[[int], Q]
    of_order: Callable[[int], Q]
    of_person: Callable[[int], Q]
    labels: Callable[[], Mapping[str, str]]
    of_action: Callable[[str], Q]


# The journal itself --------------------------------------------------------------------------------------
def _entry(row: JournalEntry) -> Deed:
    return Deed(
        at=row.at,
        actor=row.actor,
        what=actions.sentence(row.action, row.facts),
        event=row.event_number,
        order=row.order_number,
        person=row.person,
        request_id=row.request_id,
    )


JOURNAL = Source(
    rows=lambda: JournalEntry.objects.select_related("actor", "person"),
    at="at",
    deed=_entry,
    of_event=lambda pk: Q(event_number=pk),
    of_order=lambda pk: Q(order_number=pk),
    of_person=lambda pk: Q(actor=pk) | Q(person=pk),
    labels=lambda: {action.value: actions.label(action) for action in actions.Action},
    of_action=lambda action: Q(action=action),
)

# Orders and money ----------------------------------------------------------------------------------------
ORDER_DEEDS = {
    OrderAction.NOTE: _lazy("Wrote a note"),
    OrderAction.MAIL: _lazy("Sent the mail again"),
    OrderAction.ADDRESS: _lazy("Changed the e-mail address of the buyer"),
    OrderAction.RELEASE: _lazy("Released the reservation"),
    OrderAction.RETURN: _lazy("Put tickets back on sale"),
    OrderAction.RETRY: _lazy("Tried a refund again"),
    OrderAction.ELSEWHERE: _lazy("Recorded a refund that was made outside this shop"),
}


def _orders_of(person: int) -> list[int]:
    """Return the ids of a person's orders, as a list: with a join or a subquery, PostgreSQL would read all rows."""
    return list(Reservation.objects.filter(buyer=person, lead=None).values_list("pk", flat=True))


def _payments_of(person: int) -> list[int]:
    return list(Payment.objects.filter(buyer=person).values_list("pk", flat=True))


def _money(minor: int, currency: str) -> str:
    return formats.money(money.to_text(minor, currency), currency)


def _record(row: OrderRecord) -> Deed:
    event = row.order.ticket_type.event_id
    what = str(ORDER_DEEDS[OrderAction(row.what)])
    return Deed(at=row.at, actor=row.actor, what=what, event=event, order=row.order_id)


def _record_action(action: str) -> Q:
    found = [deed for deed in OrderAction if f"order.{deed.name.lower()}" == action]
    return Q(what__in=found)


RECORDS = Source(
    rows=lambda: OrderRecord.objects.select_related("actor", "order__ticket_type"),
    at="at",
    deed=_record,
    of_event=lambda pk: Q(order__ticket_type__event=pk),
    of_order=lambda pk: Q(order=pk),
    of_person=lambda pk: Q(actor=pk) | Q(order__in=_orders_of(pk)),
    labels=lambda: {f"order.{deed.name.lower()}": str(text) for deed, text in ORDER_DEEDS.items()},
    of_action=_record_action,
)


def _refund(row: Refund) -> Deed:
    reservation = row.payment.reservation
    text = _("Refunded %(amount)s") % {"amount": _money(row.amount_minor, row.payment.currency)}
    return Deed(
        at=row.created,
        actor=row.requested_by,
        what=text,
        event=reservation.ticket_type.event_id,
        order=reservation.pk,
    )


REFUNDS = Source(
    # Refunds after the cancellation of an event are left out: CANCELLATIONS has one deed for all of them.
    rows=lambda: (
        Refund.objects.filter(requested_by__isnull=False)
        .filter(Q(payment__cancelled=None) | Q(created__lt=F("payment__cancelled__cancellation__created")))
        .select_related("requested_by", "payment__reservation__ticket_type")
    ),
    at="created",
    deed=_refund,
    of_event=lambda pk: Q(payment__reservation__ticket_type__event=pk),
    of_order=lambda pk: Q(payment__reservation=pk),
    of_person=lambda pk: Q(requested_by=pk) | Q(payment__in=_payments_of(pk)),
    labels=lambda: {"refund": _("Refunded money")},
    of_action=lambda action: Q() if action == "refund" else NOTHING,
)


def _sale(row: CounterSale) -> Deed:
    amount = _money(row.payment.amount_minor, row.payment.currency)
    text = (
        _("Gave tickets free of charge")
        if row.is_free
        else _("Sold for %(amount)s in cash") % {"amount": amount}
    )
    return Deed(at=row.at, actor=row.sold_by, what=text, event=row.event_id, order=row.payment.reservation_id)


SALES = Source(
    rows=lambda: CounterSale.objects.select_related("sold_by", "payment"),
    at="at",
    deed=_sale,
    of_event=lambda pk: Q(event=pk),
    of_order=lambda pk: Q(payment__reservation=pk),
    of_person=lambda pk: Q(sold_by=pk),
    labels=lambda: {"sale": _("Sold at the counter")},
    of_action=lambda action: Q() if action == "sale" else NOTHING,
)

CANCELLATIONS = Source(
    rows=lambda: EventCancellation.objects.select_related("requested_by"),
    at="created",
    deed=lambda row: Deed(
        at=row.created, actor=row.requested_by, what=_("Cancelled the event"), event=row.event_id
    ),
    of_event=lambda pk: Q(event=pk),
    of_order=lambda _pk: NOTHING,
    of_person=lambda pk: Q(requested_by=pk),
    labels=lambda: {"cancelled": _("Cancelled the event")},
    of_action=lambda action: Q() if action == "cancelled" else NOTHING,
)


# Door and line -------------------------------------------------------------------------------------------
def _undo(row: Any) -> Deed:
    """Return the deed that undid an admission. By a constraint, the row has a ticket, an actor and a time."""
    text = _("Undid the admission of ticket %(serial)s") % {"serial": row.ticket.serial}
    order = row.ticket.reservation.order_id
    return Deed(at=row.undone_at, actor=row.undone_by, what=text, event=row.event_id, order=order)


UNDONE = Source(
    rows=lambda: Scan.objects.filter(undone_at__isnull=False).select_related(
        "undone_by", "ticket__reservation"
    ),
    at="undone_at",
    deed=_undo,
    of_event=lambda pk: Q(event=pk),
    of_order=lambda pk: Q(ticket__reservation__in=reservations_of_order(pk)),
    of_person=lambda pk: Q(undone_by=pk),
    labels=lambda: {"undone": _("Undid an admission")},
    of_action=lambda action: Q() if action == "undone" else NOTHING,
)


def _line(row: StaffAction) -> Deed:
    what = line_labels.deeds().get(row.action, row.action)
    return Deed(at=row.at, actor=row.actor, what=what, event=row.event_id)


LINES = Source(
    rows=lambda: StaffAction.objects.select_related("actor"),
    at="at",
    deed=_line,
    of_event=lambda pk: Q(event=pk),
    of_order=lambda _pk: NOTHING,
    of_person=lambda pk: Q(actor=pk),
    labels=lambda: {f"line.{action}": text for action, text in line_labels.deeds().items()},
    of_action=lambda action: Q(action=action.removeprefix("line.")) if action[:5] == "line." else NOTHING,
)

# The admin -----------------------------------------------------------------------------------------------
ADMIN = {ADDITION: _lazy("Admin: added"), CHANGE: _lazy("Admin: changed"), DELETION: _lazy("Admin: deleted")}
ADMIN_SENTENCES = {
    ADDITION: _lazy("Admin: added %(model)s %(name)s"),
    CHANGE: _lazy("Admin: changed %(model)s %(name)s"),
    DELETION: _lazy("Admin: deleted %(model)s %(name)s"),
}
# The names of models and fields in the admin. They are listed here so that `manage.py translations` finds them. The
# log of the admin has them in English, and `LogEntry` translates them. Django's own catalogue has them only in
# lower case.
ADMIN_WORDS = (
    gettext_noop("event"),
    gettext_noop("ticket type"),
    gettext_noop("Name"),
    gettext_noop("Venue"),
    gettext_noop("Address"),
    gettext_noop("Date"),
    gettext_noop("Ends"),
    gettext_noop("Time zone"),
    gettext_noop("Currency"),
    gettext_noop("Description"),
    gettext_noop("Buyers"),
    gettext_noop("Opening"),
    gettext_noop("Price"),
    gettext_noop("Capacity"),
    gettext_noop("Limit per person"),
    gettext_noop("Opens at"),
    gettext_noop("Closes at"),
    gettext_noop("Paused"),
    gettext_noop("Hidden"),
    gettext_noop("First name"),
    gettext_noop("Last name"),
    gettext_noop("Active"),
    gettext_noop("Staff status"),
    gettext_noop("Superuser status"),
    gettext_noop("Groups"),
    gettext_noop("User permissions"),
    gettext_noop("Last login"),
    gettext_noop("Date joined"),
)


def _logged(row: LogEntry) -> Deed:
    model = row.content_type.model_class() if row.content_type else None
    name = _(row.content_type.name) if row.content_type else ""
    what = str(ADMIN_SENTENCES[row.action_flag]) % {"model": name, "name": row.object_repr}
    if row.is_change() and (changes := row.get_change_message()):
        what = f"{what}. {changes}"
    number = row.object_id or ""
    about = int(number) if number.isdecimal() else None
    return Deed(at=row.action_time, actor=row.user, what=what, event=about if model is Event else None)


def _logged_of(model: type[Model], pk: int) -> Q:
    return Q(content_type=ContentType.objects.get_for_model(model), object_id=str(pk))


ADMIN_LOG = Source(
    rows=lambda: LogEntry.objects.select_related("user", "content_type"),
    at="action_time",
    deed=_logged,
    of_event=lambda pk: _logged_of(Event, pk),
    of_order=lambda pk: _logged_of(Reservation, pk),
    of_person=lambda pk: Q(user=pk) | _logged_of(User, pk),
    labels=lambda: {f"admin.{flag}": str(text) for flag, text in ADMIN.items()},
    of_action=lambda action: Q(action_flag__in=[flag for flag in ADMIN if f"admin.{flag}" == action]),
)

# Deeds of the same time are listed in this order.
SOURCES = (JOURNAL, RECORDS, REFUNDS, SALES, CANCELLATIONS, UNDONE, LINES, ADMIN_LOG)
