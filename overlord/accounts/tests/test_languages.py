"""The language of a reader: on pages, and in mails."""

from collections.abc import Callable

import pytest
from django.conf import settings
from django.core import mail
from django.test import Client

from overlord.accounts import services
from overlord.accounts.models import User
from tickets.models import TicketType

pytestmark = pytest.mark.django_db

Make = Callable[..., User]
OURS = {"Sec-Fetch-Site": "same-origin"}


def lang(answer: object) -> str:
    return answer.content.decode().partition('lang="')[2].partition('"')[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("", "en"), ("de", "de"), ("de-AT,en;q=0.5", "de"), ("en-GB", "en-gb"), ("fr", "en")],
)
def test_a_page_is_in_a_language_that_the_browser_accepts(accepted: str, language: str) -> None:
    answer = Client(headers={"Accept-Language": accepted}).get("/")
    assert (lang(answer), answer["Content-Language"]) == (language, language)
    assert {"Accept-Language", "Cookie"} <= {each.strip() for each in answer["Vary"].split(",")}


class TestTheChoice:
    def test_the_choice_is_stored_and_leads_back(self) -> None:
        client = Client(headers={"Accept-Language": "en"})
        answer = client.post("/language/", {"language": "de", "next": "/login/?next=/me/"}, headers=OURS)
        assert (answer.status_code, answer["Location"]) == (303, "/login/?next=/me/")
        cookie = answer.cookies[settings.LANGUAGE_COOKIE_NAME]
        assert (cookie["samesite"], cookie["httponly"]) == ("Lax", True)
        assert lang(client.get("/")) == "de"

    @pytest.mark.parametrize(
        "address", ["https://elsewhere.example/", "//elsewhere.example", "/nothing/", "javascript:x", ""]
    )
    def test_the_choice_leads_to_our_own_pages_only(self, address: str) -> None:
        answer = Client().post("/language/", {"language": "de", "next": address}, headers=OURS)
        assert answer["Location"] == "/"

    @pytest.mark.parametrize("language", ["fr", "", "x" * 3000, "de\n", "../de"])
    def test_an_unknown_language_is_not_kept(self, language: str) -> None:
        answer = Client().post("/language/", {"language": language, "next": "/"}, headers=OURS)
        assert settings.LANGUAGE_COOKIE_NAME not in answer.cookies

    def test_another_site_cannot_choose(self) -> None:
        client = Client(enforce_csrf_checks=True)
        given = {"language": "de", "next": "/"}
        assert client.post("/language/", given, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert client.post("/language/", given, headers=OURS).status_code == 303

    def test_a_wrong_cookie_is_ignored(self) -> None:
        client = Client()
        client.cookies[settings.LANGUAGE_COOKIE_NAME] = "x" * 500
        assert lang(client.get("/")) == "en"


def test_the_api_answers_in_english() -> None:
    german = Client(headers={"Accept-Language": "de"})
    answer = german.post("/register/", {}, content_type="application/json")
    assert answer["Content-Language"] == "en"
    assert "This field is required." in answer.content.decode()
    page = german.post("/signup/", {})
    assert "This field is required." not in page.content.decode()


def test_scripts_have_the_language_of_their_address() -> None:
    client = Client(headers={"Accept-Language": "en"})
    assert "Keine Tickets" in client.get("/translations/de.js").content.decode()
    assert (
        "Keine Tickets"
        not in client.get("/translations/en.js", headers={"Accept-Language": "de"}).content.decode()
    )
    assert 'src="/translations/de.js"' in client.get("/", headers={"Accept-Language": "de"}).content.decode()


@pytest.mark.parametrize("language", ["en", "en-gb"])
def test_a_page_in_english_loads_no_translations(language: str) -> None:
    assert "/translations/" not in Client(headers={"Accept-Language": language}).get("/").content.decode()


class TestMails:
    def test_a_log_in_keeps_the_language_of_its_page(self, user_make: Make) -> None:
        user = user_make()
        given = {"username": user.username, "password": "correct horse"}
        Client(headers={"Accept-Language": "de"}).post("/login/", given)
        assert User.objects.get(pk=user.pk).language == "de"
        Client().post("/login/", given)  # names no language
        assert User.objects.get(pk=user.pk).language == "de"

    @pytest.mark.django_db(transaction=True)
    def test_a_guest_has_the_language_of_the_first_press(self, ticket_type: TicketType) -> None:
        client = Client(headers={"Accept-Language": "de", **OURS})
        client.post(f"/events/{ticket_type.event_id}/", {f"amount_{ticket_type.pk}": "1"})
        assert User.objects.get(is_guest=True).language == "de"

    @pytest.mark.parametrize(("language", "word"), [("de", "Passwort"), ("", "password"), ("xx", "password")])
    def test_a_mail_is_in_the_language_of_its_reader(self, user_make: Make, language: str, word: str) -> None:
        user = user_make(email="reader@example.com", language=language)
        services.password_reset_send(user_id=user.pk, base_url="https://shop.example")
        assert word in mail.outbox[0].subject
        assert word in mail.outbox[0].body
