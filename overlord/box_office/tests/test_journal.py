"""The journal's page: each action of staff from all tables, once, the latest first."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import connection, transaction
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation
from django.utils.translation import gettext
from rest_framework.test import APIClient

from checkout.models import Payment
from checkout.permissions import Permission as MoneyPermission
from checkout.tests.paying import pay, work
from overlord.accounts.models import User
from overlord.box_office import journal
from overlord.box_office import journal_sources as sources
from overlord.box_office.journal import JournalFilter
from overlord.box_office.journal_sources import SOURCES
from overlord.journal import services
from overlord.journal.actions import Action
from overlord.journal.models import JournalEntry
from overlord.journal.permissions import Permission
from overlord.shop import formats
from tests.clients import permit
from tickets.event_services import event_copy
from tickets.models import Event, TicketType
from tickets.permissions import Permission as TicketsPermission

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def mona(user_make: Callable[..., User]) -> User:
    return permit(
        user_make(username="mona", is_staff=True),
        Permission.VIEW_JOURNAL,
        *MoneyPermission,
        *TicketsPermission,
    )


@pytest.fixture
def office(mona: User) -> Client:
    client = Client(headers={"accept": "text/html"})
    client.force_login(mona)
    return client


def said(**wanted: object) -> list[str]:
    return [deed.what for deed in journal.page(wanted=JournalFilter(**wanted), before=None).deeds]


def test_each_action_is_listed_once_with_its_actor(
    office: Client, mona: User, api: APIClient, payment: Payment
) -> None:
    pay(api, payment)
    paid = work(payment)
    order, event = paid.reservation_id, paid.reservation.ticket_type.event
    office.post(f"/events/{event.pk}/sale/", {"paused": "yes"})
    office.post(f"/office/orders/{order}/note/", {"text": "Called."})
    office.post(f"/office/orders/{order}/refund/", {"amount": "5", "version": str(paid.version)})
    list(office.get(f"/office/events/{event.pk}/attendees.csv/"))
    LogEntry.objects.log_actions(mona.pk, [event], CHANGE, "", single_object=True)
    event.refresh_from_db()
    sent = {"version": str(event.version), "message": "", "confirm": "yes", "sure": "on"}
    office.post(f"/office/events/{event.pk}/cancel/", sent)

    deeds = journal.page(wanted=JournalFilter(event=event.pk), before=None).deeds

    assert [deed.what.partition(" event")[0] for deed in deeds] == [
        "Cancelled the",
        "Admin: changed",
        "Downloaded the list of attendees",
        "Refunded €5.00",
        "Wrote a note",
        "Paused the sale",
    ]
    assert {deed.actor for deed in deeds} == {mona}
    assert all(deed.request_id for deed in deeds if deed.what == "Paused the sale")
    assert said(order=order) == ["Refunded €5.00", "Wrote a note"]
    assert said(person=mona.pk, action="order.note") == ["Wrote a note"]
    assert said(event=event.pk + 1) == said(action="none") == []
    page = office.get("/office/journal/", {"event": event.pk}).content.decode()
    assert "Paused the sale" in page
    assert f"/office/orders/{order}/" in page
    assert f"/office/journal/?order={order}" in office.get(f"/office/orders/{order}/").content.decode()
    assert f"/office/journal/?event={event.pk}" in office.get(f"/office/events/{event.pk}/").content.decode()
    named = f">{event.name}, {formats.date_time(event.date, event.time_zone)}</a>"
    assert named in office.get("/office/journal/").content.decode()


def test_actions_of_organisers_on_events_are_recorded(
    mona: User, office: Client, ticket_type: TicketType
) -> None:
    copied = event_copy(staff_id=mona.pk, event_id=ticket_type.event_id, now=timezone.now())
    for status in ("on_sale", "draft"):
        version = Event.objects.get(pk=copied).version
        office.post(f"/office/events/{copied}/status/", {"status": status, "version": str(version)})

    assert said(event=copied) == [
        "Changed the event back to a draft",
        "Put the event on sale",
        f"Created the event as a copy of event {ticket_type.event_id}",
    ]


def test_pages_follow_each_other_without_a_gap_and_take_the_same_queries(
    office: Client, mona: User, ticket_type: TicketType
) -> None:
    now = timezone.now()
    for number in range(120):  # three at each instant, of two sources
        at = now - timedelta(seconds=number // 3)
        if number % 3:
            services.entry_write(
                actor_id=mona.pk, action=Action.SALE_PAUSED, now=at, event_id=ticket_type.event_id
            )
        else:
            LogEntry.objects.log_actions(mona.pk, [ticket_type], CHANGE, "", single_object=True)
            newest = LogEntry.objects.order_by("-pk").values_list("pk", flat=True)[0]
            LogEntry.objects.filter(pk=newest).update(action_time=at)
    seen, before, queries = [], None, set()
    while True:
        with CaptureQueriesContext(
            connection,
        ) as counted:
            found = journal.page(wanted=JournalFilter(), before=before)
        queries.add(len(counted))
        seen += [(deed.at, deed.what) for deed in found.deeds]
        if found.older is None:
            break
        before = journal.position_read(str(found.older))
    assert len(seen) == 120
    assert [at for at, _ in seen] == sorted((at for at, _ in seen), reverse=True)
    assert sum(what == "Paused the sale" for _, what in seen) == JournalEntry.objects.count()
    assert len(queries) == 1


def test_actions_in_the_admin_are_told_in_the_readers_language(mona: User, ticket_type: TicketType) -> None:
    event = ticket_type.event
    of_type = {"name": "ticket type", "object": "Stalls", "fields": ["Price"]}
    changes = [{"changed": {"fields": ["Venue"]}}, {"changed": of_type}]
    LogEntry.objects.log_actions(mona.pk, [event], CHANGE, changes, single_object=True)

    english = f"Admin: changed event {event.name}. Changed Venue. Changed Price for ticket type “Stalls”."
    assert said(event=event.pk) == [english]
    with translation.override("de"):
        [german] = said(event=event.pk)
    assert german.startswith(f"Admin: Veranstaltung {event.name} geändert. ")
    assert not {"changed", "Venue", "Price", "ticket"} & set(re.findall(r"\w+", german))


def test_each_word_that_the_admin_writes_has_a_translation(rf: RequestFactory, user_make: Any) -> None:
    request = rf.get("/admin/")
    request.user = user_make(is_staff=True, is_superuser=True)
    words: set[str] = set()
    for model, page in admin.site._registry.items():
        if not page.has_change_permission(request):
            continue
        forms = [page.get_form(request, model(), change=True)]
        inlines = page.get_inline_instances(request)
        forms += [inline.get_formset(request).form for inline in inlines]
        words |= {str(each._meta.verbose_name) for each in (model, *(inline.model for inline in inlines))}
        words |= {str(field.label or name) for form in forms for name, field in form.base_fields.items()}
    with translation.override("de"):
        same = {word for word in words if gettext(word) == word}

    assert {"event", "ticket type", "Price", "Time zone", "Username"} <= words
    assert same == {"Name", "made_from"}


LARGE = [
    number for number, source in enumerate(SOURCES) if source not in (sources.CANCELLATIONS, sources.LINES)
]


def plan_of(number: int) -> str:
    """Return the plan for a source if PostgreSQL may avoid reading and sorting all of it."""
    position = journal.Position(timezone.now(), number, 1)
    with connection.cursor() as cursor:
        for way in ("seqscan", "bitmapscan", "sort"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
    return journal.query(number, SOURCES[number], JournalFilter(), position).explain()


@pytest.mark.parametrize("number", LARGE)
def test_a_page_is_read_by_an_index_on_time(number: int) -> None:
    with transaction.atomic():
        plan = plan_of(number)
    assert f"Index Cond: ({SOURCES[number].at} <= " in plan, plan
    assert "Sort" not in plan, plan


@pytest.mark.parametrize("source", [sources.RECORDS, sources.REFUNDS])
def test_actions_for_a_person_are_found_by_indexes(source: sources.Source, payment: Payment) -> None:
    """Leave out the joins: with the few rows of a test PostgreSQL may begin with any of them."""
    found = source.rows().model._default_manager.filter(source.of_person(payment.buyer_id))
    with transaction.atomic(), connection.cursor() as cursor:
        for way in ("seqscan", "indexscan"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
        plan = found.explain()
    assert "BitmapOr" in plan, plan


def test_control_without_its_index_a_source_is_sorted_for_each_page() -> None:
    """Drop the index, as a negative control."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DROP INDEX order_record_by_time")
        plan = plan_of(SOURCES.index(sources.RECORDS))
        transaction.set_rollback(True)
    assert "Sort" in plan


@pytest.mark.parametrize("asked", ["x", "~1~2", "2027-01-01~1~2", "2027-01-01T00:00:00Z~1", "9" * 400, "\0"])
def test_a_malformed_address_shows_the_latest(office: Client, asked: str) -> None:
    answer = office.get("/office/journal/", {"before": asked, "event": asked, "person": asked})
    assert answer.status_code == 200
