"""Buying without an account, on pages: the first press makes a guest, and the checkout asks for an address."""

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checkout import services as checkout
from checkout.models import Payment, Receipt
from overlord.accounts import guests, operations
from overlord.accounts import services as accounts
from overlord.accounts.models import EmailCode, User
from overlord.kernel import db
from tests.threads import together
from tickets.models import Reservation, TicketType
from tickets.tests.reserving import waiting_for_a_lock
from tickets.tests.vouchers import voucher_make

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct horse"
GUEST = {"email": "ada@example.org", "name": "Ada Lovelace"}


@pytest.fixture
def visitor() -> Client:
    """Return the browser of a new visitor. Its forms need a token, or must come from our own pages."""
    return new_visitor()


def reserve(browser: Client, ticket_type: TicketType, amount: Any = 1, **headers: str) -> Any:
    body = {"ticket_type": ticket_type.pk, "amount": amount}
    return browser.post(f"/events/{ticket_type.event_id}/", body, headers=headers or None)


def new_visitor() -> Client:
    return Client(
        enforce_csrf_checks=True, headers={"accept": "text/html,*/*", "sec-fetch-site": "same-origin"}
    )


def reserve_with(key: str, ticket_type: TicketType, amount: int = 1) -> tuple[Client, Any]:
    """Reserve in a browser without cookies, as when the answer to an earlier press was lost."""
    browser = new_visitor()
    body = {"ticket_type": ticket_type.pk, "amount": amount, "key": key}
    return browser, browser.post(f"/events/{ticket_type.event_id}/", body)


def token_of_form(browser: Client, page: str) -> dict[str, str]:
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get(page).content.decode())
    assert token
    return {"csrfmiddlewaretoken": token[1]}


def submit(browser: Client, page: str, action: str, **fields: str) -> Any:
    """Send a form of a page, with the page's token."""
    return browser.post(action, {**fields, **token_of_form(browser, page)})


def text(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def wrong_fields(page: str) -> list[str]:
    """Return the names of the fields that a page marks as wrong and describes by its message."""
    marked = [field for field in re.findall("<input[^>]*>", page) if 'aria-invalid="true"' in field]
    assert 'id="error"' in page
    assert all(re.search(r'aria-describedby="[^"]*\berror"', field) for field in marked)
    return re.findall(r'name="(\w+)"', "".join(marked))


def pay(browser: Client, place: str, **fields: str) -> Any:
    return submit(browser, place, f"{place}pay/", **{"token": "ok", **GUEST, **fields})


class TestTheFirstPress:
    def test_the_first_press_reserves_and_makes_a_guest(
        self, visitor: Client, ticket_type: TicketType
    ) -> None:
        place = reserve(visitor, ticket_type, 2)["Location"]
        assert "Your tickets are reserved" in text(visitor.get(place))
        held = Reservation.objects.get()
        assert (held.quantity, held.state, held.buyer.is_guest) == (2, "held", True)
        assert User.objects.count() == 1

    def test_a_second_tab_that_was_open_before_reserves_too(
        self, visitor: Client, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        stalls = ticket_type_make()
        circle = ticket_type_make(event=stalls.event)
        place = reserve(visitor, stalls)["Location"]
        again = reserve(visitor, stalls)
        assert again.status_code == 409
        assert f'href="{place}"' in again.content.decode()
        assert reserve(visitor, circle).status_code == 302
        assert User.objects.count() == 1

    def test_the_page_of_a_visitor_holds_no_token_and_sets_no_cookie(
        self, visitor: Client, ticket_type: TicketType
    ) -> None:
        pages = [visitor.get(f"/events/{ticket_type.event_id}/") for _ in range(2)]
        assert "csrfmiddlewaretoken" not in pages[0].content.decode()
        assert 'name="key"' not in pages[0].content.decode()
        assert not pages[0].cookies

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"sec-fetch-site": "same-origin"}, 302),
            ({"sec-fetch-site": "same-origin", "origin": "http://testserver"}, 302),
            ({"origin": "http://testserver"}, 302),
            ({"sec-fetch-site": "cross-site"}, 403),
            ({"sec-fetch-site": "same-site"}, 403),
            ({"sec-fetch-site": "none"}, 403),
            ({"sec-fetch-site": "cross-site", "origin": "http://testserver"}, 403),
            ({"origin": "http://evil.example"}, 403),
            ({"origin": "http://testserver:81"}, 403),
            ({"origin": "https://testserver"}, 403),
            ({"origin": "null"}, 403),
            ({}, 403),
        ],
    )
    def test_a_form_without_a_token_needs_our_origin(
        self, headers: dict[str, str], status: int, ticket_type: TicketType
    ) -> None:
        browser = Client(enforce_csrf_checks=True, headers={"accept": "text/html"})
        assert reserve(browser, ticket_type, **headers).status_code == status
        assert Reservation.objects.count() == User.objects.count() == (status == 302)

    def test_every_other_form_needs_its_token(self, visitor: Client, buyer: User) -> None:
        assert visitor.post("/login/", {"username": buyer.username, "password": PASSWORD}).status_code == 403
        assert visitor.post("/signup/", {"email": "a@b.example", "password": PASSWORD}).status_code == 403

    @pytest.mark.parametrize(("amount", "status"), [(60, 409), (0, 400), ("many", 400), (2**31, 400)])
    def test_a_refusal_keeps_the_choice_and_leaves_no_trace(
        self, amount: Any, status: int, visitor: Client, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        answer = reserve(visitor, ticket_type_make(max_per_user=99), amount)
        assert answer.status_code == status
        assert "is-chosen" in answer.content.decode()
        assert not answer.cookies
        assert not User.objects.exists()

    def test_a_session_from_another_source_is_not_used(
        self, visitor: Client, ticket_type: TicketType
    ) -> None:
        session = visitor.session
        session["planted"] = True
        session.save()
        given = session.session_key
        reserve(visitor, ticket_type)
        assert visitor.cookies["sessionid"].value != given

    def test_the_first_press_takes_few_queries(self, visitor: Client, ticket_type: TicketType) -> None:
        with CaptureQueriesContext(connection) as context:
            reserve(visitor, ticket_type)
        assert len(context) <= 7, [each["sql"] for each in context]


class TestAPressWhoseAnswerIsLost:
    """The script of the page gives its form a key, and the browser has lost the first answer with its cookie."""

    KEY = "00112233445566778899aabbccddeeff"

    def test_the_next_press_leads_to_the_first_hold(
        self, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_type = ticket_type_make(capacity=2)
        _, lost = reserve_with(self.KEY, ticket_type, 2)  # the first press took the last tickets
        browser, again = reserve_with(self.KEY, ticket_type, 2)
        assert (lost.status_code, again.status_code) == (302, 302)
        assert again["Location"] == lost["Location"]
        assert "Your tickets are reserved" in text(browser.get(again["Location"]))
        assert User.objects.count() == Reservation.objects.count() == 1
        assert pay(browser, again["Location"])["Location"] == again["Location"]

    def press_twice(
        self, ticket_type: TicketType, *, key: str = KEY, amount: int = 2, **fields: str
    ) -> tuple[Any, Any]:
        """Press twice in a browser that keeps its cookies, the second time with this key and amount."""
        browser, place = new_visitor(), f"/events/{ticket_type.event_id}/"
        body = {"ticket_type": ticket_type.pk, "amount": 2, "key": self.KEY, **fields}
        first = browser.post(place, body)
        assert first.status_code == 302
        return first, browser.post(place, {**body, "key": key, "amount": amount})

    @pytest.mark.parametrize("has_code", [False, True])
    def test_the_next_press_leads_there_also_when_the_answer_with_the_cookie_came(
        self, has_code: bool, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        """The page's script lets a visitor press again while the checkout, which the answer leads to, is late."""
        ticket_type = ticket_type_make(capacity=2)
        fields = {"code": "FRIENDS"} if has_code else {}
        if has_code:
            TicketType.objects.filter(pk=ticket_type.pk).update(hidden=True)
            voucher_make(ticket_type.event, "FRIENDS", types=[ticket_type], most_uses=2)

        first, again = self.press_twice(ticket_type, **fields)

        assert (again.status_code, again.headers.get("Location")) == (302, first["Location"])
        assert User.objects.count() == Reservation.objects.count() == 1

    @pytest.mark.parametrize("changed", [{"amount": 1}, {"key": KEY[::-1]}, {"key": ""}])
    def test_another_choice_or_page_is_refused_with_a_link_to_the_hold(
        self, changed: dict[str, Any], ticket_type: TicketType
    ) -> None:
        """What is asked for is not what is held, or another tab asks for more."""
        first, again = self.press_twice(ticket_type, **changed)

        assert again.status_code == 409
        assert f'href="{first["Location"]}"' in again.content.decode()

    def test_a_sold_out_type_beside_the_hold_is_refused(
        self, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_type = ticket_type_make()
        browser, _ = reserve_with(self.KEY, ticket_type)
        gone = ticket_type_make(event=ticket_type.event, capacity=1)
        reserve(new_visitor(), gone)
        body = {f"amount_{ticket_type.pk}": 1, f"amount_{gone.pk}": 1, "key": self.KEY}

        assert browser.post(f"/events/{gone.event_id}/", body).status_code == 409

    def test_control_without_the_look_at_the_key_the_visitors_own_hold_refuses(
        self, ticket_type: TicketType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(guests, "is_guest_of", lambda *_, **__: False)
        assert self.press_twice(ticket_type)[1].status_code == 409

    def test_the_key_is_not_stored_if_the_answer_arrived_after_all(
        self, ticket_type: TicketType, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        """Forbid it because the key opens the guest, so no copy of the database may contain it."""
        browser, _ = reserve_with(self.KEY, ticket_type)
        other = ticket_type_make(event=ticket_type.event)
        body = {"ticket_type": other.pk, "amount": 1, "key": self.KEY}
        assert browser.post(f"/events/{other.event_id}/", body).status_code == 302
        kept = Reservation.objects.get(ticket_type=other).idempotency_key
        assert kept
        assert self.KEY not in kept

    def test_a_changed_choice_leads_to_the_first_hold_too(self, ticket_type: TicketType) -> None:
        _, lost = reserve_with(self.KEY, ticket_type, 1)
        _, again = reserve_with(self.KEY, ticket_type, 2)
        assert again["Location"] == lost["Location"]
        assert Reservation.objects.get().quantity == 1

    def test_presses_at_the_same_moment_make_one_guest_with_one_hold(self, ticket_type: TicketType) -> None:
        for number in range(1, 6):
            answers = together(*[partial(reserve_with, f"{number:032x}", ticket_type)] * 3)
            places = {answer["Location"] for _, answer in answers if answer.status_code == 302}
            assert places == {f"/checkout/{Reservation.objects.latest('pk').pk}/"}
            assert User.objects.count() == Reservation.objects.count() == number

    def test_a_refused_press_leaves_no_trace_and_can_be_repeated(
        self, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_type = ticket_type_make(max_per_user=99)
        for _ in range(2):
            browser, refused = reserve_with(self.KEY, ticket_type, 60)
            assert refused.status_code == 409
            assert not browser.cookies
            assert not User.objects.exists()
        assert reserve_with(self.KEY, ticket_type)[1].status_code == 302

    def test_an_ended_hold_is_made_again_for_the_same_guest(self, ticket_type: TicketType) -> None:
        browser, first = reserve_with(self.KEY, ticket_type)
        submit(browser, first["Location"], f"{first['Location']}release/")
        _, again = reserve_with(self.KEY, ticket_type)
        assert again["Location"] != first["Location"]
        assert User.objects.count() == 1

    @pytest.mark.parametrize("other", ["", "0" * 32, KEY[:-1], KEY.upper(), KEY[:-1] + "g", f"{KEY}0"])
    def test_another_key_opens_nothing(self, other: str, ticket_type: TicketType) -> None:
        _, first = reserve_with(self.KEY, ticket_type)
        answers = [reserve_with(other, ticket_type)[1] for _ in range(2)]
        assert first["Location"] not in [answer.headers.get("Location") for answer in answers]

    @pytest.mark.parametrize("weak", ["7", KEY[:-1], KEY.upper()])
    def test_a_weak_key_is_ignored(self, weak: str, ticket_type: TicketType) -> None:
        places = {reserve_with(weak, ticket_type)[1]["Location"] for _ in range(2)}
        assert len(places) == 2

    def is_closed(self, ticket_type: TicketType, place: str) -> bool:
        """Return whether the key makes another guest, who cannot see the order of the first."""
        browser, again = reserve_with(self.KEY, ticket_type)
        assert again.status_code == 302
        return again["Location"] != place and browser.get(place).status_code == 404

    def test_the_key_ends_when_the_guest_has_entered_an_address(self, ticket_type: TicketType) -> None:
        browser, first = reserve_with(self.KEY, ticket_type)
        pay(browser, first["Location"])
        assert self.is_closed(ticket_type, first["Location"])

    def test_the_key_ends_when_the_guest_was_asked_to_verify_an_address(
        self, ticket_type: TicketType
    ) -> None:
        _, first = reserve_with(self.KEY, ticket_type)
        guest = User.objects.get()
        EmailCode.objects.create(
            user=guest, email="ada@example.org", nonce="n", expires_at=timezone.now() + timedelta(minutes=5)
        )
        assert self.is_closed(ticket_type, first["Location"])

    def test_the_key_ends_with_the_time_of_a_hold(self, ticket_type: TicketType, settings: Any) -> None:
        _, first = reserve_with(self.KEY, ticket_type)
        User.objects.update(date_joined=timezone.now() - timedelta(seconds=settings.HOLD_SECONDS))
        assert self.is_closed(ticket_type, first["Location"])

    def test_the_key_opens_no_account(self, ticket_type: TicketType) -> None:
        _, first = reserve_with(self.KEY, ticket_type)
        User.objects.update(is_guest=False)
        assert self.is_closed(ticket_type, first["Location"])


class TestPaying:
    def test_the_tickets_are_the_guests_and_the_mail_goes_to_the_address(
        self, visitor: Client, ticket_type: TicketType
    ) -> None:
        place = reserve(visitor, ticket_type)["Location"]
        assert pay(visitor, place)["Location"] == place
        checkout.payment_process(payment_id=Payment.objects.get().pk)
        checkout.mails_send()
        [letter] = mail.outbox
        assert letter.to == [GUEST["email"]]
        assert letter.body.startswith("Hello Ada Lovelace,")
        assert "Keep your tickets in one place" in text(visitor.get(place))

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"email": ""}, "Please enter your e-mail address."),
            ({"email": "nowhere"}, "Enter a valid email address."),
            ({"email": "a" * 250 + "@example.org"}, "at most 254 characters"),
            ({"name": "x" * 151}, "at most 150 characters"),
            ({"name": "Ada\x07"}, "contains a control character"),
        ],
    )
    def test_wrong_values_are_named_beside_their_field_and_the_others_kept(
        self, fields: dict[str, str], said: str, visitor: Client, ticket_type: TicketType
    ) -> None:
        place = reserve(visitor, ticket_type)["Location"]
        answer = pay(visitor, place, token="slow", **fields)
        assert answer.status_code == 400
        assert said in text(answer)
        shown = answer.content.decode()
        assert 'value="slow" selected' in shown
        kept = {**GUEST, **fields}
        assert all(f'value="{value}"' in shown for value in kept.values())
        assert wrong_fields(shown) == [*fields]
        assert Reservation.objects.get().state == "held"

    def test_a_wrong_address_is_named_in_formal_german(
        self, visitor: Client, ticket_type: TicketType
    ) -> None:
        """Check a text of Django, which other packages translate too."""
        place = reserve(visitor, ticket_type)["Location"]
        visitor.cookies["django_language"] = "de"
        assert "Geben Sie eine gültige E-Mail-Adresse ein." in text(pay(visitor, place, email="nowhere"))

    def test_an_account_is_not_asked_for_an_address(self, buyer: User, ticket_type: TicketType) -> None:
        browser = Client(headers={"accept": "text/html"})
        browser.force_login(buyer)
        place = reserve(browser, ticket_type)["Location"]
        assert 'name="email"' not in browser.get(place).content.decode()


class TestBecomingAnAccount:
    def test_a_password_keeps_all_in_one_place(self, visitor: Client, ticket_type: TicketType) -> None:
        place = reserve(visitor, ticket_type)["Location"]
        pay(visitor, place)
        form = {"email": GUEST["email"], "password": PASSWORD, "next": place}
        assert submit(visitor, place, "/signup/", **form)["Location"] == place
        [user] = User.objects.all()
        assert (user.username, user.email, user.is_guest) == ("ada", "ada@example.org", False)
        elsewhere = Client(headers={"accept": "text/html"})
        elsewhere.post("/login/", {"username": "ada@example.org", "password": PASSWORD})
        assert elsewhere.get(place).status_code == visitor.get(place).status_code == 200

    def test_a_password_that_is_sent_twice_at_the_same_moment_makes_one_account(
        self, visitor: Client, ticket_type: TicketType
    ) -> None:
        """The page of a slow site lets people press again, and says that nothing is done twice."""
        place = reserve(visitor, ticket_type)["Location"]
        form = {"email": GUEST["email"], "password": PASSWORD, "next": place, **token_of_form(visitor, place)}
        tabs = [new_visitor(), new_visitor()]
        locked = threading.Event()

        def lock() -> None:
            with db.transaction():
                operations.user_lock(user_id=User.objects.get().pk)
                locked.set()
                waiting_for_a_lock(len(tabs))

        def press(tab: Client) -> Any:
            tab.cookies.update(visitor.cookies)
            locked.wait(60)
            return tab.post("/signup/", form)

        _, *answers = together(lock, *[partial(press, tab) for tab in tabs])

        assert [answer["Location"] for answer in answers] == [place, place]
        assert not User.objects.get().is_guest
        assert [tab.get(place).status_code for tab in tabs] == [200, 200]

    def test_a_weak_password_is_refused_with_the_form(self, visitor: Client, ticket_type: TicketType) -> None:
        place = reserve(visitor, ticket_type)["Location"]
        refused = submit(visitor, place, "/signup/", email=GUEST["email"], password="12345678", next=place)
        assert "too common" in text(refused)
        assert f'name="next" value="{place}"' in refused.content.decode()
        assert User.objects.get().is_guest

    def test_signing_up_asks_for_no_username_and_makes_a_free_one(self, user_make: Any) -> None:
        user_make(username="ADA", email="other@example.org")
        for address in ("ada@example.org", "ada@example.net", "!#$@example.org"):
            answer = Client().post("/signup/", {"email": address, "password": PASSWORD})
            assert answer.status_code == 302, text(answer)
        names = list(User.objects.order_by("id").values_list("username", flat=True))
        assert [re.sub("-[0-9a-f]{8}$", "-N", name) for name in names] == ["ADA", "ada-N", "ada-N", "buyer"]


class TestLoggingIn:
    def led(self, visitor: Client, buyer: User, ticket_type: TicketType) -> tuple[str, Any]:
        """Reserve as a guest and pay with the address of an account."""
        place = reserve(visitor, ticket_type)["Location"]
        return place, pay(visitor, place, email=buyer.email.upper())

    def test_a_guest_whose_address_has_an_account_logs_in_and_keeps_the_hold(
        self, visitor: Client, buyer: User, ticket_type: TicketType
    ) -> None:
        place, refused = self.led(visitor, buyer, ticket_type)
        ends = Reservation.objects.get().expires_at
        assert refused.status_code == 409
        assert "There is already an account with this e-mail address." in text(refused)
        assert wrong_fields(refused.content.decode()) == ["email"]
        log_in = f"/login/?next={place}"
        assert f'href="{log_in}"' in refused.content.decode()

        back = submit(visitor, log_in, log_in, username=buyer.email, password=PASSWORD, next=place)
        assert back["Location"] == place
        assert "Your tickets are reserved" in text(visitor.get(place))
        held = Reservation.objects.get()
        assert (held.buyer, held.state, held.expires_at) == (buyer, "held", ends)
        assert pay(visitor, place, email="", name="")["Location"] == place
        assert Payment.objects.get().buyer == buyer

    def test_my_tickets_says_where_the_link_is_once_it_was_sent(
        self, visitor: Client, ticket_type: TicketType
    ) -> None:
        sentences = {
            "only here": "only in this browser",
            "on its way": "The link to your tickets is on its way to ada@example.org.",
            "sent": "We sent the link to your tickets to ada@example.org.",
        }

        def said() -> list[str]:
            shown = text(visitor.get("/me/"))
            return [name for name, sentence in sentences.items() if sentence in shown]

        place = reserve(visitor, ticket_type)["Location"]
        assert said() == ["only here"]
        pay(visitor, place)
        checkout.payment_process(payment_id=Payment.objects.get().pk)
        assert said() == ["on its way"]
        checkout.mails_send()
        assert said() == ["sent"]
        pay(visitor, reserve(visitor, ticket_type)["Location"])
        checkout.payment_process(payment_id=Payment.objects.latest("pk").pk)
        assert said() == ["on its way"], "that of the second order"
        Receipt.objects.filter(sent_at=None).update(next_look_at=None)
        assert said() == ["only here"], "the mail of the second order could not be delivered"

    def test_an_address_that_staff_entered_is_not_told_in_the_guests_browser(
        self, visitor: Client, user_make: Callable[..., User], ticket_type: TicketType
    ) -> None:
        pay(visitor, reserve(visitor, ticket_type)["Location"])
        payment = Payment.objects.get()
        checkout.payment_process(payment_id=payment.pk)
        own = [f"/checkout/{payment.reservation_id}/", "/me/", "/signup/"]
        assert all("ada@example.org" in visitor.get(each).content.decode() for each in own)

        checkout.address_change(
            staff_id=user_make().pk,
            order_id=payment.reservation_id,
            before="ada@example.org",
            name_before="Ada Lovelace",
            email="zoe@example.net",
            name="Zoe Marsh",
        )

        own.append(reserve(visitor, ticket_type)["Location"])
        pages = [visitor.get(each).content.decode() for each in own]
        assert not re.findall("zoe|Marsh|ada@example", "".join(pages), re.IGNORECASE)
        assert "The organiser has changed the e-mail address" in pages[1]
        pay(visitor, own[-1], email="zoe@example.net")
        assert "zoe@example.net" in text(visitor.get("/me/")), "now the guest entered it"

    def test_a_guest_who_has_forgotten_the_password_keeps_the_hold_too(
        self, visitor: Client, buyer: User, ticket_type: TicketType
    ) -> None:
        place, _ = self.led(visitor, buyer, ticket_type)
        accounts.password_reset_send(user_id=buyer.pk, base_url="http://testserver")
        link = re.search(r"http://testserver(\S+)", str(mail.outbox[-1].body))
        assert link
        form = visitor.get(link[1])["Location"]
        new = {"new_password1": "battery staple", "new_password2": "battery staple"}
        assert submit(visitor, form, form, **new).status_code == 302
        assert "Your tickets are reserved" in text(visitor.get(place))
        assert Reservation.objects.get().buyer == buyer

    def test_a_guest_who_logs_in_from_any_page_finds_all_holds_under_my_tickets(
        self, visitor: Client, buyer: User, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        types = [ticket_type_make() for _ in range(2)]
        places = [reserve(visitor, each)["Location"] for each in types]
        submit(visitor, "/login/", "/login/", username=buyer.email, password=PASSWORD)
        shown = visitor.get("/me/").content.decode()
        assert all(f'href="{place}"' in shown for place in places)

    def test_an_account_that_holds_the_same_type_keeps_both_holds_apart(
        self, visitor: Client, buyer: User, ticket_type: TicketType
    ) -> None:
        own = Client()
        own.force_login(buyer)
        reserve(own, ticket_type)
        place, _ = self.led(visitor, buyer, ticket_type)
        log_in = f"/login/?next={place}"
        submit(visitor, log_in, log_in, username=buyer.email, password=PASSWORD, next=place)
        answer = visitor.get(place)
        assert answer.status_code == 404
        assert "You have already reserved tickets of this type." in text(answer)

    def test_a_paid_order_stays_with_the_guest(
        self, visitor: Client, buyer: User, ticket_type: TicketType
    ) -> None:
        place = reserve(visitor, ticket_type)["Location"]
        pay(visitor, place)
        checkout.payment_process(payment_id=Payment.objects.get().pk)
        log_in = f"/login/?next={place}"
        submit(visitor, log_in, log_in, username=buyer.email, password=PASSWORD, next=place)
        assert visitor.get(place).status_code == 404
        assert Reservation.objects.get().buyer.is_guest

    def test_nobody_gets_the_holds_of_another_guest(
        self, visitor: Client, buyer: User, ticket_type: TicketType
    ) -> None:
        place = reserve(Client(headers={"sec-fetch-site": "same-origin"}), ticket_type)["Location"]
        reserve(visitor, ticket_type)
        log_in = f"/login/?next={place}"
        submit(visitor, log_in, log_in, username=buyer.email, password=PASSWORD, next=place)
        assert visitor.get(place).status_code == 404
        assert place != f"/checkout/{Reservation.objects.get(buyer=buyer).pk}/", (
            "this hold belongs to the visitor"
        )

    def test_a_guest_is_offered_the_log_in_and_no_log_out(
        self, visitor: Client, ticket_type: TicketType
    ) -> None:
        reserve(visitor, ticket_type)
        shown = visitor.get("/me/")
        assert "Log out" not in text(shown)
        assert "Set a password to keep your tickets" in text(shown)
        assert visitor.get("/login/").status_code == 200


def test_by_api_a_guest_gives_the_address_with_either_step(
    ticket_type: TicketType, user_make: Callable[..., User]
) -> None:
    user_make(email="taken@example.org")
    for step in ("create", "pay"):
        api = Client()
        api.post("/register/guest/")
        key = {"Authorization": f"Token {api.post('/register/guest/').json()['token']}"}

        def post(path: str, key: dict[str, str] = key, **body: Any) -> Any:
            return Client().post(path, body, content_type="application/json", headers=key)

        held = post("/event/reservations/", ticket_type=ticket_type.pk, amount=1).json()["id"]
        given = {"email": f"{step}@example.org", "name": "Ada"}
        at_first = given if step == "create" else {}
        payment = post("/payment/payments/", reservation_id=held, **at_first).json()["id"]
        if step == "pay":
            refused = post(f"/payment/payments/{payment}/pay/", token="ok")
            assert (refused.status_code, refused.json()["code"]) == (400, "email_required")
            refused = post(f"/payment/payments/{payment}/pay/", token="ok", email="taken@example.org")
            assert (refused.status_code, refused.json()["code"]) == (409, "email_has_account")
            refused = post(f"/payment/payments/{payment}/pay/", token="ok", email="nowhere")
            assert (refused.status_code, list(refused.json()["errors"])) == (400, ["email"])
        paid = post(f"/payment/payments/{payment}/pay/", token="ok", **({} if at_first else given))
        assert paid.status_code == 202, paid.content
        assert Reservation.objects.get(pk=held).buyer.contact_email == given["email"]
    assert Reservation.objects.filter(paying_since__lte=timezone.now()).count() == 2


@pytest.mark.parametrize(
    ("at_first", "with_pay", "kept"),
    [
        ({"name": " Ada  Lovelace "}, {"email": "ada@example.org"}, "Ada Lovelace"),
        ({"email": "ada@example.org", "name": "Ada"}, {"email": "ada@example.org"}, "Ada"),
        ({"email": "ada@example.org", "name": "Ada"}, {}, "Ada"),
        ({"email": "ada@example.org", "name": "Ada"}, {"name": "Grace"}, "Grace"),
        ({"email": "ada@example.org", "name": "Ada"}, {"name": ""}, ""),
        ({"email": "ada@example.org", "name": "Ada"}, {"email": "", "name": "Ada"}, "Ada"),
    ],
)
def test_by_api_what_a_step_does_not_mention_stays_as_the_guest_gave_it(
    ticket_type: TicketType, at_first: dict[str, str], with_pay: dict[str, str], kept: str
) -> None:
    key = {"Authorization": f"Token {Client().post('/register/guest/').json()['token']}"}

    def post(path: str, **body: Any) -> Any:
        return Client().post(path, body, content_type="application/json", headers=key)

    held = post("/event/reservations/", ticket_type=ticket_type.pk, amount=1).json()["id"]
    payment = post("/payment/payments/", reservation_id=held, **at_first).json()["id"]
    paid = post(f"/payment/payments/{payment}/pay/", token="ok", **with_pay)

    assert paid.status_code == 202, paid.content
    guest = Reservation.objects.get(pk=held).buyer
    assert (guest.contact_email, guest.contact_name) == ("ada@example.org", kept)


def test_by_api_a_name_that_comes_without_an_address_is_checked_too(ticket_type: TicketType) -> None:
    key = {"Authorization": f"Token {Client().post('/register/guest/').json()['token']}"}
    refused = Client().post(
        "/payment/payments/",
        {"reservation_id": 1, "name": "Ada\x07"},
        content_type="application/json",
        headers=key,
    )

    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["name"])
