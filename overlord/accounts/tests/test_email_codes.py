"""The code that verifies a guest's e-mail address."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import mail
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rest_framework.test import APIClient

from overlord.accounts import limits, operations, services, tasks
from overlord.accounts.models import EmailCode, User
from overlord.kernel import db, queues, rate_limits
from tests.clients import api_of
from tests.threads import together
from tickets.tests.reserving import waiting_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)

ADA = "ada@example.org"


@pytest.fixture
def guest(user_make: Callable[..., User]) -> User:
    return user_make(is_guest=True, email="")


def ask(user: User, email: str = ADA) -> Any:
    return api_of(user).post("/register/guest/email/", {"email": email}, format="json")


def prove(user: User, code: str) -> Any:
    return api_of(user).post("/register/guest/verify/", {"code": code}, format="json")


def code_of(user: User) -> str:
    return EmailCode.objects.get(pk=user.pk).code


def wrong_for(user: User) -> str:
    return str((int(code_of(user)) + 1) % 10**6).zfill(6)


def test_the_mail_has_the_code_and_it_counts_once(guest: User) -> None:
    asked = ask(guest)
    assert (asked.status_code, asked.json()["email"]) == (202, ADA)
    tasks.email_code_send(user_id=guest.pk)

    [letter] = mail.outbox
    code = code_of(guest)
    assert letter.to == [ADA]
    assert code in letter.subject
    assert f"    {code}\n" in letter.body
    assert prove(guest, code).json() == {"id": guest.pk, "email": ADA, "token": None}
    shown = User.objects.get(pk=guest.pk)
    assert (shown.verified_email, shown.mail_address, shown.email) == (ADA, ADA, "")
    assert prove(guest, code).json()["code"] == "wrong_email_code"
    tasks.email_code_send(user_id=guest.pk)
    assert len(mail.outbox) == 1, "a repeated message sends nothing"


def test_another_guests_code_and_an_older_one_count_nothing(
    guest: User, user_make: Callable[..., User]
) -> None:
    other = user_make(is_guest=True, email="")
    ask(guest)
    older = code_of(guest)
    ask(guest)
    ask(other, "eve@example.org")

    for code in {older, code_of(other)} - {code_of(guest)}:
        assert prove(guest, code).status_code == 400
    assert User.objects.get(pk=guest.pk).verified_email == ""


def test_a_code_ends_with_its_time(guest: User) -> None:
    ask(guest)
    code = code_of(guest)
    EmailCode.objects.update(expires_at=timezone.now())

    assert prove(guest, code).json()["code"] == "wrong_email_code"


def test_only_five_tries_count_even_if_many_come_at_once(guest: User) -> None:
    ask(guest)
    wrong = wrong_for(guest)
    answers = together(*[lambda: prove(guest, wrong).status_code] * 12)

    assert answers == [400] * 12
    assert EmailCode.objects.get().tries == services.CODE_TRIES
    assert prove(guest, code_of(guest)).status_code == 400, "the right one comes too late"


def test_control_without_the_count_of_tries_a_late_try_counts(guest: User) -> None:
    ask(guest)
    EmailCode.objects.update(tries=services.CODE_TRIES - 1)

    assert prove(guest, code_of(guest)).status_code == 200


def test_a_code_that_staff_end_while_it_is_entered_proves_nothing(guest: User) -> None:
    ask(guest)
    code, begun = code_of(guest), threading.Event()

    def end() -> None:
        with db.transaction():
            operations.user_lock(user_id=guest.pk)
            begun.set()
            waiting_for_a_lock(1)  # the code was right, and the guest's row is waited for
            operations.guest_proof_end(user_id=guest.pk, email="other@example.org")

    def enter() -> str:
        begun.wait(60)
        return str(prove(guest, code).json()["code"])

    assert together(end, enter) == [None, "wrong_email_code"]
    guest.refresh_from_db()
    assert guest.verified_email == ""


def test_a_second_verification_of_an_address_leads_to_the_same_guest(
    guest: User, user_make: Callable[..., User]
) -> None:
    second = user_make(is_guest=True, email="")
    ask(guest)
    prove(guest, code_of(guest))
    ask(second, "Ada@example.org")
    told = prove(second, code_of(second)).json()

    assert told["id"] == guest.pk
    known = APIClient(headers={"Authorization": f"Token {told['token']}"})
    assert known.get("/event/reservations/").status_code == 200
    assert User.objects.get(pk=second.pk).verified_email == ""


def test_the_other_guest_of_an_address_may_end_at_that_moment(
    guest: User, user_make: Callable[..., User], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = user_make(is_guest=True, email="", verified_email=ADA)
    ask(guest)
    savepoint = db.savepoint

    @contextmanager
    def then_the_other_ends() -> Iterator[None]:
        try:
            with savepoint():
                yield
        except IntegrityError:
            together(lambda: User.objects.filter(pk=other.pk).update(verified_email=""))
            raise

    monkeypatch.setattr(db, "savepoint", then_the_other_ends)
    assert prove(guest, code_of(guest)).status_code == 200
    guest.refresh_from_db()
    assert guest.verified_email == ADA


def test_two_verifications_of_one_address_at_once_are_one_guest(user_make: Callable[..., User]) -> None:
    pair = [user_make(is_guest=True, email="") for _ in range(2)]

    def verify(guest: User) -> int:
        with db.transaction():
            return int(operations.email_verified(guest_id=guest.pk, email=ADA).pk)

    owners = together(*[lambda each=each: verify(each) for each in pair])

    assert len(set(owners)) == 1
    assert User.objects.filter(verified_email=ADA).count() == 1


def test_an_account_has_an_address_already_and_its_address_is_nobody_elses(guest: User, buyer: User) -> None:
    assert ask(buyer).json()["code"] == "not_a_guest"
    assert ask(guest, buyer.email.upper()).json()["code"] == "email_has_account"
    assert prove(buyer, "000000").json()["code"] == "wrong_email_code"
    assert not EmailCode.objects.exists()


def test_who_became_an_account_proves_nothing_more(guest: User) -> None:
    ask(guest)
    code = code_of(guest)
    claim = {"username": "ada", "email": "other@example.org", "password": "correct horse"}
    assert api_of(guest).post("/register/claim/", claim, format="json").status_code == 200

    assert not EmailCode.objects.exists(), "the address is not kept"
    assert prove(guest, code).json()["code"] == "wrong_email_code"


@pytest.mark.parametrize("change", [{"is_guest": False}, {"is_active": False}])
def test_who_is_no_guest_any_more_at_that_moment_gets_no_code(guest: User, change: dict[str, bool]) -> None:
    begun = threading.Event()

    def end() -> None:
        with db.transaction():
            User.objects.filter(pk=guest.pk).update(**change)
            begun.set()
            waiting_for_a_lock(1)

    def request() -> None:
        begun.wait(60)
        now = timezone.now()
        services.email_code_request(guest_id=guest.pk, email=ADA, address="192.0.2.1", now=now)

    assert isinstance(together(end, request)[1], services.NotAGuest)
    assert not EmailCode.objects.exists()


@pytest.mark.parametrize("email", ["", "ada", "ada@", "a" * 250 + "@example.org", None, 5])
def test_a_malformed_address_is_refused(guest: User, email: Any) -> None:
    assert ask(guest, email).status_code == 400


def test_an_address_gets_only_so_many_mails_from_all_guests_together(
    limits_on: None, user_make: Callable[..., User]
) -> None:
    most = limits.EMAIL_CODE_BY_MAILBOX.amount
    forms = [ADA, "ada+2@example.org", "Ada+zoo@Example.org"]  # they all lead to one mailbox
    statuses = [
        ask(user_make(is_guest=True, email=""), forms[n % len(forms)]).status_code for n in range(most + 1)
    ]

    assert statuses == [202] * most + [429]


def test_a_guest_who_asks_for_many_addresses_does_not_learn_which_have_an_account(
    limits_on: None, guest: User, user_make: Callable[..., User], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = rate_limits.Limit(name="code-address", amount=2, seconds=600)
    monkeypatch.setattr(limits, "EMAIL_CODE_BY_ADDRESS", few)
    taken = [user_make().email for _ in range(3)]

    assert [ask(guest, each).status_code for each in [*taken, "nobody@example.org"]] == [409, 409, 429, 429]


def test_without_a_broker_the_answer_says_that_nothing_is_sent(
    guest: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = SimpleNamespace(broker=lambda: Redis(port=1, retry=Retry(NoBackoff(), 0)))
    monkeypatch.setattr(queues, "redis_client", away)

    assert ask(guest).status_code == 503
    assert not EmailCode.objects.exists()


def test_a_visitor_has_no_code(client: Client) -> None:
    assert client.post("/register/guest/verify/", {"code": "000000"}).status_code in (401, 403)


def test_the_database_contains_no_code(guest: User) -> None:
    ask(guest)
    row = EmailCode.objects.values().get()

    assert code_of(guest) not in "".join(map(str, row.values()))
    assert row["expires_at"] - timezone.now() <= timedelta(minutes=15)
