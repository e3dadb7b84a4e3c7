"""The second factor of staff: set up, shown before money moves, lost and reset; by page, admin and API."""

import re
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from html import unescape
from io import StringIO
from typing import Any

import pyotp
import pytest
import time_machine
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts import limits, one_time_codes, second_factor, selectors, tasks
from overlord.accounts import second_factor_services as services
from overlord.accounts.models import ApiToken, BackupCode, SecondFactor, User
from overlord.accounts.rules import FactorOutdated, WrongCode
from overlord.journal.actions import Action
from overlord.journal.models import JournalEntry
from overlord.kernel.errors import TooMany
from tests.clients import permit
from tests.qr_codes import drawn, read
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/account/second-factor/"
MONEY_PAGE = "/office/orders/999999/refund/"  # of an order that does not exist
REFUND = "/payment/payments/999999/refund/"


@pytest.fixture(autouse=True)
def money(settings: Any) -> None:
    settings.STAFF_SECOND_FACTOR = "money"


@pytest.fixture
def cashier(user_make: Callable[..., User]) -> User:
    return permit(user_make(), "checkout.refund_payment", "checkout.manage_orders")


def browser(user: User) -> Client:
    client = Client(headers={"accept": "text/html"})
    client.force_login(user)
    return client


def code_of(user: User, *, later: int = 0) -> str:
    """Return the code that the user's app shows now, or this number of half minutes later."""
    app = pyotp.TOTP(one_time_codes.secret_of(SecondFactor.objects.get(pk=user.pk).seed))
    return app.at(timezone.now() + timedelta(seconds=30 * later))


def set_up(user: User) -> list[str]:
    """Give the user a second factor whose present codes are not used yet, and return the backup codes."""
    offer = services.offer_make(user_id=user.pk)
    app = pyotp.TOTP(one_time_codes.secret_of(services.offer_read(offer, user_id=user.pk)))
    _factor, codes = services.factor_set(
        user_id=user.pk, offer=offer, code=app.now(), replaces=None, now=timezone.now()
    )
    SecondFactor.objects.filter(pk=user.pk).update(last_step=0)
    return codes


def log_in(user: User, **body: str) -> Any:
    sent = {"username": user.username, "password": "correct horse", **body}
    return APIClient().post("/api-auth/login/", sent, format="json")


def api_with(answer: Any) -> APIClient:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Token {answer.json()['token']}")
    return api


class TestPages:
    def test_a_second_factor_is_set_up_and_shown_before_money_moves(self, cashier: User) -> None:
        client = browser(cashier)
        assert client.get("/office/orders/").status_code == 200, "looking needs none"
        sent_away = client.post(MONEY_PAGE, {"amount": "1"})
        assert sent_away.headers["Location"] == f"{PAGE}?next=%2Foffice%2Forders%2F999999%2Frefund%2F"
        page = client.get(sent_away.headers["Location"]).content.decode()
        key = re.search(r'class="secret">([A-Z2-7 ]+)<', page)
        offer = re.search(r'name="offer" value="([^"]+)"', page)
        assert key is not None
        assert offer is not None
        [code] = re.findall(r'<svg [^>]*class="qr".*?</svg>', page)
        [address] = read(drawn(code))
        assert f"secret={key[1].replace(' ', '')}" in address, "a phone reads the key from the QR code"
        app, after = pyotp.parse_uri(address), {"next": MONEY_PAGE}
        assert isinstance(app, pyotp.TOTP)
        body = {"offer": unescape(offer[1]), "code": "000000", **after}
        assert client.post(PAGE, body).status_code == 400
        code = app.now()
        done = client.post(PAGE, {**body, "code": code})
        assert done.status_code == 200
        codes = re.findall(r"<li>([a-z2-9]{4}-[a-z2-9]{4}-[a-z2-9]{4})</li>", done.content.decode())
        assert len(codes) == one_time_codes.BACKUP_CODES
        assert client.get(MONEY_PAGE).status_code == 404, "let in: there is no such order"

        another = browser(cashier)
        assert another.get(MONEY_PAGE).status_code == 302
        assert another.post(PAGE, {"code": code}).status_code == 400, "this code was used"
        passed = another.post(PAGE, {"code": codes[0].upper().replace("-", " "), **after})
        assert passed.headers["Location"] == MONEY_PAGE
        assert another.get(MONEY_PAGE).status_code == 404
        assert browser(cashier).post(PAGE, {"code": codes[0]}).status_code == 400, "and this one too"

    def test_the_owner_gets_a_mail(self, cashier: User) -> None:
        set_up(cashier)
        tasks.second_factor_notice_send(user_id=cashier.pk)
        assert mail.outbox[-1].to == [cashier.email]
        assert "/password-reset/" in str(mail.outbox[-1].body)

    def test_a_session_keeps_it_for_hours_and_not_for_days(self, cashier: User) -> None:
        set_up(cashier)
        client = browser(cashier)
        assert client.post(PAGE, {"code": code_of(cashier)}).status_code == 302
        assert client.get(MONEY_PAGE).status_code == 404
        session = client.session
        made, shown = session[second_factor.IN_SESSION]
        session[second_factor.IN_SESSION] = [made, shown - second_factor.LASTS.total_seconds() - 1]
        session.save()
        assert client.get(MONEY_PAGE).status_code == 302

    def test_showing_it_changes_the_key_of_the_session(self, cashier: User) -> None:
        set_up(cashier)
        client = browser(cashier)
        before = client.session.session_key
        client.post(PAGE, {"code": code_of(cashier)})
        assert client.session.session_key != before

    def test_only_a_session_that_has_shown_it_replaces_it(self, cashier: User) -> None:
        set_up(cashier)
        thief, offer = browser(cashier), services.offer_make(user_id=cashier.pk)
        app = pyotp.TOTP(one_time_codes.secret_of(services.offer_read(offer, user_id=cashier.pk)))
        made = SecondFactor.objects.get().made_at
        for body in ({"offer": offer, "code": app.now()}, {"renew": "1"}):
            thief.post(f"{PAGE}?new=1", body)
        assert SecondFactor.objects.get().made_at == made
        assert BackupCode.objects.count() == one_time_codes.BACKUP_CODES

    def test_a_new_device_replaces_the_old_one_everywhere(self, cashier: User) -> None:
        set_up(cashier)
        first, second = browser(cashier), browser(cashier)
        for client, later in ((first, 0), (second, 1)):
            assert client.post(PAGE, {"code": code_of(cashier, later=later)}).status_code == 302
        token = log_in(cashier, code=set_new_step(cashier))
        offer = re.search(r'name="offer" value="([^"]+)"', first.get(f"{PAGE}?new=1").content.decode())
        assert offer is not None
        app = pyotp.TOTP(one_time_codes.secret_of(services.offer_read(offer[1], user_id=cashier.pk)))
        assert first.post(f"{PAGE}?new=1", {"offer": offer[1], "code": app.now()}).status_code == 200
        assert first.get(MONEY_PAGE).status_code == 404
        assert second.get(MONEY_PAGE).status_code == 302
        assert api_with(token).post(REFUND, {}).status_code == 403

    def test_the_admin_asks_staff_who_may_move_money(self, cashier: User, user_make: Any) -> None:
        root, clerk = user_make(is_staff=True, is_superuser=True), user_make(is_staff=True)
        for user in (root, cashier):
            sent_away = browser(user).get("/admin/checkout/payment/")
            assert sent_away.headers["Location"].startswith(PAGE), user
        assert browser(clerk).get("/admin/").status_code == 200
        set_up(root)
        client = browser(root)
        client.post(PAGE, {"code": code_of(root)})
        assert client.get("/admin/checkout/payment/").status_code == 200

    def test_only_staff_set_it_up_and_only_where_the_setting_asks_for_it(
        self, buyer: User, cashier: User, settings: Any
    ) -> None:
        assert browser(buyer).get(PAGE).status_code == 404
        settings.STAFF_SECOND_FACTOR = "off"
        assert browser(cashier).get(PAGE).status_code == 404
        assert browser(cashier).get(MONEY_PAGE).status_code == 404, "let in"

    def test_a_next_page_of_another_site_is_ignored(self, cashier: User) -> None:
        set_up(cashier)
        answer = browser(cashier).post(PAGE, {"code": code_of(cashier), "next": "https://evil.example/"})
        assert answer.headers["Location"] == PAGE

    def test_new_backup_codes_end_the_old_ones(self, cashier: User) -> None:
        old = set_up(cashier)
        client = browser(cashier)
        client.post(PAGE, {"code": code_of(cashier)})
        assert "10 backup codes" in client.get(PAGE).content.decode()
        assert client.post(PAGE, {"renew": "1"}).status_code == 200
        with pytest.raises(WrongCode):
            services.factor_show(user_id=cashier.pk, code=old[0], now=timezone.now())
        written = JournalEntry.objects.order_by("pk").values_list("actor", "action", "person")
        assert list(written) == [
            (cashier.pk, action, cashier.pk)
            for action in (Action.SECOND_FACTOR_SET, Action.BACKUP_CODES_MADE)
        ]


def set_new_step(user: User) -> str:
    """Return a present code, as if none had been used yet."""
    SecondFactor.objects.filter(pk=user.pk).update(last_step=0)
    return code_of(user)


class TestApi:
    def test_a_token_moves_money_only_when_its_log_in_showed_a_code(self, cashier: User) -> None:
        set_up(cashier)
        plain, full = log_in(cashier), log_in(cashier, code=code_of(cashier))
        refused = api_with(plain).post(REFUND, {})
        assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_required")
        assert api_with(full).post(REFUND, {}, format="json").status_code == 404
        read = [api_with(token).get(REFUND.replace("refund/", "")).status_code for token in (plain, full)]
        assert read == [403, 404], "another buyer's payment"
        assert [each.second_factor for each in ApiToken.objects.order_by("created_at")] == [False, True]

    def test_a_wrong_code_gives_no_token(self, cashier: User, buyer: User) -> None:
        set_up(cashier)
        for user in (cashier, buyer):
            answer = log_in(user, code="000000")
            assert (answer.status_code, answer.json()["code"]) == (400, "wrong_code")
        assert not ApiToken.objects.exists()

    def test_a_session_must_show_it_too(self, cashier: User) -> None:
        set_up(cashier)
        client = APIClient()
        client.force_login(cashier)
        assert client.post(REFUND, {}).json()["code"] == "second_factor_required"
        client.post("/api-auth/login/", {"username": cashier.username, "password": "correct horse",
                                         "code": code_of(cashier)}, format="json")  # fmt: skip
        assert client.post(REFUND, {}, format="json").status_code == 404

    def test_control_without_the_setting_no_code_is_asked_for(self, cashier: User, settings: Any) -> None:
        """Remove the setting, as a negative control."""
        settings.STAFF_SECOND_FACTOR = "off"
        assert api_with(log_in(cashier)).post(REFUND, {}, format="json").status_code == 404


class TestCodes:
    def test_a_code_counts_once_even_if_many_send_it_at_once(self, cashier: User) -> None:
        backup, code = set_up(cashier)[0], code_of(cashier)
        for given in (code, backup):
            show = partial(services.factor_show, user_id=cashier.pk, code=given, now=timezone.now())
            found = [type(each) for each in together(show, show, show)]
            assert sorted(each.__name__ for each in found) == ["SecondFactor", "WrongCode", "WrongCode"]

    def test_a_clock_may_be_half_a_minute_off_and_no_more(self, cashier: User) -> None:
        set_up(cashier)
        now = timezone.now()
        for seconds, is_taken in ((-61, False), (-30, True), (0, True), (30, True), (61, False)):
            SecondFactor.objects.update(last_step=0)
            code = pyotp.TOTP(one_time_codes.secret_of(SecondFactor.objects.get().seed)).at(
                now + timedelta(seconds=seconds)
            )
            if is_taken:
                services.factor_show(user_id=cashier.pk, code=code, now=now)
            else:
                with pytest.raises(WrongCode):
                    services.factor_show(user_id=cashier.pk, code=code, now=now)

    def test_guessing_is_limited(self, cashier: User, limits_on: None) -> None:
        set_up(cashier)
        statuses = [browser(cashier).post(PAGE, {"code": "000000"}).status_code for _ in range(6)]
        assert statuses.count(429) == 6 - (limits.CODE_BY_ACCOUNT.amount - 1), "one was counted at the set-up"
        assert log_in(cashier, code=code_of(cashier)).status_code == 429

    def test_guessing_slowly_is_limited_by_the_day(self, cashier: User, limits_on: None) -> None:
        start, pause = float(int(time.time())), limits.CODE_BY_ACCOUNT.seconds

        def guess(seconds: int) -> None:
            with time_machine.travel(start + seconds, tick=False):
                limits.count_code(user_id=cashier.pk)

        most = limits.CODE_BY_ACCOUNT_AND_DAY.amount
        for nth in range(most):
            guess(nth * pause)
        with pytest.raises(TooMany):
            guess(most * pause)
        guess(86_401)

    def test_malformed_codes_are_wrong(self, cashier: User) -> None:
        set_up(cashier)
        client = browser(cashier)
        for odd in ("", " ", "١٢٣٤٥٦", "12345", "a\0b", "x" * 5000, "-" * 30):
            assert client.post(PAGE, {"code": odd}).status_code == 400, odd
        for offer in ("", "x", "1.2:3:4", "y" * 5000):
            services_page = browser(cashier).post(f"{PAGE}?new=1", {"offer": offer, "code": "000000"})
            assert services_page.status_code in (200, 302, 400), offer

    def test_an_offered_secret_is_valid_for_its_owner_for_an_hour(self, cashier: User, buyer: User) -> None:
        start = float(int(time.time()))
        with time_machine.travel(start, tick=False):
            offer = services.offer_make(user_id=cashier.pk)
            for wrong in (lambda: services.offer_read(offer, user_id=buyer.pk),
                          lambda: services.offer_read(offer[:-1], user_id=cashier.pk)):  # fmt: skip
                with pytest.raises(FactorOutdated):
                    wrong()
        with time_machine.travel(start + services.SECONDS_TO_SET_UP, tick=False):
            assert services.offer_read(offer, user_id=cashier.pk)
        with (
            time_machine.travel(start + services.SECONDS_TO_SET_UP + 1, tick=False),
            pytest.raises(FactorOutdated),
        ):
            services.offer_read(offer, user_id=cashier.pk)

    def test_of_two_new_devices_at_once_one_replaces_the_old_one(self, cashier: User) -> None:
        set_up(cashier)
        old, now = SecondFactor.objects.get(pk=cashier.pk), timezone.now()

        def replace() -> str:
            offer = services.offer_make(user_id=cashier.pk)
            seed = services.offer_read(offer, user_id=cashier.pk)
            code = pyotp.TOTP(one_time_codes.secret_of(seed)).at(now)
            services.factor_set(user_id=cashier.pk, offer=offer, code=code, replaces=old, now=now)
            return seed

        results = together(replace, replace)
        [seed] = [each for each in results if isinstance(each, str)]
        assert [type(each) for each in results if each != seed] == [FactorOutdated]
        assert SecondFactor.objects.get(pk=cashier.pk).seed == seed

    def test_the_database_has_neither_secret_nor_codes(self, cashier: User) -> None:
        codes = set_up(cashier)
        factor = SecondFactor.objects.get()
        kept = repr([factor.seed, *BackupCode.objects.values_list("code_hash", flat=True)])
        assert one_time_codes.secret_of(factor.seed).lower() not in kept.lower()
        assert not [code for code in codes if one_time_codes.plain(code) in kept]


class TestLoss:
    def test_an_organiser_resets_it_and_all_is_logged_out(self, cashier: User, user_make: Any) -> None:
        set_up(cashier)
        root = user_make(is_staff=True, is_superuser=True)
        set_up(root)
        client, lost = browser(root), browser(cashier)
        client.post(PAGE, {"code": code_of(root)})
        before = selectors.access_version(user_id=cashier.pk)
        answer = client.post(f"/office/people/{cashier.pk}/reset/", {"before": before})
        assert answer.status_code == 302
        assert not SecondFactor.objects.filter(pk=cashier.pk).exists()
        assert not BackupCode.objects.filter(user=cashier).exists()
        assert lost.get("/office/orders/").headers["Location"].startswith("/login/")

    def test_nobody_resets_their_own_second_factor(self, user_make: Any) -> None:
        root = user_make(is_staff=True, is_superuser=True)
        set_up(root)
        client = browser(root)
        client.post(PAGE, {"code": code_of(root)})
        before = selectors.access_version(user_id=root.pk)
        assert client.post(f"/office/people/{root.pk}/reset/", {"before": before}).status_code == 409
        assert SecondFactor.objects.exists()

    def test_a_command_resets_it(self, cashier: User) -> None:
        set_up(cashier)
        call_command("second_factor_reset", cashier.email, stdout=StringIO())
        assert not SecondFactor.objects.exists()
        with pytest.raises(CommandError, match="There is no user"):
            call_command("second_factor_reset", "nobody")
