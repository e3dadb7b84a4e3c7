"""The signed link to tickets: nobody can guess it, it can be revoked, and nothing stores it or passes it on."""

import re
from collections.abc import Callable

import pytest
from django.test import Client, override_settings

from overlord.accounts.models import User
from tests.threads import together
from tickets.admission import links, selectors, services
from tickets.admission.links import Link, NotALink, Subject
from tickets.admission.models import OrderLink, Ticket
from tickets.admission.selectors import Reach
from tickets.admission.tests.admitting import give_back, paid
from tickets.models import Event, Inventory, Reservation, TicketType
from tickets.tests.reserving import claim

LINK = Link(subject=Subject.ORDER, id=7, number=1)


def address(reservation: Reservation) -> str:
    return f"/t/{selectors.order_link(order_id=reservation.pk)}/"


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def reservation(buyer: User, ticket_type: TicketType) -> Reservation:
    return paid(buyer, ticket_type, 2)


# The text of a link --------------------------------------------------------------------------------------
def test_a_link_is_read_as_it_was_signed() -> None:
    assert links.link_read(links.link_sign(LINK)) == LINK


def test_a_link_with_one_changed_character_is_invalid() -> None:
    signed = links.link_sign(LINK)
    for at in range(len(signed)):
        for character in "0Ax_-/.":
            forged = signed[:at] + character + signed[at + 1 :]
            if forged != signed:
                with pytest.raises(NotALink):
                    links.link_read(forged)


def test_control_without_the_check_of_the_signature_a_forged_link_is_valid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("django.core.signing.Signer.unsign", lambda _self, text: text)
    with pytest.raises(pytest.fail.Exception):
        test_a_link_with_one_changed_character_is_invalid()


@pytest.mark.parametrize(
    "text", ["", "o7-1", "o7-1-", f"o{2**63}-1-{'A' * 43}", f"o\N{ARABIC-INDIC DIGIT SEVEN}-1-{'A' * 43}"]
)
def test_a_malformed_link_is_invalid(text: str) -> None:
    with pytest.raises(NotALink):
        links.link_read(text)


def test_a_link_that_another_secret_signed_is_invalid() -> None:
    with override_settings(SECRET_KEY="another" * 10):
        signed = links.link_sign(LINK)
    with pytest.raises(NotALink):
        links.link_read(signed)
    with override_settings(SECRET_KEY_FALLBACKS=["another" * 10]):
        assert links.link_read(signed) == LINK


# The page ------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
class TestPage:
    def test_the_page_shows_each_ticket_to_anyone_who_has_the_link(self, reservation: Reservation) -> None:
        Event.objects.update(venue="Main Hall", address="1 Example Street")
        shown = Client().get(address(reservation))
        page = shown.content.decode()

        assert shown.status_code == 200
        for ticket in Ticket.objects.all():
            assert ticket.serial in page
        assert page.count('class="qr"') == 2
        assert "2 of 2" in page
        assert "Main Hall, 1 Example Street" in page
        assert reservation.ticket_type.event.name in page

    def test_the_page_is_cached_nowhere_and_tells_no_other_site_its_address(
        self, reservation: Reservation
    ) -> None:
        shown = Client().get(address(reservation))

        assert shown["Cache-Control"] == "no-store, private"
        assert shown["Referrer-Policy"] == "same-origin"
        assert shown["X-Robots-Tag"] == "noindex"
        assert "style-src 'self'" in shown["Content-Security-Policy"]
        assert not re.search(r"\sstyle=|<style", shown.content.decode())

    def test_the_page_says_when_the_event_is_cancelled(self, reservation: Reservation) -> None:
        assert "This event is cancelled" not in Client().get(address(reservation)).content.decode()
        Inventory.objects.update(paused=True)
        Event.objects.update(status="cancelled")

        assert "This event is cancelled" in Client().get(address(reservation)).content.decode()

    def test_the_page_works_without_its_slash_too(self, reservation: Reservation) -> None:
        assert Client().get(address(reservation).rstrip("/")).status_code == 200

    def test_a_revoked_ticket_shows_no_code(self, reservation: Reservation) -> None:
        give_back(reservation)
        page = Client().get(address(reservation)).content.decode()

        assert 'class="qr"' not in page
        assert page.count("Not valid") == 2

    def test_an_unpaid_order_has_no_page(self, buyer: User, ticket_type: TicketType) -> None:
        held = claim(buyer.pk, ticket_type).reservation["id"]

        assert Client().get(f"/t/{selectors.order_link(order_id=held)}/").status_code == 404

    def test_a_forged_link_has_no_page(self, reservation: Reservation) -> None:
        signed = address(reservation)
        forged = signed.replace(f"o{reservation.pk}-", f"o{reservation.pk + 1}-")

        assert Client().get(forged).status_code == Client().get("/t/nonsense/").status_code == 404

    def test_the_service_worker_is_for_these_pages_only(self) -> None:
        worker = Client().get("/t/worker.js")

        assert worker["Content-Type"] == "text/javascript; charset=utf-8"
        assert "no-store" in worker["Cache-Control"]
        assert "connect-src 'self'" in worker["Content-Security-Policy"]
        assert "Service-Worker-Allowed" not in worker


@pytest.mark.django_db(transaction=True)
class TestOwn:
    def test_a_buyer_is_led_to_the_tickets(self, buyer: User, reservation: Reservation) -> None:
        led = client_of(buyer).get(f"/me/orders/{reservation.pk}/")

        assert (led.status_code, led["Location"]) == (302, address(reservation))
        assert led["Cache-Control"] == "no-store, private"

    def test_nobody_is_led_to_the_tickets_of_others(
        self, user_make: Callable[..., User], reservation: Reservation
    ) -> None:
        path = f"/me/orders/{reservation.pk}/"

        assert client_of(user_make()).get(path).status_code == 404
        assert client_of(user_make()).post(path).status_code == 404
        assert Client().get(path)["Location"].startswith("/login/")
        assert OrderLink.objects.count() == 0

    def test_a_new_link_makes_the_one_in_the_mail_invalid(
        self, buyer: User, reservation: Reservation
    ) -> None:
        before = address(reservation)
        renewed = client_of(buyer).post(f"/me/orders/{reservation.pk}/")

        assert Client().get(before).status_code == 404
        assert renewed["Location"] == address(reservation) != before
        assert Client().get(address(reservation)).status_code == 200

    def test_control_without_the_check_of_its_number_an_earlier_link_would_stay_valid(
        self, buyer: User, reservation: Reservation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            selectors, "reach_of_link", lambda signed: Reach(order_id=links.link_read(signed).id)
        )
        with pytest.raises(AssertionError):
            self.test_a_new_link_makes_the_one_in_the_mail_invalid(buyer, reservation)

    def test_links_that_are_renewed_at_once_end_all_earlier_ones(
        self, buyer: User, reservation: Reservation
    ) -> None:
        def renew() -> None:
            services.order_link_renew(buyer_id=buyer.pk, reservation_id=reservation.pk)

        together(*[renew] * 4)
        assert OrderLink.objects.get().number == 5
