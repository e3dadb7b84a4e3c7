"""Staff hide a ticket type while buyers wait for its inventory: no buyer gets it without a code that names it."""

import threading
from collections.abc import Callable

import pytest
from django.utils import timezone

from overlord.accounts.models import User
from overlord.kernel import db
from tests.threads import together
from tickets import event_operations, operations, order_services, services
from tickets.models import Inventory, TicketType
from tickets.order_services import Wanted
from tickets.tests.reserving import HOLD, claim, function_with, outcomes, waiting_for_a_lock
from tickets.tests.vouchers import claim_with, voucher_make

pytestmark = pytest.mark.django_db(transaction=True)

Claim = Callable[[int], object]


@pytest.fixture
def types(ticket_type_make: Callable[..., TicketType]) -> list[TicketType]:
    """Return two types of one event; the tests hide the first."""
    first = ticket_type_make()
    return [first, ticket_type_make(event=first.event)]


def alone(types: list[TicketType]) -> Claim:
    return lambda buyer_id: claim(buyer_id, types[0])


def with_another(types: list[TicketType]) -> Claim:
    items = [Wanted(ticket_type=each.pk, quantity=1) for each in types[::-1]]
    return lambda buyer_id: order_services.order_claim(
        buyer_id=buyer_id, items=items, order_id=None, key=None, hold=HOLD, now=timezone.now()
    )


def with_a_code_for_all(types: list[TicketType]) -> Claim:
    voucher_make(types[0].event)
    return lambda buyer_id: claim_with(buyer_id, "SPRING", *types)


def with_a_code_that_names_it(types: list[TicketType]) -> Claim:
    voucher_make(types[0].event, types=types)
    return lambda buyer_id: claim_with(buyer_id, "SPRING", *types)


def _more(buyer_id: int, reservation_id: int) -> object:
    return services.reservation_resize(buyer_id=buyer_id, reservation_id=reservation_id, quantity=3)


def hidden_before(ticket_type: TicketType, buyer: User, ask: Claim) -> object:
    """Let the buyer wait for the inventory while staff hide its type; return the answer."""
    locked = threading.Event()

    def hide() -> None:
        with db.transaction():
            operations.inventories_lock(event_id=ticket_type.event_id)
            locked.set()
            waiting_for_a_lock(1)
            TicketType.objects.filter(pk=ticket_type.pk).update(hidden=True)
            ticket_type.refresh_from_db()
            event_operations.ticket_type_hidden_set(ticket_type=ticket_type)

    def wait() -> object:
        assert locked.wait(timeout=60)
        return ask(buyer.pk)

    hiding, answer = together(hide, wait)
    assert hiding is None
    return answer


def held() -> list[int]:
    return list(Inventory.objects.order_by("pk").values_list("held", flat=True))


@pytest.mark.parametrize("way", [alone, with_another, with_a_code_for_all])
def test_a_claim_that_was_waiting_is_refused(
    types: list[TicketType], buyer: User, way: Callable[[list[TicketType]], Claim]
) -> None:
    answer = hidden_before(types[0], buyer, way(types))

    assert outcomes([answer]) == {"unknown_ticket_type": 1}
    assert held() == [0, 0]


def test_a_code_that_names_the_type_still_opens_it(types: list[TicketType], buyer: User) -> None:
    hidden_before(types[0], buyer, with_a_code_that_names_it(types))

    assert held() == [1, 1]


def test_a_hold_that_was_waiting_for_more_stays_as_it_was(types: list[TicketType], buyer: User) -> None:
    mine = claim(buyer.pk, types[0]).reservation["id"]

    answer = hidden_before(types[0], buyer, lambda buyer_id: _more(buyer_id, mine))

    assert outcomes([answer]) == {"unknown_ticket_type": 1}
    assert held() == [1, 0]
    services.reservation_release(buyer_id=buyer.pk, reservation_id=mine)
    assert held() == [0, 0]


@pytest.mark.parametrize("named", [True, False])
def test_a_hold_with_a_code_gets_more_of_the_types_that_the_code_names(
    types: list[TicketType], buyer: User, named: bool
) -> None:
    voucher_make(types[0].event, types=types[:1] if named else ())
    mine = claim_with(buyer.pk, "SPRING", types[0]).order["order"]

    hidden_before(types[0], buyer, lambda buyer_id: _more(buyer_id, mine))

    assert held() == [3 if named else 1, 0]


@pytest.mark.parametrize(
    ("way", "name", "guard"),
    [
        (alone, "reservation_claim", "IF ticket_type.hidden THEN"),
        (with_another, "reservations_claim", "OR (t.hidden AND"),
        (with_a_code_for_all, "reservations_claim", "p_voucher IS NULL OR v_voucher.all_types OR"),
    ],
)
def test_control_without_the_check_under_the_lock_the_claim_is_granted(
    types: list[TicketType], buyer: User, way: Callable[[list[TicketType]], Claim], name: str, guard: str
) -> None:
    without = {"IF": "IF false THEN", "OR": "OR (false AND", "p_voucher": "p_voucher IS NULL OR"}
    with function_with(name, guard, without[guard.split()[0]]):
        hidden_before(types[0], buyer, way(types))

    assert held()[0] == 1
