"""Sales at the counter: each by the same claim as of buyers, once, with tickets at once."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from checkout import rules, services
from checkout.models import CounterSale, Payment, Receipt, Refund
from checkout.permissions import Permission
from overlord.accounts.models import User
from overlord.kernel.errors import DomainError
from tests.clients import permit
from tests.threads import together
from tickets import counter_operations
from tickets.admission.models import Ticket
from tickets.admission.tests.auditing import audit_tickets
from tickets.models import Event, Inventory, Reservation, TicketType
from tickets.permissions import Permission as TicketsPermission
from tickets.tests.forms import fields_of
from tickets.tests.reserving import claim

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def seller(user_make: Callable[..., User]) -> User:
    return permit(user_make(username="mona"), *Permission, *TicketsPermission)


@pytest.fixture
def office(seller: User) -> Client:
    client = Client(headers={"accept": "text/html"})
    client.force_login(seller)
    return client


def address(ticket_type: TicketType) -> str:
    return f"/office/events/{ticket_type.event_id}/sell/"


def sell(office: Client, ticket_type: TicketType, amount: Any, deed: str = "cash", **sent: Any) -> Any:
    """Fill in the form, look at the total, and sell."""
    fields = {**fields_of(office.get(address(ticket_type))), f"amount_{ticket_type.pk}": amount, **sent}
    shown = fields_of(office.post(address(ticket_type), {**fields, "deed": "total"}))
    return office.post(address(ticket_type), {**fields, "price": shown["price"], **sent, "deed": deed})


def direct(seller: User, ticket_type: TicketType, *, quantity: int = 1, key: str = "k", **given: Any) -> int:
    asked = {"is_free": False, "price": "15.00", "email": "", "name": "", **given}
    return services.counter_sell(
        staff_id=seller.pk,
        event_id=ticket_type.event_id,
        quantities={ticket_type.pk: quantity},
        key=key,
        **asked,
    ).order_id


def test_a_sale_for_cash_has_tickets_at_once_and_counts_as_money(
    office: Client, ticket_type: TicketType
) -> None:
    answer = sell(office, ticket_type, 2, email="ada@example.org", name="Ada")
    page = office.get(answer["Location"]).content.decode()
    assert "Show the tickets" in page
    payment = Payment.objects.get()
    assert (payment.status, payment.gateway, payment.amount_minor) == ("SUCCESS", "counter", 3000)
    assert Ticket.objects.filter(state="valid").count() == 2
    stock = Inventory.objects.get()
    assert (stock.held, stock.sold, stock.revenue_minor) == (0, 2, 3000)
    assert services.mails_send() == 1
    assert mail.outbox[0].to == ["ada@example.org"]
    order = office.get(f"/office/orders/{payment.reservation_id}/").content.decode()
    assert "Sold by mona for cash" in order
    assert "in cash at the counter" in order
    event = office.get(f"/office/events/{ticket_type.event_id}/").content.decode()
    assert "“Revenue” includes these cash sales at the counter:" in event
    for part, cells in (
        ("tbody", ["€15.00", "2", "0", "50", "€30.00"]),
        ("tfoot", ["2", "0", "50", "€30.00"]),
    ):
        row = event.partition(f"<{part}>")[2].partition(f"</{part}>")[0]
        assert re.findall(r"<td[^>]*>([^<]*)</td>", row) == cells
    assert '<th scope="row" colspan="2">Total</th>' in event
    audit_tickets(given_back=[])


def test_free_tickets_count_no_money(office: Client, ticket_type: TicketType) -> None:
    sell(office, ticket_type, 2, deed="free")
    stock = Inventory.objects.get()
    assert (stock.sold, stock.revenue_minor) == (2, 0)
    assert Payment.objects.get().amount_minor == 0
    assert CounterSale.objects.get().is_free
    assert not Receipt.objects.exists(), "nobody gave an address"
    event = office.get(f"/office/events/{ticket_type.event_id}/").content.decode()
    assert "Cash sales at the counter" not in event


def test_a_form_sells_once_also_when_it_is_sent_many_times_at_once(
    seller: User, ticket_type: TicketType
) -> None:
    sold = together(*[lambda: direct(seller, ticket_type)] * 6)
    assert len(set(sold)) == 1, sold
    assert Inventory.objects.get().sold == 1
    assert direct(seller, ticket_type, key="another") not in sold


def test_a_form_that_is_sent_again_does_not_give_the_next_buyer_the_tickets_of_the_first(
    office: Client, seller: User, ticket_type: TicketType
) -> None:
    first = direct(seller, ticket_type, name="Ada")
    fields = {"name": "Ada", f"amount_{ticket_type.pk}": 1, "key": "k", "deed": "cash", "price": "15.00"}
    said = office.post(address(ticket_type), fields, follow=True).content.decode()
    assert f"This form was already used for order {first}. Nothing more was sold." in said
    for other in (
        {"name": "Eve"},
        {f"amount_{ticket_type.pk}": 2},
        {"deed": "free"},
        {"email": "e@e.example"},
    ):
        answer = office.post(address(ticket_type), {**fields, **other})
        assert answer.status_code == 409, other
        assert "this form was already used" in answer.content.decode()
    assert Inventory.objects.get().sold == 1

    again = {**fields_of(answer), "deed": "total"}
    shown = {**fields_of(office.post(address(ticket_type), again)), "deed": "cash"}
    assert office.post(address(ticket_type), shown).status_code == 302
    assert Inventory.objects.get().sold == 2


def test_the_last_ticket_is_sold_once_beside_claims_of_buyers(
    seller: User, ticket_type_make: Callable[..., TicketType], user_make: Callable[..., User]
) -> None:
    last = ticket_type_make(capacity=1)
    buyers = [user_make().pk for _ in range(3)]

    def at_the_counter(key: str) -> Any:
        try:
            return direct(seller, last, key=key)
        except DomainError as refused:
            return refused.code

    def as_a_buyer(buyer: int) -> Any:
        try:
            return claim(buyer, last, 1).reservation["id"]
        except DomainError as refused:
            return refused.code

    results = together(
        *[lambda key=key: at_the_counter(key) for key in "abc"],
        *[lambda buyer=buyer: as_a_buyer(buyer) for buyer in buyers],
    )
    assert len([each for each in results if isinstance(each, int)]) == 1, results
    stock = Inventory.objects.get()
    assert stock.held + stock.sold == 1


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"paused": True}, "sale_paused"),
        ({"capacity": 1}, "not_enough"),
        ({"line_first": True}, "line_first"),
    ],
)
def test_the_counter_has_the_same_refusals_as_buyers_and_leaves_no_trace(
    seller: User, ticket_type: TicketType, state: dict[str, Any], code: str
) -> None:
    Inventory.objects.update(**state)
    before = User.objects.count()
    with pytest.raises(DomainError) as refused:
        direct(seller, ticket_type, quantity=2, price="30.00")
    assert refused.value.code == code
    assert User.objects.count() == before
    assert not Reservation.objects.exists()


def test_a_quantity_over_the_limit_is_shown_beside_its_field(office: Client, ticket_type: TicketType) -> None:
    TicketType.objects.update(max_per_user=2)
    answer = sell(office, ticket_type, 3)
    assert answer.status_code == 409
    assert "The limit is 2 tickets" in answer.content.decode()
    assert not Payment.objects.exists()


@pytest.mark.parametrize(
    ("limit", "capacity", "sentence"),
    [(2, 10, "The limit is 2 tickets"), (10, 1, "Only 1 ticket is left."), (10, 10, None)],
)
def test_no_money_is_collected_for_more_tickets_than_can_be_sold(
    limit: int, capacity: int, sentence: str | None, office: Client, ticket_type: TicketType
) -> None:
    TicketType.objects.update(max_per_user=limit)
    Inventory.objects.update(capacity=capacity)
    fields = {**fields_of(office.get(address(ticket_type))), f"amount_{ticket_type.pk}": 3, "deed": "total"}
    shown = office.post(address(ticket_type), fields).content.decode()
    assert ("Amount to collect" in shown) == (sentence is None)
    assert sentence is None or sentence in shown


@pytest.mark.parametrize(
    ("inventory", "sentence"),
    [
        ({"paused": True}, "Ticket sales are paused."),
        ({"closes_at": timezone.now() - timedelta(days=1)}, "Ticket sales have ended."),
        ({"opens_at": timezone.now() + timedelta(days=1)}, "Ticket sales have not opened yet."),
        ({"line_first": True}, "People in the line get these tickets first."),
        ({}, None),
    ],
)
def test_no_money_is_collected_while_nothing_can_be_sold(
    inventory: dict[str, Any], sentence: str | None, office: Client, ticket_type: TicketType
) -> None:
    """The form was opened before the sale changed."""
    fields = {**fields_of(office.get(address(ticket_type))), f"amount_{ticket_type.pk}": 1, "deed": "total"}
    Inventory.objects.update(**inventory)
    answer = office.post(address(ticket_type), fields)
    shown = answer.content.decode()
    assert answer.status_code == (200 if sentence is None else 409)
    assert ("Amount to collect" in shown) == (sentence is None)
    assert sentence is None or f'id="id_amount_{ticket_type.pk}_error">{sentence}' in shown


def test_hidden_types_and_events_for_accounts_are_sold_too(office: Client, ticket_type: TicketType) -> None:
    TicketType.objects.update(hidden=True)
    Event.objects.update(buyers="accounts")
    assert sell(office, ticket_type, 1).status_code == 302


def test_a_changed_price_sells_nothing(office: Client, ticket_type: TicketType) -> None:
    answer = sell(office, ticket_type, 2, price="15.00")
    assert answer.status_code == 409
    assert "price has changed" in answer.content.decode()
    assert not Payment.objects.exists()
    assert Inventory.objects.get().held == 0


def test_control_without_the_comparison_it_sells_at_another_price(
    seller: User, ticket_type: TicketType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("checkout.services.counter.money.to_text", lambda *_: "1.00")
    assert direct(seller, ticket_type, price="1.00")


@pytest.mark.parametrize(
    "sent",
    [{"email": "no address"}, {"name": "a\0b"}, {"name": "x" * 151}, {"key": ""}, {"email": "x" * 300}],
)
def test_an_impossible_value_is_refused_beside_its_field(
    office: Client, ticket_type: TicketType, sent: dict[str, str]
) -> None:
    fields = {**fields_of(office.get(address(ticket_type))), f"amount_{ticket_type.pk}": 1, **sent}
    assert office.post(address(ticket_type), {**fields, "deed": "cash", "price": "15.00"}).status_code == 400
    assert not Payment.objects.exists()


@pytest.mark.parametrize("amount", ["", "0", "x", "-1", "1.5", "99999999999999999999"])
def test_a_malformed_number_sells_nothing(office: Client, ticket_type: TicketType, amount: str) -> None:
    fields = {**fields_of(office.get(address(ticket_type))), f"amount_{ticket_type.pk}": amount}
    answer = office.post(address(ticket_type), {**fields, "deed": "free"})
    assert answer.status_code in (200, 400)
    assert not Payment.objects.exists()


def test_a_type_of_another_event_is_not_sold_here(
    seller: User, ticket_type: TicketType, ticket_type_make: Callable[..., TicketType]
) -> None:
    other = ticket_type_make()
    with pytest.raises(DomainError) as refused:
        services.counter_sell(
            staff_id=seller.pk,
            event_id=ticket_type.event_id,
            quantities={other.pk: 1},
            is_free=True,
            price=None,
            email="",
            name="",
            key="k",
        )
    assert refused.value.code == "unknown_ticket_type"


def test_a_refund_of_cash_is_recorded_without_a_gateway(
    office: Client, seller: User, ticket_type: TicketType, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = direct(seller, ticket_type)

    def never(name: str) -> None:
        raise AssertionError(f"{name} was asked")

    monkeypatch.setattr("checkout.gateways.named", never)
    refund = f"/office/orders/{order}/refund/"
    part = {**fields_of(office.get(refund)), "amount": "5.00"}
    assert "Pay the money back in cash." in office.post(refund, part, follow=True).content.decode()
    assert (Refund.objects.get().status, Inventory.objects.get().revenue_minor) == ("SUCCESS", 1000)
    rest = {**fields_of(office.get(refund)), "amount": "", "return_tickets": "on"}
    office.post(refund, rest)
    assert Payment.objects.get().status == "REFUNDED"
    stock = Inventory.objects.get()
    assert (stock.sold, stock.revenue_minor) == (0, 0)
    assert set(Ticket.objects.values_list("state", flat=True)) == {"revoked"}
    assert services.mails_send() == 0, "the notices have no address to go to"


def test_the_mail_is_sent_once_an_address_was_entered(
    office: Client, seller: User, ticket_type: TicketType
) -> None:
    order = direct(seller, ticket_type)
    mailing = f"/office/orders/{order}/mail/"
    assert "has no e-mail address" in office.post(mailing, follow=True).content.decode()
    sent = {"before": "", "email": "ada@example.org", "name": "Ada"}
    office.post(f"/office/orders/{order}/address/", sent)
    assert "being sent again" in office.post(mailing, follow=True).content.decode()
    assert services.mails_send() == 1


def test_a_sale_at_the_counter_is_no_charge_of_a_gateway(
    api: APIClient, seller: User, ticket_type: TicketType
) -> None:
    direct(seller, ticket_type)
    assert services.look_after() == 0
    assert Payment.objects.get().gateway == rules.COUNTER


def test_due_holds_make_room(
    seller: User, ticket_type_make: Callable[..., TicketType], user_make: Callable[..., User]
) -> None:
    last = ticket_type_make(capacity=1)
    held = claim(user_make().pk, last, 1).reservation["id"]
    made = Reservation.objects.get(pk=held)
    Reservation.objects.filter(pk=held).update(expires_at=made.created)
    assert direct(seller, last)


def test_control_without_the_release_due_holds_make_no_room(
    seller: User,
    ticket_type_make: Callable[..., TicketType],
    user_make: Callable[..., User],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    last = ticket_type_make(capacity=1)
    held = claim(user_make().pk, last, 1).reservation["id"]
    made = Reservation.objects.get(pk=held)
    Reservation.objects.filter(pk=held).update(expires_at=made.created)
    monkeypatch.setattr(
        counter_operations.sql, "RELEASE_DUE", "SELECT 1 WHERE %(ticket_type)s = %(most)s - 1e9"
    )
    with pytest.raises(DomainError):
        direct(seller, last)
