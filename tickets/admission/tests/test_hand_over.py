"""Tickets that are handed over: each always has one valid code, and nobody sees or changes a ticket of others."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts.models import User
from overlord.kernel import rate_limits
from overlord.kernel.errors import NotFound
from overlord.kernel.rate_limits import Limit
from tests.clients import api_of, permit
from tests.threads import together
from tickets.admission import codes, hand_over_services, operations, rules, selectors, services, sql
from tickets.admission.models import HandOverNotice, Ticket
from tickets.admission.selectors import Reach
from tickets.admission.tests.admitting import give_back, paid, tickets_of
from tickets.admission.tests.auditing import audit_tickets
from tickets.admission.tests.doors import scan_by_api
from tickets.models import Reservation, TicketType

pytestmark = pytest.mark.django_db(transaction=True)

FRIEND = "friend@example.org"


@pytest.fixture
def reservation(buyer: User, ticket_type: TicketType) -> Reservation:
    return paid(buyer, ticket_type, 2)


def path(ticket: Ticket, suffix: str = "") -> str:
    return f"/event/reservations/{ticket.reservation_id}/tickets/{ticket.pk}/{suffix}"


def hand(api: APIClient, ticket: Ticket, **body: Any) -> Any:
    return api.post(path(ticket, "hand-over/"), {"email": FRIEND, **body}, format="json")


def name(api: APIClient, ticket: Ticket, **body: Any) -> Any:
    return api.patch(path(ticket), body, format="json")


def listed(api: APIClient, reservation: Reservation) -> list[dict[str, Any]]:
    return api.get(f"/event/reservations/{reservation.pk}/tickets/").json()


def opens(ticket: Ticket) -> str:
    """Return the address of the page of the person who got a ticket."""
    ticket.refresh_from_db()
    return f"/t/{selectors.ticket_link(ticket_id=ticket.pk, issue=ticket.issue)}/"


def reach_of(page: str) -> Reach:
    """Return what the link of a page gives a right to."""
    return selectors.reach_of_link(page.removeprefix("/t/").removesuffix("/"))


def give(reach: Reach, ticket: Ticket, *, email: str = FRIEND, seen: int | None = None) -> dict[str, Any]:
    """Hand a ticket over as the use case does."""
    return hand_over_services.ticket_hand_over(
        reach=reach, ticket_id=ticket.pk, email=email, holder="", seen=seen, now=timezone.now()
    )


def call(reach: Reach, ticket: Ticket, *, seen: int | None = None) -> dict[str, Any]:
    """Name who comes with a ticket as the use case does."""
    return hand_over_services.ticket_rename(
        reach=reach, ticket_id=ticket.pk, holder="Mallory", seen=seen, now=timezone.now()
    )


def order_page(reservation: Reservation) -> str:
    return f"/t/{selectors.order_link(order_id=reservation.pk)}/"


def told() -> set[tuple[str, str]]:
    return set(HandOverNotice.objects.values_list("kind", "to"))


class TestName:
    def test_a_buyer_names_the_holder_and_the_code_stays(
        self, api: APIClient, reservation: Reservation
    ) -> None:
        first, second = listed(api, reservation)
        answer = name(api, tickets_of(reservation)[0], holder="  Ada   Lovelace ", issue=1)

        assert (answer.status_code, answer.json()) == (200, {**first, "holder": "Ada Lovelace"})
        assert listed(api, reservation) == [{**first, "holder": "Ada Lovelace"}, second]
        assert name(api, tickets_of(reservation)[0], holder="").json()["holder"] == ""

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"holder": "a\0b"},
            {"holder": "x" * 101},
            {"holder": 7.5e9, "issue": 0},
            {"holder": "a", "issue": "1_0"},
        ],
    )
    def test_a_malformed_name_is_refused(
        self, api: APIClient, reservation: Reservation, body: dict[str, Any]
    ) -> None:
        assert name(api, tickets_of(reservation)[0], **body).status_code == 400
        assert set(Ticket.objects.values_list("holder", flat=True)) == {""}


class TestHandOver:
    def test_a_handed_over_ticket_gets_a_new_code_and_serial_that_only_its_holder_sees(
        self, api: APIClient, reservation: Reservation
    ) -> None:
        ticket, other = tickets_of(reservation)
        before = listed(api, reservation)
        answer = hand(api, ticket, holder="Grace")

        assert answer.status_code == 200
        shown = answer.json()
        assert (shown["code"], shown["serial"], shown["handed_to"], shown["issue"]) == (None, None, FRIEND, 2)
        assert listed(api, reservation) == [shown, before[1]]
        handed = Ticket.objects.get(pk=ticket.pk)
        assert handed.serial != ticket.serial
        page = Client().get(opens(ticket)).content.decode()
        assert handed.serial in page
        assert other.serial not in page
        assert page.count('class="qr"') == 1
        mine = Client().get(order_page(reservation)).content.decode()
        assert handed.serial not in mine
        assert mine.count('class="qr"') == 1
        assert FRIEND in mine
        audit_tickets()

    def test_the_buyer_reads_that_the_data_of_a_holder_was_erased(
        self, api: APIClient, reservation: Reservation
    ) -> None:
        ticket = tickets_of(reservation)[0]
        hand(api, ticket)
        Ticket.objects.filter(pk=ticket.pk).update(handed_to=Ticket.NOBODY)

        mine = Client().get(order_page(reservation)).content.decode()

        assert "A person whose data was erased has this ticket and its code." in mine
        assert Ticket.NOBODY not in mine
        shown = [(each["handed_to"], each["holder_erased"]) for each in listed(api, reservation)]
        assert shown == [(None, True), (None, False)]

    def test_the_earlier_code_opens_nothing_at_the_door(
        self, api: APIClient, staff_at_door: APIClient, reservation: Reservation
    ) -> None:
        ticket = tickets_of(reservation)[0]
        earlier = listed(api, reservation)[0]["code"]
        hand(api, ticket)

        assert scan_by_api(staff_at_door, code=earlier).json()["result"] == "revoked"
        assert scan_by_api(staff_at_door, serial=ticket.serial).json()["result"] == "unknown"
        ticket.refresh_from_db()
        assert scan_by_api(staff_at_door, serial=ticket.serial).json()["result"] == "admitted"

    def test_control_a_hand_over_without_a_new_issue_would_leave_the_earlier_code_valid(
        self,
        api: APIClient,
        staff_at_door: APIClient,
        reservation: Reservation,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def keep(*, ticket: Ticket, handed_to: str, holder: str) -> int:
            Ticket.objects.filter(pk=ticket.pk).update(handed_to=handed_to, changed=sql.CHANGED_NOW)
            return ticket.issue

        monkeypatch.setattr(operations, "ticket_hand_over", keep)
        with pytest.raises(AssertionError):
            self.test_the_earlier_code_opens_nothing_at_the_door(api, staff_at_door, reservation)

    def test_both_people_are_told(self, api: APIClient, buyer: User, reservation: Reservation) -> None:
        hand(api, tickets_of(reservation)[0])

        assert told() == {("received", FRIEND), ("given", buyer.email)}

    def test_the_former_holder_is_told_when_the_buyer_hands_the_ticket_to_another(
        self, api: APIClient, buyer: User, reservation: Reservation
    ) -> None:
        ticket = tickets_of(reservation)[0]
        hand(api, ticket)
        earlier = opens(ticket)
        HandOverNotice.objects.all().delete()
        hand(api, ticket, email="second@example.org")

        assert told() == {("received", "second@example.org"), ("given", buyer.email), ("withdrawn", FRIEND)}
        assert Client().get(earlier).status_code == 404
        assert Client().get(opens(ticket)).status_code == 200

    def test_a_buyer_who_hands_a_ticket_to_the_own_address_gets_it_back_with_a_new_code(
        self, api: APIClient, buyer: User, reservation: Reservation
    ) -> None:
        ticket = tickets_of(reservation)[0]
        hand(api, ticket)
        shown = hand(api, ticket, email=buyer.email.upper()).json()

        content, _raw = codes.code_read(shown["code"])
        assert (content.issue, shown["handed_to"]) == (3, None)
        assert Client().get(opens(ticket)).status_code == 404  # the order's link shows it

    def test_a_holder_hands_the_ticket_over_by_the_page_and_the_link_ends(
        self, api: APIClient, reservation: Reservation
    ) -> None:
        ticket = tickets_of(reservation)[0]
        hand(api, ticket)
        HandOverNotice.objects.all().delete()
        link = opens(ticket)
        done = Client().post(
            link, {"ticket": ticket.pk, "issue": 2, "email": "third@example.org", "hand_over": "yes"}
        )

        assert "Ticket handed over" in done.content.decode()
        assert Client().get(link).status_code == 404
        assert told() == {("received", "third@example.org"), ("given", FRIEND)}

    def test_many_requests_at_once_hand_a_ticket_over_once(
        self, buyer: User, reservation: Reservation
    ) -> None:
        ticket = tickets_of(reservation)[0]

        def to(number: int) -> Callable[[], Any]:
            return lambda: give(
                Reach(order_id=reservation.pk), ticket, email=f"friend{number}@example.org", seen=1
            )

        results = together(*[to(number) for number in range(6)])

        assert sorted(type(each).__name__ for each in results) == ["TicketChanged"] * 5 + ["dict"]
        ticket.refresh_from_db()
        assert ticket.issue == 2
        assert told() == {("received", ticket.handed_to), ("given", buyer.email)}

    def test_beside_a_refund_no_ticket_stays_valid(self, reservation: Reservation) -> None:
        ticket = tickets_of(reservation)[0]
        together(
            lambda: give(Reach(order_id=reservation.pk), ticket),
            lambda: give_back(reservation),
        )

        assert {each.state for each in tickets_of(reservation)} == {"revoked"}


class TestRefused:
    def test_a_stale_form_changes_nothing(self, api: APIClient, reservation: Reservation) -> None:
        ticket = tickets_of(reservation)[0]
        hand(api, ticket)
        answers = [hand(api, ticket, issue=1), name(api, ticket, holder="x", issue=1)]

        assert [(each.status_code, each.json()["code"]) for each in answers] == [(409, "ticket_changed")] * 2
        assert Ticket.objects.get(pk=ticket.pk).issue == 2

    def test_a_buyer_cannot_name_the_holder_of_a_ticket_that_was_handed_over(
        self, api: APIClient, reservation: Reservation
    ) -> None:
        ticket = tickets_of(reservation)[0]
        hand(api, ticket)

        assert name(api, ticket, holder="x").json()["code"] == "ticket_handed_over"

    @pytest.mark.parametrize(("state", "code"), [("revoked", "ticket_revoked"), ("admitted", "ticket_used")])
    def test_a_ticket_that_is_admitted_or_revoked_cannot_be_handed_over(
        self, api: APIClient, reservation: Reservation, state: str, code: str
    ) -> None:
        now = timezone.now()
        times = {"revoked_at": now} if state == "revoked" else {"admitted_at": now}
        Ticket.objects.update(state=state, **times)
        ticket = tickets_of(reservation)[0]

        assert (hand(api, ticket).json()["code"], name(api, ticket, holder="x").json()["code"]) == (
            code,
            code,
        )

    @pytest.mark.parametrize(
        "email", ["", "nobody", "a@b", "x" * 250 + "@example.org", "a\n@example.org", None]
    )
    def test_a_malformed_address_is_refused(
        self, api: APIClient, reservation: Reservation, email: Any
    ) -> None:
        assert hand(api, tickets_of(reservation)[0], email=email).status_code == 400

    def test_others_change_nothing(
        self, user_make: Callable[..., User], ticket_type: TicketType, reservation: Reservation
    ) -> None:
        other = user_make()
        foreign, mine = tickets_of(reservation)[0], paid(other, ticket_type)
        api = api_of(other)

        assert hand(api, foreign).status_code == name(api, foreign, holder="x").status_code == 404
        crossed = f"/event/reservations/{mine.pk}/tickets/{foreign.pk}/"
        assert api.patch(crossed, {"holder": "x"}, format="json").status_code == 404
        assert hand(APIClient(), foreign).status_code == 401
        assert HandOverNotice.objects.count() == 0

    def test_a_holder_reaches_no_other_ticket_of_the_order(
        self, api: APIClient, reservation: Reservation
    ) -> None:
        ticket, other = tickets_of(reservation)
        hand(api, ticket)
        form = {"ticket": other.pk, "issue": 1, "email": FRIEND, "hand_over": "yes"}

        assert Client().post(opens(ticket), form).status_code == 404
        assert Ticket.objects.get(pk=other.pk).issue == 1

    def test_control_without_the_check_a_holder_would_reach_the_other_tickets(
        self, api: APIClient, reservation: Reservation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            hand_over_services,
            "_locked",
            lambda reach, pk: operations.ticket_lock(order_id=reach.order_id, ticket_id=pk),
        )
        with pytest.raises(AssertionError):
            self.test_a_holder_reaches_no_other_ticket_of_the_order(api, reservation)

    def test_hand_overs_have_a_limit(self, reservation: Reservation) -> None:
        ticket = tickets_of(reservation)[0]
        Ticket.objects.update(issue=rules.MOST_ISSUES)

        with pytest.raises(rules.HandedTooOften):
            give(Reach(order_id=reservation.pk), ticket)

    @pytest.mark.parametrize("change", [give, call])
    def test_a_request_that_was_let_in_by_the_link_of_a_ticket_does_nothing_after_the_link_has_ended(
        self, api: APIClient, reservation: Reservation, change: Callable[..., Any]
    ) -> None:
        ticket = tickets_of(reservation)[0]
        hand(api, ticket)
        let_in = reach_of(opens(ticket))
        hand(api, ticket, email="second@example.org")

        for seen in (3, None):
            with pytest.raises(NotFound):
                change(let_in, ticket, seen=seen)
        ticket.refresh_from_db()
        assert (ticket.issue, ticket.handed_to, ticket.holder) == (3, "second@example.org", "")
        assert services.tickets_of_order(reach=let_in, now=timezone.now()) == [], "nor does it see the code"
        assert change(reach_of(opens(ticket)), ticket, seen=3)

    @pytest.mark.parametrize("change", [give, call])
    def test_control_without_a_second_look_at_the_link_the_request_would_change_the_ticket(
        self,
        api: APIClient,
        reservation: Reservation,
        monkeypatch: pytest.MonkeyPatch,
        change: Callable[..., Any],
    ) -> None:
        monkeypatch.setattr(selectors, "check_reach", lambda _reach, _ticket: None)
        with pytest.raises(pytest.fail.Exception):
            self.test_a_request_that_was_let_in_by_the_link_of_a_ticket_does_nothing_after_the_link_has_ended(
                api, reservation, change
            )

    @pytest.mark.parametrize("change", [give, call])
    def test_a_request_that_was_let_in_by_the_link_of_an_order_does_nothing_after_the_link_has_ended(
        self, buyer: User, reservation: Reservation, change: Callable[..., Any]
    ) -> None:
        ticket = tickets_of(reservation)[0]
        let_in = reach_of(order_page(reservation))
        services.order_link_renew(buyer_id=buyer.pk, reservation_id=reservation.pk)

        with pytest.raises(NotFound):
            change(let_in, ticket, seen=1)
        ticket.refresh_from_db()
        assert (ticket.issue, ticket.handed_to, ticket.holder) == (1, "", "")
        assert change(reach_of(order_page(reservation)), ticket, seen=1)

    def test_the_holder_of_a_ticket_uses_up_no_hand_overs_of_the_buyer(
        self, api: APIClient, reservation: Reservation, settings: Any
    ) -> None:
        ticket, other = tickets_of(reservation)
        hand(api, ticket)
        settings.RATE_LIMITS = True
        stale = {"ticket": ticket.pk, "issue": 1, "email": "third@example.org", "hand_over": "yes"}
        link, most = opens(ticket), hand_over_services.HAND_OVER_BY_HOLDER.amount

        refused = [Client().post(link, stale).status_code for _ in range(most + 1)]

        assert refused == [409] * most + [429]
        assert [hand(api, each, email="second@example.org").status_code for each in (ticket, other)] == [
            200,
            200,
        ]

    def test_control_with_one_count_for_both_the_buyer_would_be_refused(
        self, api: APIClient, reservation: Reservation, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def count(_limit: Limit, _by: object) -> None:
            counted(hand_over_services.HAND_OVER_BY_BUYER, reservation.pk)

        counted = rate_limits.count
        monkeypatch.setattr(rate_limits, "count", count)
        with pytest.raises(AssertionError):
            self.test_the_holder_of_a_ticket_uses_up_no_hand_overs_of_the_buyer(api, reservation, settings)

    def test_a_ticket_that_was_never_handed_over_has_no_link(self, reservation: Reservation) -> None:
        with pytest.raises(NotFound):
            selectors.reach_of_link(selectors.ticket_link(ticket_id=tickets_of(reservation)[0].pk, issue=1))


class TestPage:
    def test_the_form_names_the_holder(self, reservation: Reservation) -> None:
        ticket = tickets_of(reservation)[0]
        link = order_page(reservation)
        done = Client().post(link, {"ticket": ticket.pk, "issue": 1, "holder": "Ada <b>"})

        assert (done.status_code, done["Location"], done["Referrer-Policy"]) == (302, link, "same-origin")
        assert "Ada &lt;b&gt;" in Client().get(link).content.decode()

    @pytest.mark.parametrize(
        "form",
        [
            {},
            {"ticket": "x", "issue": "1"},
            {"ticket": str(2**63), "issue": "1"},
            {"ticket": "1", "issue": "1", "email": "nobody", "hand_over": "yes"},
            {"ticket": "1", "issue": "1", "hand_over": "yes"},
        ],
    )
    def test_a_wrong_form_is_answered_with_its_fault(
        self, reservation: Reservation, form: dict[str, str]
    ) -> None:
        answer = Client().post(order_page(reservation), form)

        assert answer.status_code == 400
        assert 'role="alert"' in answer.content.decode()

    def test_typed_values_stay_when_a_form_is_refused(self, reservation: Reservation) -> None:
        first, second = tickets_of(reservation)
        typed = {
            "ticket": second.pk,
            "issue": 1,
            "email": 'fri"end@',
            "holder": "Cleo <b>",
            "hand_over": "yes",
        }
        page = Client().post(order_page(reservation), typed).content.decode()

        assert page.count(" open>") == 1, "the form of this ticket is open"
        assert 'name="email" value="fri&quot;end@"' in page
        assert 'name="holder" value="Cleo &lt;b&gt;"' in page
        assert page.count('aria-invalid="true" aria-describedby="email-error-2"') == 1
        assert '<p class="error" id="email-error-2">Enter a valid email address.</p>' in page

        name = {"ticket": first.pk, "issue": 1, "holder": "Ada\x07"}
        page = Client().post(order_page(reservation), name).content.decode()
        assert 'id="name-error-1">This text contains a control character' in page

    def test_a_form_from_another_site_is_refused(self, reservation: Reservation) -> None:
        strict = Client(enforce_csrf_checks=True)
        ticket = tickets_of(reservation)[0]
        form = {"ticket": ticket.pk, "issue": 1, "holder": "x"}
        link = order_page(reservation)

        assert strict.post(link, form, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert strict.post(link, form, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 302

    def test_a_browser_that_sends_only_the_origin_may_send_forms(self, reservation: Reservation) -> None:
        """Leave out Sec-Fetch-Site, as browsers do without TLS, and old ones always."""
        strict = Client(enforce_csrf_checks=True)
        link = order_page(reservation)
        form = {"ticket": tickets_of(reservation)[0].pk, "issue": 1, "holder": "x"}

        assert strict.post(link, form, headers={"Origin": "http://testserver"}).status_code == 302
        for origin in ("null", "https://testserver", "http://testserver.example"):
            assert strict.post(link, form, headers={"Origin": origin}).status_code == 403


@pytest.fixture
def staff_at_door(user_make: Callable[..., User]) -> APIClient:
    return api_of(permit(user_make(), "admission.use_door"))
