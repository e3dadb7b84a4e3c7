"""The stream of a link's tickets: it tells each change at once, and ends with the link."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from channels.db import database_sync_to_async
from django.utils import timezone

from overlord.accounts.models import User
from overlord.kernel import db, redis_client
from realtime import store, streams
from realtime.tests.helpers import HERE, Socket, flushes, on_a_loop
from tests.live_contract import check
from tickets import event_operations
from tickets.admission import door_services, hand_over_services, operations, projections, selectors, services
from tickets.admission.models import Ticket
from tickets.admission.selectors import Reach
from tickets.admission.tests.admitting import paid, tickets_of
from tickets.admission.tests.doors import codes_of, scan
from tickets.models import Event, Reservation, TicketType

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def valkey() -> Iterator[None]:
    """Give the tests' Valkey, empty."""
    redis_client.connection().flushdb()
    store.breaker.succeeded()
    yield
    redis_client.connection().flushdb()


@pytest.fixture
def reservation(buyer: User, ticket_type: TicketType) -> Reservation:
    return paid(buyer, ticket_type, 2)


def order_link(reservation: Reservation) -> str:
    return selectors.order_link(order_id=reservation.pk)


def state(signed: str) -> dict[str, Any] | None:
    return services.tickets_live(signed=signed, now=timezone.now())


def seats(signed: str) -> list[tuple[int, str, int]]:
    """Return id, state and issue of each ticket that a link shows."""
    shown = state(signed)
    return [] if shown is None else [(each["id"], each["state"], each["issue"]) for each in shown["tickets"]]


# Changes of tickets --------------------------------------------------------------------------------------
def hand_over(reservation: Reservation) -> None:
    hand_over_services.ticket_hand_over(
        reach=Reach(order_id=reservation.pk),
        ticket_id=tickets_of(reservation)[0].pk,
        email="friend@example.org",
        holder="",
        seen=None,
        now=timezone.now(),
    )


def name(reservation: Reservation) -> None:
    hand_over_services.ticket_rename(
        reach=Reach(order_id=reservation.pk),
        ticket_id=tickets_of(reservation)[0].pk,
        holder="Ada",
        seen=None,
        now=timezone.now(),
    )


def revoke(reservation: Reservation) -> None:
    with db.transaction():
        operations.tickets_revoke(order_id=reservation.pk, now=db.now())


def admit(reservation: Reservation) -> Any:
    return scan(codes_of(reservation)[0], actor_id=reservation.buyer_id, scan_id=uuid4())


def renew(reservation: Reservation) -> None:
    services.order_link_renew(buyer_id=reservation.buyer_id, reservation_id=reservation.pk)


def marked() -> set[str]:
    """Take the marks, and return the streams of tickets among them."""
    marks = store.marks_take(limit=99)
    store.marks_finish(marks, version=0)
    return {mark.stream for mark in marks if mark.stream.startswith("tickets.")}


def streams_of(reservation: Reservation) -> set[str]:
    links = selectors.links_of_order(order_id=reservation.pk)
    return {streams.tickets(link.content) for link in links}


@pytest.mark.parametrize("change", [hand_over, name, revoke, admit, renew])
def test_each_change_marks_the_streams_of_its_links(
    reservation: Reservation, change: Callable[[Reservation], Any]
) -> None:
    seen_by, before = streams_of(reservation), state(order_link(reservation))
    marked()
    change(reservation)

    assert seen_by <= marked()
    assert state(order_link(reservation)) != before or change is renew


def test_an_undone_admission_marks_the_streams_too(reservation: Reservation) -> None:
    scan_id = admit(reservation)["scan_id"]
    marked()
    door_services.admission_undo(scan_id=scan_id, actor_id=reservation.buyer_id, now=timezone.now())

    assert streams_of(reservation) <= marked()


def test_a_revocation_an_admission_and_the_next_hand_over_mark_the_holders_stream(
    reservation: Reservation,
) -> None:
    hand_over(reservation)
    ticket = tickets_of(reservation)[0]
    holder = {streams.tickets(f"k{ticket.pk}-{ticket.issue}")}
    assert holder < streams_of(reservation)
    for change in (revoke, hand_over):
        Ticket.objects.update(state="valid", revoked_at=None)
        marked()
        change(reservation)
        assert holder <= marked()
    Ticket.objects.update(issue=ticket.issue)
    door_services.scan_make(
        shown=door_services.Shown(scan_id=uuid4(), serial=Ticket.objects.get(pk=ticket.pk).serial),
        event_id=None,
        gate="North",
        actor_id=reservation.buyer_id,
        now=timezone.now(),
    )
    assert holder <= marked()


def test_a_scan_that_admits_nobody_marks_no_stream(reservation: Reservation) -> None:
    admit(reservation)
    marked()
    assert admit(reservation)["result"] == "already_admitted"
    assert marked() == set()


# The tickets of a link -----------------------------------------------------------------------------------
def test_an_order_has_all_tickets_and_a_holder_one(
    reservation: Reservation, user_make: Callable[..., User], ticket_type: TicketType
) -> None:
    paid(user_make(), ticket_type)
    hand_over(reservation)
    first, second = tickets_of(reservation)

    assert seats(order_link(reservation)) == [(first.pk, "valid", 2), (second.pk, "valid", 1)]
    assert seats(selectors.ticket_link(ticket_id=first.pk, issue=2)) == [(first.pk, "valid", 2)]


def test_ended_links_show_nothing(reservation: Reservation) -> None:
    earlier = order_link(reservation)
    hand_over(reservation)
    ticket = tickets_of(reservation)[0]
    holder = selectors.ticket_link(ticket_id=ticket.pk, issue=ticket.issue)
    assert state(holder) is not None
    hand_over(reservation)
    renew(reservation)

    assert state(holder) is state(earlier) is None
    assert state(order_link(reservation)) is not None
    assert state(selectors.ticket_link(ticket_id=tickets_of(reservation)[1].pk, issue=1)) is None
    assert state("nonsense") is state(selectors.order_link(order_id=2**63 - 1)) is None


def test_many_links_are_read_in_one_query(
    reservation: Reservation,
    user_make: Callable[..., User],
    ticket_type: TicketType,
    django_assert_num_queries: Callable[[int], Any],
) -> None:
    other = paid(user_make(), ticket_type)
    said = [f"o{reservation.pk}-1", f"o{other.pk}-1", f"o{other.pk}-2", f"k{2**63 - 1}-1"]
    with django_assert_num_queries(1):
        found = projections.project_tickets(said, now=timezone.now())

    assert set(found) == set(said[:2])
    assert [each["id"] for each in found[said[1]]["tickets"]] == [tickets_of(other)[0].pk]


def test_the_state_changes_with_the_event_and_with_the_key_of_the_codes(reservation: Reservation) -> None:
    shown = [state(order_link(reservation))]
    with db.transaction():
        event_operations.event_changed(event_id=Event.objects.get().pk, now=db.now())
    shown.append(state(order_link(reservation)))
    services.key_rotate(event_id=Event.objects.get().pk, retire=True, now=timezone.now())
    shown.append(state(order_link(reservation)))

    assert len({str(each) for each in shown}) == 3


# The socket ----------------------------------------------------------------------------------------------
def watched(signed: str, *, headers: dict[str, str] | None = None, then: Callable[[], None]) -> list[Any]:
    """Return the frames of a socket until it closes, and the close code; call `then` after the first frame."""

    async def test() -> list[Any]:
        socket = Socket(f"/ws/tickets/{signed}/", headers)
        await socket.open()
        said: list[Any] = [await socket.frame()]
        await database_sync_to_async(then)()
        return [*said, await socket.code()]

    with flushes():
        return list(on_a_loop(test))


def refused(signed: str, headers: dict[str, str] | None = None) -> int:
    async def test() -> int:
        socket = Socket(f"/ws/tickets/{signed}/", headers)
        await socket.open()
        return await socket.code()

    with flushes():
        return int(on_a_loop(test))


def test_anyone_who_has_the_link_watches_until_it_ends(reservation: Reservation) -> None:
    signed = order_link(reservation)
    expected = state(signed)
    frame, code = watched(signed, then=lambda: renew(reservation))

    check(frame)
    assert frame["stream"] == f"tickets.o{reservation.pk}-1"
    assert (frame["data"], code) == (expected, 4404)


def test_a_holder_watches_until_the_ticket_is_handed_over(reservation: Reservation) -> None:
    hand_over(reservation)
    ticket = tickets_of(reservation)[0]
    signed = selectors.ticket_link(ticket_id=ticket.pk, issue=ticket.issue)
    frame, code = watched(signed, then=lambda: hand_over(reservation))

    check(frame)
    assert ([each["id"] for each in frame["data"]["tickets"]], code) == ([ticket.pk], 4404)


def test_a_revocation_comes_as_the_next_frame(reservation: Reservation) -> None:
    signed = order_link(reservation)

    async def test() -> Any:
        socket = Socket(f"/ws/tickets/{signed}/")
        await socket.open()
        await socket.frame()
        await database_sync_to_async(revoke)(reservation)
        return await socket.frame()

    with flushes():
        frame = on_a_loop(test)
    check(frame)
    assert (frame["type"], {each["state"] for each in frame["data"]["tickets"]}) == ("update", {"revoked"})


def test_nobody_else_watches(reservation: Reservation) -> None:
    signed = order_link(reservation)
    renew(reservation)
    for other in (signed, signed.replace("-1-", "-2-"), f"o{reservation.pk}-2", "x", "x" * 101):
        assert refused(other) == 4404
    works = order_link(reservation)
    assert refused(works, {**HERE, "origin": "http://evil.example"}) == 4403
    assert refused(works, {"host": HERE["host"]}) == 4403
