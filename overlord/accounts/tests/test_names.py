"""One comparison of usernames and e-mail addresses everywhere: API, page, admin, command and database."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError
from django.test import Client
from django.utils import translation
from rest_framework.test import APIClient

from overlord.accounts import selectors
from overlord.accounts.models import TAKEN, User
from overlord.kernel import db
from tests.threads import together
from tickets.tests.reserving import waiting_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct horse"


# Each of these registers or logs in, and returns whether it worked. A server error is a failure. -------------
def api_register(username: str, email: str) -> bool:
    body = {"username": username, "email": email, "password": PASSWORD}
    answer = APIClient().post("/register/", body, format="json")
    assert answer.status_code == 201 or answer.json()["errors"], answer.content
    return answer.status_code == 201


def page_register(email: str) -> bool:
    answer = Client().post("/signup/", {"email": email, "password": PASSWORD})
    assert answer.status_code == 302 or 'id="error"' in answer.content.decode()
    return answer.status_code == 302


@pytest.fixture
def admin(user_make: Callable[..., User]) -> Client:
    client = Client()
    client.force_login(user_make(username="root", is_staff=True, is_superuser=True))
    return client


def admin_register(admin: Client, username: str, email: str) -> bool:
    body = {"username": username, "email": email, "usable_password": "true"}
    answer = admin.post("/admin/accounts/user/add/", {**body, "password1": PASSWORD, "password2": PASSWORD})
    assert answer.status_code == 302 or "Please correct the error" in answer.content.decode()
    return answer.status_code == 302


def api_log_in(username: str) -> bool:
    answer = APIClient().post("/api-auth/login/", {"username": username, "password": PASSWORD}, format="json")
    assert answer.status_code in (200, 400)
    return answer.status_code == 200


def page_log_in(username: str) -> bool:
    answer = Client().post("/login/", {"username": username, "password": PASSWORD})
    assert (
        answer.status_code == 302 or "Wrong username, e-mail address or password" in answer.content.decode()
    )
    return answer.status_code == 302


def admin_log_in(username: str) -> bool:
    answer = Client().post("/admin/login/?next=/admin/", {"username": username, "password": PASSWORD})
    assert (
        answer.status_code == 302 or "Wrong username, e-mail address or password" in answer.content.decode()
    )
    return answer.status_code == 302


LOG_INS = {"api": api_log_in, "page": page_log_in, "admin": admin_log_in}

# Two ways to write one name.
EQUAL = [
    ("taro7", "ｔａｒｏ７"),
    ("ｔａｒｏ７", "TARO7"),
    ("οδυσσευς", "ΟΔΥΣΣΕΥΣ"),
    ("straße", "STRASSE"),
    ("STRAẞE", "strasse"),
    ("ﬁnn", "FINN"),
    ("ÅSA", "åsa"),  # a letter and its combining ring
]
# Two names that are alike to some comparison, but not to ours.
DIFFERENT = [("victim7", "vıctım7"), ("ivan", "İvan"), ("anna", "аnna")]


@pytest.mark.parametrize("door", LOG_INS)
@pytest.mark.parametrize(("name", "other"), EQUAL)
def test_equal_names_log_in_alike_and_cannot_both_exist(
    name: str, other: str, door: str, admin: Client
) -> None:
    assert api_register(name, "first@example.org")
    User.objects.filter(email="first@example.org").update(is_staff=True)
    log_in = LOG_INS[door]
    assert log_in(name)
    assert log_in(other)
    assert not api_register(other, "second@example.org")
    assert not admin_register(admin, other, "second@example.org")


@pytest.mark.parametrize(("name", "other"), DIFFERENT)
def test_different_names_do_not_disturb_each_other(name: str, other: str, admin: Client) -> None:
    assert admin_register(admin, name, "first@example.org")
    assert api_register(other, "second@example.org")
    User.objects.update(is_staff=True)
    for log_in in LOG_INS.values():
        assert log_in(name)
        assert log_in(other)


@pytest.mark.parametrize("door", LOG_INS)
@pytest.mark.parametrize("written", ["Ada@Example.org", "ada@example.org", "ａｄａ@example.org"])
def test_everyone_may_log_in_by_e_mail(door: str, written: str, user_make: Callable[..., User]) -> None:
    user_make(username="lovelace", email="Ada@example.org", is_staff=True)
    assert LOG_INS[door](written)


@pytest.mark.parametrize("written", ["ADA@EXAMPLE.ORG", "ada@ｅxample.org"])
def test_equal_addresses_cannot_both_exist(written: str, admin: Client) -> None:
    assert api_register("ada", "ada@example.org")
    assert not api_register("bob", written)
    assert not page_register(written)
    assert not admin_register(admin, "bob", written)


NOT_NAMES = ["ﷺ" * 9, "ﷺ" * 8, "x" * 151, "with space", "½", "﷽", "a@b.example", "", "ſ" * 151, "ŉ" * 150]


@pytest.mark.parametrize("name", NOT_NAMES)
def test_a_malformed_name_is_refused_with_a_sentence(name: str, admin: Client) -> None:
    assert not api_register(name, "new@example.org")
    assert not admin_register(admin, name, "new@example.org")


def test_a_users_own_address_may_be_the_username() -> None:
    assert api_register("Ada@example.org", "ada@example.org")
    assert api_log_in("ada@example.org")


def test_an_address_logs_its_owner_in_even_if_it_is_the_username_of_another(
    user_make: Callable[..., User],
) -> None:
    user_make(username="bob@example.org", email="mallory@example.org")
    bob = user_make(username="bob", email="bob@example.org")
    assert User.objects.get_by_natural_key("BOB@example.org") == bob


def sign_up_at_once(email: str, *, username: str, **headers: str) -> Any:
    """Sign up while ada@first.example signs up with this username; return the answer."""
    begun = threading.Event()

    def first() -> None:
        with db.transaction():
            User.objects.create_user(username=username, email="ada@first.example")
            begun.set()
            waiting_for_a_lock(1)

    def second() -> Any:
        begun.wait(60)
        return Client(headers=headers).post("/signup/", {"email": email, "password": PASSWORD})

    return together(first, second)[1]


def test_two_who_sign_up_at_once_need_not_care_about_usernames() -> None:
    assert sign_up_at_once("ada@second.example", username="ada").status_code == 302
    assert User.objects.get(email="ada@second.example").username.startswith("ada-")


def test_one_address_at_once_is_refused_in_the_readers_language() -> None:
    german = {"accept-language": "de"}
    page = sign_up_at_once("ada@first.example", username="other", **german).content.decode()
    with translation.override("de"):
        assert str(TAKEN["email"]) in page


def test_the_admin_adds_any_number_of_users(admin: Client) -> None:
    assert admin_register(admin, "one", "one@example.org")
    assert admin_register(admin, "two", "two@example.org")
    assert not admin_register(admin, "three", "")


def test_an_outdated_form_of_the_admin_undoes_nothing(admin: Client, buyer: User) -> None:
    """Send a form after another person has changed the password and the names."""
    place = f"/admin/accounts/user/{buyer.pk}/change/"
    form = admin.get(place).context["adminform"].form
    sent = {name: form[name].value() or "" for name in form.fields if name not in ("password", "last_login")}
    joined = sent.pop("date_joined")
    sent |= {"date_joined_0": f"{joined:%Y-%m-%d}", "date_joined_1": f"{joined:%H:%M:%S}"}
    sent["is_active"] = "on"
    sent = {name: value for name, value in sent.items() if value not in (False, "")}
    buyer.set_password("another battery")
    buyer.email = "new@example.org"
    buyer.save()

    answer = admin.post(place, {**sent, "first_name": "Ada", "email": sent["email"]})

    assert answer.status_code == 302, answer.context["errors"]
    buyer.refresh_from_db()
    assert buyer.first_name == "Ada"
    assert buyer.check_password("another battery")


class TestCommand:
    def create(self, username: str, email: str) -> None:
        call_command("createsuperuser", "--noinput", username=username, email=email, verbosity=0)

    def test_a_superuser_is_created(self) -> None:
        self.create("Root", "root@example.org")
        assert User.objects.get(username_key="root").is_superuser

    @pytest.mark.parametrize(
        ("username", "email"),
        [("RＯOT", "b@example.org"), ("b", "ROOT@example.org"), ("ﷺ" * 9, "b@example.org")],
    )
    def test_the_command_refuses_with_a_sentence(self, username: str, email: str) -> None:
        self.create("root", "root@example.org")
        with pytest.raises(CommandError):
            self.create(username, email)

    def test_a_password_that_no_log_in_accepts_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "x" * 129)
        with pytest.raises(CommandError, match="too long"):
            self.create("root", "root@example.org")


class TestDatabase:
    """No statement can avoid the comparison of keys."""

    def test_equal_names_are_refused(self, buyer: User, user_make: Callable[..., User]) -> None:
        user_make(username="straße")
        with pytest.raises(IntegrityError, match="user_unique_username"):
            db.rows("UPDATE accounts_user SET username = 'STRASSE' WHERE id = %s", [buyer.pk])

    def test_a_key_cannot_be_written(self, buyer: User) -> None:
        with pytest.raises(Exception, match="can only be updated to DEFAULT"):
            db.rows("UPDATE accounts_user SET username_key = 'x'")

    def test_any_number_of_accounts_may_have_no_address(self, user_make: Callable[..., User]) -> None:
        user_make(email="")
        user_make(email="")


def test_those_who_share_an_address_are_found_by_indexes(user_make: Callable[..., User]) -> None:
    asked, account, guest = (
        user_make(),
        user_make(email="Ada@example.org"),
        user_make(is_guest=True, email=""),
    )
    User.objects.filter(pk=guest.pk).update(contact_email="ada@EXAMPLE.org")
    proven = user_make(is_guest=True, email="")
    User.objects.filter(pk=proven.pk).update(verified_email="ada@example.org")

    others = selectors.others_with(address="ada@example.org", user_id=asked.pk)

    assert [each.pk for each in others] == [account.pk, guest.pk, proven.pk]
    with db.transaction():
        db.rows("SELECT set_config('enable_seqscan', 'off', true)")
        plan = others.order_by().explain()
    used = ("user_unique_email", "user_contact_email", "user_verified_email")
    assert [name for name in used if name in plan] == [*used], plan
