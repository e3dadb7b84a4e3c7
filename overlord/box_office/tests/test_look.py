"""The look of the shop: set by staff, refused if its colours cannot be read, and shown on all pages of buyers."""

import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from overlord.accounts.models import User
from overlord.journal.actions import Action
from overlord.journal.models import JournalEntry
from overlord.shop import look
from overlord.shop.models import ACCENT, ACCENT_DARK, Look
from overlord.shop.permissions import Permission
from tests.clients import permit
from tests.threads import together
from tickets import event_services
from tickets.models import TicketType

pytestmark = pytest.mark.django_db(transaction=True)

OURS = {
    "name": "Club <Nord>",
    "accent": "#b3261e",
    "accent_dark": "#ffb4ab",
    "seller_name": "Nord e.V.",
    "seller_address": "1 Example Street\r\n10115 Berlin",
    "sender_name": "Kasse",
    "reply_to": "kasse@example.org",
    "imprint": "**Nord e.V.**\n\n<script>alert(1)</script>",
    "terms": "# No refunds\n\nExcept by law.",
}


@pytest.fixture
def organiser(user_make: Callable[..., User]) -> Client:
    client = Client(headers={"accept": "text/html"})
    client.force_login(permit(user_make(), Permission.MANAGE_LOOK))
    return client


def made_from(client: Client) -> str:
    [text] = re.findall(r'name="made_from" value="([^"]+)"', client.get("/office/look/").content.decode())
    return str(text)


def save(client: Client, *, seen: str | None = None, **fields: str) -> Any:
    now = {name: getattr(Look.objects.first() or Look(), name) for name in OURS}
    return client.post("/office/look/", {**now, "made_from": seen or made_from(client), **fields})


def page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return str(answer.content.decode())


def test_the_look_that_staff_set_is_on_every_page(organiser: Client, ticket_type: TicketType) -> None:
    assert save(organiser, **OURS)["Location"] == "/office/look/"
    assert JournalEntry.objects.get().action == Action.LOOK_CHANGED
    for path in ("/", f"/events/{ticket_type.event_id}/", "/login/", "/imprint/"):
        shown = page(Client(), path)
        assert "Club &lt;Nord&gt;</title>" in shown, path
        assert "<span>Club &lt;Nord&gt;</span>" in shown
        assert '<meta property="og:site_name" content="Club &lt;Nord&gt;">' in shown
        assert 'href="/look/b3261e-ffb4ab.css"' in shown
        assert 'href="/imprint/"' in shown
        assert 'href="/terms/"' in shown
    assert '"organizer": {"@type": "Organization", "name": "Nord e.V."' in page(
        Client(), f"/events/{ticket_type.event_id}/"
    )
    missing = Client(headers={"accept": "text/html"}).get("/nowhere/")
    assert "Club &lt;Nord&gt;</title>" in missing.content.decode()


def test_imprint_and_terms_are_pages_without_foreign_html(organiser: Client) -> None:
    for path in ("/imprint/", "/terms/"):
        assert Client(headers={"accept": "text/html"}).get(path).status_code == 404
        assert f'href="{path}"' not in page(Client(), "/")
    save(organiser, **OURS)
    shown = page(Client(), "/imprint/")
    assert "<strong>Nord e.V.</strong>" in shown
    assert "<script>alert" not in shown
    assert "<h2>No refunds</h2>" in page(Client(), "/terms/")


def test_the_stylesheet_has_the_colours_and_accepts_no_others(organiser: Client) -> None:
    answer = Client().get("/look/b3261e-ffb4ab.css")
    assert answer["Content-Type"] == "text/css; charset=utf-8"
    usual, old = answer.content.decode().splitlines()
    assert "--accent:light-dark(#b3261e,#ffb4ab)" in usual
    assert old.startswith("@supports not (color:light-dark(#000,#fff)){:root{--accent:#b3261e;")
    for named in (
        "b3261e",
        "b3261e-",
        "b3261e-ffb4ab-x",
        "ffff00-ffb4ab",
        "B3261E-ffb4ab",
        "b3261e-ffb4ab}x{y",
    ):
        assert Client().get(f"/look/{named}.css").status_code == 404, named


def test_the_checkout_says_that_paying_accepts_the_terms(
    organiser: Client, buyer: User, ticket_type: TicketType
) -> None:
    client = Client(headers={"accept": "text/html"})
    client.force_login(buyer)
    chosen = {f"amount_{ticket_type.pk}": "1"}
    checkout = client.post(f"/events/{ticket_type.event_id}/", chosen)["Location"]
    assert "By paying you accept" not in page(client, checkout)
    save(organiser, **OURS)
    assert 'By paying you accept the <a href="/terms/" target="_blank">' in page(client, checkout)


@pytest.mark.parametrize(
    ("field", "colour", "sentence"),
    [
        (
            "accent",
            "#ff6600",
            "Its contrast is 2.57, but at least 4.5 is needed. Try the darker colour #b24700.",
        ),
        (
            "accent_dark",
            "#1a73e8",
            "Its contrast is 3.33, but at least 4.5 is needed. Try the lighter colour #4c92ed.",
        ),
        ("accent", "orange", "Write a colour as # and six digits"),
        ("reply_to", "kasse", "Enter a valid email address."),
        ("name", "Club\0Nord", "Null characters are not allowed."),
        ("name", "x" * 61, "at most 60 characters"),
    ],
)
def test_a_mistake_is_refused_beside_its_field(
    organiser: Client, field: str, colour: str, sentence: str
) -> None:
    answer = save(organiser, **{"name": "Club", field: colour})
    shown = answer.content.decode()
    assert answer.status_code == 400
    assert sentence in re.findall(rf'<p class="error" id="id_{field}_error">(.*?)</p>', shown)[0]
    assert not Look.objects.exclude(version=1).exists()
    assert look.current().shop_name == "Ticket Overlord"


def test_an_outdated_form_changes_nothing(organiser: Client) -> None:
    seen = made_from(organiser)
    save(organiser, name="Club Nord", terms="Ours", accent="#b3261e")
    sent = {
        "name": "",
        "accent": ACCENT,
        "accent_dark": ACCENT_DARK,
        "seller_name": "Mine",
        "terms": "Mine too",
    }
    answer = organiser.post("/office/look/", {**sent, "made_from": seen})
    shown = answer.content.decode()
    assert answer.status_code == 409
    for sentence in (
        "Name of the shop is now: Club Nord.",
        "Terms and conditions changed.",
        "is now: #b3261e.",
    ):
        assert sentence in shown
    assert Look.objects.get().seller_name == ""
    kept = dict(re.findall(r'name="(name|accent|seller_name)" value="([^"]*)"', shown))
    assert kept == {"name": "Club Nord", "accent": "#b3261e", "seller_name": "Mine"}
    assert "Mine too</textarea>" in shown
    [again] = re.findall(r'name="made_from" value="([^"]+)"', shown)
    assert save(organiser, seen=again, **kept, terms="Mine too").status_code == 302
    saved = Look.objects.get()
    assert (saved.name, saved.seller_name, saved.terms) == ("Club Nord", "Mine", "Mine too")


def test_of_two_saves_at_the_same_moment_one_succeeds(
    organiser: Client, user_make: Callable[..., User]
) -> None:
    seen = made_from(organiser)
    user = permit(user_make(), Permission.MANAGE_LOOK)

    def saved(name: str) -> int:
        client = Client(headers={"accept": "text/html"})
        client.force_login(user)
        fields = {"accent": ACCENT, "accent_dark": ACCENT_DARK, "name": name, "made_from": seen}
        return int(client.post("/office/look/", fields).status_code)

    answers = together(lambda: saved("One"), lambda: saved("Other"))
    assert sorted(answers) == [302, 409]


class TestLogo:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, settings: Any) -> Path:
        settings.MEDIA_ROOT = tmp_path / "pictures"
        return tmp_path / "pictures"

    @staticmethod
    def upload(client: Client, *, size: tuple[int, int] = (600, 80), version: int | None = None) -> Any:
        output = io.BytesIO()
        Image.new("RGBA", size, (0, 0, 0, 0)).save(output, "PNG")
        now = (Look.objects.first() or Look()).version
        file = SimpleUploadedFile("logo.png", output.getvalue())
        return client.post("/office/look/logo/", {"version": version or now, "picture": file})

    def test_the_logo_is_in_the_head_of_each_page(self, organiser: Client) -> None:
        assert self.upload(organiser)["Location"] == "/office/look/"
        save(organiser, name="Club Nord")
        shown = page(Client(), "/")
        assert re.search(
            r'<img src="/pictures/\w{32}-600x80-small\.jpg" width="600" height="80" alt="Club Nord">', shown
        )
        assert "<span>Club Nord</span>" not in shown

    def test_a_wrong_file_and_an_outdated_page_change_nothing(self, organiser: Client, folder: Path) -> None:
        for size, sentence in (
            ((600, 40), "48 pixels or more"),
            ((1000, 90), "more than 10 times as long as the other"),
        ):
            answer = self.upload(organiser, size=size)
            assert answer.status_code == 400
            assert sentence in answer.content.decode()
        save(organiser, name="Club Nord")
        assert "Somebody has changed the shop settings" in self.upload(organiser, version=1).content.decode()
        assert Look.objects.get().logo == ""
        assert not folder.exists() or not list(folder.iterdir())

    def test_the_logo_is_kept_while_it_is_shown(self, organiser: Client, folder: Path) -> None:
        self.upload(organiser)
        for file in folder.iterdir():
            os.utime(file, (0, 0))
        assert event_services.pictures_prune() == {"pictures that no event shows": 0}
        organiser.post("/office/look/logo/", {"version": Look.objects.get().version, "remove": "1"})
        assert Look.objects.get().logo == ""
        assert event_services.pictures_prune() == {"pictures that no event shows": 1}
        assert not list(folder.iterdir())
