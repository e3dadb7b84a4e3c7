"""The organiser's pages of orders: the search, and the actions of staff on an order, with the actor."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import strip_tags
from rest_framework.test import APIClient

from checkout import services
from checkout.gateways.sandbox import SandboxGateway
from checkout.models import Incident, OrderRecord, Payment, Receipt, Refund
from checkout.permissions import Permission
from checkout.rules import Refunded, RefundOutcome
from checkout.services import mails
from checkout.services import orders as order_services
from checkout.tests.paying import PAYMENTS, pay, work
from overlord.accounts import operations as accounts
from overlord.accounts.models import EmailCode, User
from overlord.kernel import db
from tests.clients import api_of, permit
from tickets import pruning
from tickets.admission import selectors as admission
from tickets.admission.models import Ticket
from tickets.admission.permissions import Permission as DoorPermission
from tickets.line.models import Entry
from tickets.line.tests.lines import enter, line_make
from tickets.models import Event, Inventory, Reservation, TicketType
from tickets.permissions import Permission as TicketsPermission
from tickets.tests.forms import fields_of
from tickets.tests.reserving import claim

pytestmark = pytest.mark.django_db(transaction=True)

SEEN = {"before": "old@example.org", "name_before": "Ada"}  # the guest's, by the form for addresses


@pytest.fixture
def staff(user_make: Callable[..., User]) -> User:
    return permit(user_make(username="mona"), Permission.MANAGE_ORDERS, Permission.REFUND)


@pytest.fixture
def office(staff: User) -> Client:
    client = Client(headers={"accept": "text/html"})
    client.force_login(staff)
    return client


@pytest.fixture
def paid(api: APIClient, payment: Payment) -> Payment:
    pay(api, payment)
    return work(payment)


def page_of(office: Client, payment: Payment) -> str:
    return office.get(f"/office/orders/{payment.reservation_id}/").content.decode()


def act(office: Client, order_id: int, deed: str, **sent: Any) -> str:
    return office.post(f"/office/orders/{order_id}/{deed}/", sent, follow=True).content.decode()


def said(page: str) -> str:
    return " ".join(strip_tags(page).split())


def row_of(office: Client, order_id: int) -> tuple[str, ...]:
    """Return the state, the number of tickets and the money of an order in the list."""
    page = office.get("/office/orders/").content.decode()
    row = page.partition(f'href="/office/orders/{order_id}/"')[2].partition("</tr>")[0]
    return tuple(said(f"<td{cell}") for cell in row.split("<td")[2:])


class TestSearch:
    def test_an_order_is_found_by_each_of_its_names(
        self,
        office: Client,
        paid: Payment,
        buyer: User,
        user_make: Callable[..., User],
        ticket_type: TicketType,
    ) -> None:
        other = claim(user_make(username="zoe").pk, ticket_type, 1).reservation["id"]
        serial = Ticket.objects.order_by("pk")[0].serial
        order = paid.reservation_id
        for asked in (
            str(order),
            f"#{order}",
            buyer.username[:5],
            buyer.email,
            serial,
            serial.lower(),
            paid.gateway_reference,
        ):
            page = office.get("/office/orders/", {"q": asked}).content.decode()
            assert f'href="/office/orders/{order}/"' in page, asked
            assert f'href="/office/orders/{other}/"' not in page, asked
        everything = office.get("/office/orders/").content.decode()
        assert f'href="/office/orders/{other}/"' in everything

    def test_money_counts_as_refunded_when_it_has_gone_back(
        self, office: Client, api: APIClient, paid: Payment, staff: User
    ) -> None:
        order = paid.reservation_id
        refund = services.refund_request(
            staff_id=staff.pk, payment_id=paid.pk, amount_minor=500, return_tickets=False
        ).refund
        assert row_of(office, order) == ("Paid", "2", "€30.00")
        assert "Refunded: €0.00" in said(page_of(office, paid))
        services.refund_process(refund_id=refund.pk)
        assert row_of(office, order) == ("Partly refunded", "2", "€30.00")
        assert "Refunded: €5.00" in said(page_of(office, paid))
        shown = api.get(f"/payment/payments/{paid.pk}/").json()
        assert (shown["amount"], shown["refunded"]) == ("30.00", "5.00")
        assert Inventory.objects.get().revenue_minor == 2500

    @pytest.mark.parametrize("asked", ["nobody", "9" * 40, "'", "%", "0" * 30, "-1"])
    def test_a_search_without_a_result_says_so(self, office: Client, paid: Payment, asked: str) -> None:
        answer = office.get("/office/orders/", {"q": asked})
        assert answer.status_code == 200
        assert "No orders match" in answer.content.decode()

    def test_the_number_of_queries_does_not_grow(
        self, office: Client, paid: Payment, user_make: Callable[..., User], ticket_type: TicketType
    ) -> None:
        def count() -> int:
            with CaptureQueriesContext(connection) as queries:
                assert office.get("/office/orders/").status_code == 200
            return len(queries)

        count()
        few = count()
        for _ in range(4):
            claim(user_make().pk, ticket_type, 1)
        assert count() == few


class TestList:
    """The figures of an order in the list are those of what was sold."""

    def figures(self, office: Client, order_id: int) -> tuple[str, str]:
        """Return the tickets and the money of the only order in the list."""
        [row] = re.findall(
            r'<th scope="row".*?</tr>', office.get("/office/orders/").content.decode(), re.DOTALL
        )
        assert f'href="/office/orders/{order_id}/"' in row
        tickets, money = re.findall(r'<td class="num"[^>]*>([^<]*)</td>', row)
        return tickets, money

    def test_what_nobody_was_charged_is_not_called_paid(
        self, office: Client, api: APIClient, payment: Payment
    ) -> None:
        order_id = payment.reservation_id
        found = [self.figures(office, order_id)]
        for token in ("card_error", "ok"):
            pay(api, payment, token)
            found.append(self.figures(office, order_id))
            work(payment)
            found.append(self.figures(office, order_id))

        assert found == [("2", "")] * 4 + [("2", "€30.00")]

    def test_tickets_that_were_released_before_the_rest_was_paid_do_not_count(
        self, office: Client, api: APIClient, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        first = ticket_type_make()
        types = [first, ticket_type_make(event=first.event)]
        items = [{"ticket_type": each.pk, "amount": 2} for each in types]
        order = api.post("/event/reservations/batch/", {"items": items}, format="json").json()
        assert self.figures(office, order["order"]) == ("4", "")
        api.delete(f"/event/reservations/{order['order']}/")
        made = api.post(PAYMENTS, {"reservation_id": order["reservations"][1]["id"]}, format="json").json()
        payment = Payment.objects.get(pk=made["id"])
        pay(api, payment)
        work(payment)

        assert self.figures(office, order["order"]) == ("2", "€30.00")

    def test_the_tickets_of_an_order_that_has_ended_are_those_it_had(
        self, office: Client, api: APIClient, payment: Payment
    ) -> None:
        api.delete(f"/event/reservations/{payment.reservation_id}/")
        assert self.figures(office, payment.reservation_id) == ("2", "")


class TestOrder:
    def test_the_page_shows_tickets_money_and_history(self, office: Client, paid: Payment) -> None:
        page = page_of(office, paid)
        for serial in Ticket.objects.values_list("serial", flat=True):
            assert serial in page
        assert "€30.00" in page
        told = page.partition("<ol")[2].partition("</ol>")[0]
        assert "The payment succeeded" in told
        assert told.count("The payment was sent to the payment service") == 1
        assert "2 × " in told
        for number in (f"payment {paid.pk}", "try 1", "attempt"):
            assert number not in told, "engineers find this by manage.py trace"
        assert "Validated" not in page

    def test_the_history_is_in_the_readers_language(self, office: Client, paid: Payment) -> None:
        act(office, paid.reservation_id, "mail")
        act(office, paid.reservation_id, "note", text="Called.")
        office.post("/language/", {"language": "de"})
        page = page_of(office, paid)
        assert "Die Zahlung ist gelungen" in page
        assert "mona hat die E-Mail mit den Tickets erneut gesendet, an " in page
        assert "mona hat eine Notiz geschrieben: Called." in page
        assert "payment" not in page.partition("<ol")[2].partition("</ol>")[0]

    def test_another_reservation_of_an_order_and_an_unknown_number_are_not_found(
        self, office: Client, order_payment: Payment
    ) -> None:
        second = Reservation.objects.exclude(lead=None).order_by("pk")[0]
        for number in (second.pk, 999_999):
            assert office.get(f"/office/orders/{number}/").status_code == 404
            assert office.post(f"/office/orders/{number}/note/", {"text": "x"}).status_code == 404

    def test_the_mail_is_sent_again_under_another_message_id(
        self, office: Client, paid: Payment, staff: User
    ) -> None:
        services.mails_send()
        assert "being sent again" in act(office, paid.reservation_id, "mail")
        services.mails_send()
        first, second = mail.outbox
        assert first.to == second.to
        assert first.extra_headers["Message-ID"] != second.extra_headers["Message-ID"]
        assert "mona sent the mail with the tickets again, to" in page_of(office, paid)

    def test_a_mail_that_is_asked_for_while_one_is_sent_is_not_lost(
        self, paid: Payment, staff: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:

        made = mails._mail

        def meanwhile(owed: Any, **given: Any) -> Any:
            monkeypatch.setattr(mails, "_mail", made)
            order_services.receipt_resend(staff_id=staff.pk, order_id=paid.reservation_id)
            return made(owed, **given)

        monkeypatch.setattr(mails, "_mail", meanwhile)
        assert services.mails_send() == 1
        assert services.mails_send() == 1
        assert Receipt.objects.get().next_look_at is None

    @pytest.mark.parametrize("error", [OSError, ValueError])
    @pytest.mark.parametrize("attempts", [0, mails.ATTEMPTS - 1])
    def test_a_mail_that_is_asked_for_while_one_fails_is_not_lost(
        self,
        attempts: int,
        error: type[Exception],
        paid: Payment,
        staff: User,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Let the mail server refuse a mail for now, or let no server take it, while staff send it again."""
        Receipt.objects.update(attempts=attempts)
        made = mails._mail

        def meanwhile(owed: Any, **given: Any) -> Any:
            monkeypatch.setattr(mails, "_mail", made)
            order_services.receipt_resend(staff_id=staff.pk, order_id=paid.reservation_id)
            raise error

        monkeypatch.setattr(mails, "_mail", meanwhile)
        assert services.mails_send() == 0
        assert not Incident.objects.exists()
        assert services.mails_send() == 1
        assert Receipt.objects.get().next_look_at is None

    def test_an_order_of_a_cancelled_event_has_no_mail_to_send(
        self, office: Client, paid: Payment, staff: User
    ) -> None:
        button = f'action="/office/orders/{paid.reservation_id}/mail/"'
        assert button in page_of(office, paid)
        event = paid.reservation.ticket_type.event
        services.event_cancel(staff_id=staff.pk, event_id=event.pk, version=event.version, message="")
        assert button not in page_of(office, paid)
        assert "There are no tickets to send." in act(office, paid.reservation_id, "mail")
        assert not OrderRecord.objects.exists()

    def test_an_unpaid_order_has_no_mail_to_send(self, office: Client, payment: Payment) -> None:
        assert "There are no tickets to send." in act(office, payment.reservation_id, "mail")
        assert not OrderRecord.objects.exists()

    def test_a_hold_is_released_and_a_paid_order_is_not(
        self, office: Client, payment: Payment, api: APIClient
    ) -> None:
        assert "back on sale" in act(office, payment.reservation_id, "release")
        assert Reservation.objects.get().state == "released"
        told = page_of(office, payment)
        assert "mona released the reservation" in told
        assert "the reservation was released, and the tickets are back on sale" in told
        assert "This reservation has ended" in act(office, payment.reservation_id, "release")

    def test_a_whole_order_of_several_types_is_released(self, office: Client, order_payment: Payment) -> None:
        act(office, order_payment.reservation_id, "release")
        assert set(Reservation.objects.values_list("state", flat=True)) == {"released"}

    def test_a_note_is_kept_with_its_author(self, office: Client, paid: Payment) -> None:
        act(office, paid.reservation_id, "note", text="Called on\nMonday. <b>")
        page = page_of(office, paid)
        assert "mona wrote a note: Called on" in page
        assert "&lt;b&gt;" in page
        assert "This field is required" in act(office, paid.reservation_id, "note", text=" ")
        assert OrderRecord.objects.count() == 1


class TestAddress:
    @pytest.fixture
    def guest(self, paid: Payment) -> User:
        User.objects.filter(pk=paid.buyer_id).update(
            is_guest=True, email="", contact_email="old@example.org", contact_name="Ada"
        )
        return User.objects.get(pk=paid.buyer_id)

    def test_a_guests_address_is_changed_and_the_earlier_link_ends(
        self, office: Client, paid: Payment, guest: User
    ) -> None:
        link = admission.order_link(order_id=paid.reservation_id)
        fields = fields_of(office.get(f"/office/orders/{paid.reservation_id}/"))
        assert (fields["email"], fields["before"]) == ("old@example.org", "old@example.org")
        sent = {**fields, "email": "new@example.org", "name": "Ada L"}
        assert "The address was changed." in act(office, paid.reservation_id, "address", **sent)
        guest.refresh_from_db()
        assert (guest.contact_email, guest.contact_name) == ("new@example.org", "Ada L")
        assert admission.order_link(order_id=paid.reservation_id) != link
        told = page_of(office, paid)
        assert (
            "mona changed the e-mail address of the buyer from old@example.org to new@example.org;"
            " mona changed the name of the buyer from Ada to Ada L</span>"
        ) in told

    def test_an_outdated_form_writes_back_no_earlier_name(
        self, office: Client, paid: Payment, guest: User
    ) -> None:
        one, other = (fields_of(office.get(f"/office/orders/{paid.reservation_id}/")) for _ in range(2))
        said = act(office, paid.reservation_id, "address", **{**one, "name": "Ada Lovelace"})
        assert "The name was changed." in said
        assert "mona changed the name of the buyer from Ada to Ada Lovelace</span>" in said
        assert "changed the e-mail address" not in said

        said = act(office, paid.reservation_id, "address", **{**other, "email": "new@example.org"})
        assert "Nothing was changed" in said
        guest.refresh_from_db()
        assert (guest.contact_email, guest.contact_name) == ("old@example.org", "Ada Lovelace")

    def test_without_an_address_the_mail_is_not_offered_and_is_refused(
        self, office: Client, paid: Payment, guest: User
    ) -> None:
        button = f'action="/office/orders/{paid.reservation_id}/mail/"'
        assert button in page_of(office, paid)
        User.objects.update(contact_email="")
        page = page_of(office, paid)
        assert button not in page
        assert 'No mail can be sent, because this order has no e-mail address. <a href="#address">' in page
        assert "Enter one first." in act(office, paid.reservation_id, "mail")
        sent = {"before": "", "name_before": "Ada", "email": "new@example.org", "name": "Ada"}
        act(office, paid.reservation_id, "address", **sent)
        assert "mona entered the e-mail address of the buyer: new@example.org" in page_of(office, paid)

    def test_the_links_of_the_guests_other_orders_end_too(
        self, office: Client, paid: Payment, guest: User, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        other = claim(guest.pk, ticket_type_make(price_minor=0), 1).reservation["id"]
        services.reservation_pay(buyer_id=guest.pk, reservation_id=other, gateway="sandbox", token="free")
        links = [admission.order_link(order_id=each) for each in (paid.reservation_id, other)]
        sent = {**SEEN, "email": "old@example.org", "name": "Ada L"}
        act(office, paid.reservation_id, "address", **sent)
        assert links == [admission.order_link(order_id=each) for each in (paid.reservation_id, other)]
        act(
            office,
            paid.reservation_id,
            "address",
            **{**sent, "name_before": "Ada L", "email": "new@example.org"},
        )
        for link in links:
            assert Client().get(f"/t/{link}/").status_code == 404, "the reader of the earlier mailbox has it"

    @pytest.fixture
    def proven(self, guest: User) -> User:
        User.objects.filter(pk=guest.pk).update(verified_email="old@example.org")
        return User.objects.get(pk=guest.pk)

    def test_the_earlier_mailbox_no_longer_opens_the_guests_orders(
        self, office: Client, paid: Payment, proven: User, user_make: Callable[..., User]
    ) -> None:
        session, other = api_of(proven), user_make(is_guest=True, email="")
        EmailCode.objects.create(
            user=proven, email="old@example.org", nonce="n", expires_at=timezone.now() + timedelta(minutes=1)
        )
        assert session.get("/event/reservations/").status_code == 200
        sent = {**SEEN, "email": "new@example.org", "name": "Ada L"}
        assert "The address was changed." in act(office, paid.reservation_id, "address", **sent)
        assert not EmailCode.objects.exists()
        with db.transaction():
            found = accounts.email_verified(guest_id=other.pk, email="old@example.org")
        assert found.pk == other.pk, "the earlier mailbox may belong to somebody else"
        assert session.get("/event/reservations/").status_code == 401

    def test_a_guest_who_verified_the_new_address_or_none_stays_logged_in(
        self, office: Client, paid: Payment, proven: User
    ) -> None:
        session = api_of(proven)
        for before, email in (
            ("old@example.org", "OLD@example.org"),
            ("OLD@example.org", "old@example.org"),
        ):
            sent = {**SEEN, "before": before, "email": email, "name": "Ada"}
            assert "The address was changed." in act(office, paid.reservation_id, "address", **sent)
        proven.refresh_from_db()
        assert proven.verified_email == "old@example.org"
        User.objects.update(verified_email="")
        sent = {**SEEN, "email": "new@example.org", "name": ""}
        assert "The address was changed." in act(office, paid.reservation_id, "address", **sent)
        assert session.get("/event/reservations/").status_code == 200

    def test_a_verified_address_stays_while_its_owner_waits_in_a_line(
        self, office: Client, paid: Payment, proven: User, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        [wished] = line_make(ticket_type_make, 5)
        enter(wished, proven.pk)
        sent = {**SEEN, "email": "new@example.org", "name": ""}
        assert "is waiting in a line" in act(office, paid.reservation_id, "address", **sent)
        proven.refresh_from_db()
        assert (proven.contact_email, proven.verified_email) == ("old@example.org", "old@example.org")
        Entry.objects.update(state="left")
        assert "The address was changed." in act(office, paid.reservation_id, "address", **sent)

    @pytest.mark.parametrize("why", ["ended", "cancelled", "opens directly"])
    def test_a_line_that_gives_nothing_any_more_does_not_hinder_it(
        self,
        why: str,
        office: Client,
        paid: Payment,
        proven: User,
        ticket_type_make: Callable[..., TicketType],
    ) -> None:
        [wished] = line_make(ticket_type_make, 5)
        enter(wished, proven.pk)
        if why == "ended":
            past = timezone.now() - timedelta(minutes=5)
            Inventory.objects.filter(pk=wished.pk).update(
                opens_at=past, closes_at=past + timedelta(minutes=1)
            )
        else:
            Inventory.objects.filter(pk=wished.pk).update(paused=True)
            changed = {"status": "cancelled"} if why == "cancelled" else {"opening": "direct"}
            Event.objects.filter(pk=wished.event_id).update(**changed)

        sent = {**SEEN, "email": "new@example.org", "name": ""}
        assert "The address was changed." in act(office, paid.reservation_id, "address", **sent)
        assert Entry.objects.get().state == "waiting"

    def test_a_name_is_one_line(self, office: Client, paid: Payment, guest: User) -> None:
        sent = {**SEEN, "email": "old@example.org", "name": "Ada\n  L"}
        act(office, paid.reservation_id, "address", **sent)
        guest.refresh_from_db()
        assert guest.contact_name == "Ada L"
        assert "control character" in act(
            office, paid.reservation_id, "address", **{**sent, "name": "A\x1bL"}
        )

    def test_an_outdated_page_changes_nothing(self, office: Client, paid: Payment, guest: User) -> None:
        sent = {**SEEN, "before": "older@example.org", "email": "new@example.org", "name": ""}
        assert "Nothing was changed" in act(office, paid.reservation_id, "address", **sent)
        guest.refresh_from_db()
        assert guest.contact_email == "old@example.org"

    def test_a_wrong_address_is_shown_beside_its_field(
        self, office: Client, paid: Payment, guest: User
    ) -> None:
        sent = {**SEEN, "email": "new", "name": ""}
        assert "Enter a valid email address." in act(office, paid.reservation_id, "address", **sent)

    def test_the_address_of_an_account_cannot_be_changed(
        self, office: Client, paid: Payment, buyer: User
    ) -> None:
        sent = {"before": "", "email": "new@example.org", "name": ""}
        assert "has an account" in act(office, paid.reservation_id, "address", **sent)
        buyer.refresh_from_db()
        assert buyer.contact_email == ""


class TestRefund:
    def address(self, payment: Payment) -> str:
        return f"/office/orders/{payment.reservation_id}/refund/"

    def test_a_part_is_refunded_once(self, office: Client, paid: Payment, staff: User) -> None:
        fields = fields_of(office.get(self.address(paid)))
        sent = {**fields, "amount": "10.00"}
        assert office.post(self.address(paid), sent).status_code == 302
        refund = Refund.objects.get()
        assert (refund.amount_minor, refund.requested_by) == (1000, staff)
        services.refund_process(refund_id=refund.pk)
        again = office.post(self.address(paid), sent)  # the same form once more
        assert again.status_code == 409
        assert "has changed since you last saw it" in again.content.decode()
        assert Refund.objects.count() == 1
        assert "Partly refunded" in page_of(office, paid)
        assert "Refund of €10.00, requested by mona: refunded" in page_of(office, paid)

    def test_too_much_is_refused(self, office: Client, paid: Payment) -> None:
        sent = {**fields_of(office.get(self.address(paid))), "amount": "30.01"}
        answer = office.post(self.address(paid), sent)
        assert answer.status_code == 409
        assert "This is more than the amount that can still be refunded" in answer.content.decode()
        assert office.post(self.address(paid), {**sent, "amount": "x"}).status_code == 400
        assert not Refund.objects.exists()

    def test_all_is_refunded_and_the_tickets_return(self, office: Client, paid: Payment) -> None:
        sent = {**fields_of(office.get(self.address(paid))), "return_tickets": "on"}
        office.post(self.address(paid), sent)
        services.refund_process(refund_id=Refund.objects.get().pk)
        assert Reservation.objects.get().state == "released"
        assert set(Ticket.objects.values_list("state", flat=True)) == {"revoked"}

    def test_an_unpaid_order_has_nothing_to_refund(self, office: Client, payment: Payment) -> None:
        assert office.get(self.address(payment)).status_code == 404

    def test_a_refund_that_the_gateway_refused_is_tried_again_once(
        self, office: Client, paid: Payment, staff: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        permit(staff, Permission.RETRY_REFUND)
        sent = fields_of(office.get(self.address(paid)))
        with monkeypatch.context() as refusing:
            refusing.setattr(
                SandboxGateway, "refund", lambda *_, **__: Refunded(outcome=RefundOutcome.FAILED)
            )
            office.post(self.address(paid), sent)
            services.refund_process(refund_id=Refund.objects.get().pk)
        assert "Try the refund again" in page_of(office, paid)
        assert "is being tried again" in act(office, paid.reservation_id, "retry")
        assert "has no failed refund" in act(office, paid.reservation_id, "retry")
        assert OrderRecord.objects.filter(what="refund tried again").count() == 1
        services.refund_process(refund_id=Refund.objects.get().pk)
        page = page_of(office, paid)
        assert "Try the refund again" not in page
        assert "mona tried the refund again" in page
        assert Refund.objects.get().status == "SUCCESS"

    def test_the_mail_about_a_refund_is_in_the_history(self, office: Client, paid: Payment) -> None:
        office.post(self.address(paid), fields_of(office.get(self.address(paid))))
        refund = Refund.objects.get().pk
        services.refund_process(refund_id=refund)
        assert "The mail about the refund was sent" not in page_of(office, paid)
        services.mails_send()
        assert "The mail about the refund was sent" in page_of(office, paid)

    def test_the_history_names_the_actor_of_a_return(
        self, office: Client, paid: Payment, staff: User
    ) -> None:
        permit(staff, TicketsPermission.RETURN_TICKETS)
        office.post(self.address(paid), fields_of(office.get(self.address(paid))))
        services.refund_process(refund_id=Refund.objects.get().pk)
        for _ in range(2):
            office.post("/reservations/return/", {"reservation": paid.reservation_id})
        page = page_of(office, paid)
        assert page.count("mona put the tickets back on sale") == 1
        assert "<td>Back on sale</td>" in page


def test_the_history_names_the_actor_ticket_and_gate_of_scans(
    office: Client, paid: Payment, user_make: Callable[..., User]
) -> None:
    ticket = Ticket.objects.order_by("pk")[0]
    user = permit(user_make(username="dora"), DoorPermission.USE_DOOR, DoorPermission.UNDO_ADMISSION)
    door, scan = api_of(user), str(uuid4())
    asked = {"scan_id": scan, "event": ticket.event_id, "serial": ticket.serial, "gate": "North"}
    assert door.post("/door/scans/", asked, format="json").json()["result"] == "admitted"
    assert f"dora scanned ticket {ticket.serial} at gate North: admitted" in page_of(office, paid)
    kept = {"scans": [{**asked, "scan_id": str(uuid4())}]}
    assert door.post("/door/scans/batch/", kept, format="json").json()[0]["result"] == "already_admitted"
    conflict = "already admitted, but the gate had no network and let the person in"
    assert page_of(office, paid).count(conflict) == 1
    assert door.post(f"/door/scans/{scan}/undo/").status_code == 200
    assert f"dora undid the admission of ticket {ticket.serial}" in page_of(office, paid)


def test_actions_of_staff_stay_when_holds_are_pruned(office: Client, payment: Payment) -> None:

    act(office, payment.reservation_id, "release")
    pruning.rows_prune(before=timezone.now() + timedelta(days=999))
    assert OrderRecord.objects.count() == 1
