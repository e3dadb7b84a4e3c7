"""The look as a process caches it, as the database accepts it, and as the migration fills it."""

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.core import mail
from django.core.mail import EmailMessage
from django.db import IntegrityError, OperationalError, connection

from overlord.shop import look, models
from overlord.shop.models import Look

pytestmark = pytest.mark.django_db


def test_the_look_is_read_once_and_again_when_its_time_is_over(
    django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Look.objects.create(name="Club Nord")
    look.forget()
    with django_assert_num_queries(1):
        assert [look.current().shop_name for _ in range(3)] == ["Club Nord"] * 3
    Look.objects.update(name="Club Süd")
    assert look.current().shop_name == "Club Nord"
    monkeypatch.setattr(look, "SECONDS", 0)
    look.forget()
    assert look.current().shop_name == "Club Süd"
    Look.objects.update(name="Club West")
    assert look.current().shop_name == "Club West"


def test_without_a_row_the_shop_has_its_default_look() -> None:
    look.forget()
    shown = look.current()
    assert (shown.shop_name, shown.seller, shown.stylesheet) == ("Ticket Overlord", "Ticket Overlord", "")


def test_the_look_stays_while_the_database_does_not_answer() -> None:
    def away(*_: Any) -> None:
        raise OperationalError

    Look.objects.create(name="Club Nord")
    look.forget()
    assert look.current().shop_name == "Club Nord"
    look.forget()
    with connection.execute_wrapper(away):
        assert look.current().shop_name == "Club Nord"


@pytest.mark.parametrize(
    ("wrong", "constraint"),
    [
        ({"id": 2}, "look_is_one"),
        ({"accent": "#FF0000"}, "look_colours_known"),
        ({"accent_dark": "red"}, "look_colours_known"),
        ({"logo": "../../x"}, "look_logo_named"),
        ({"sender_name": "A\r\nBcc: b@example.org"}, "look_names_on_lines"),
    ],
)
def test_the_database_accepts_no_invalid_look(wrong: dict[str, Any], constraint: str) -> None:
    with pytest.raises(IntegrityError, match=constraint):
        Look.objects.create(**wrong)


@pytest.mark.parametrize(
    ("fields", "sender"),
    [
        ({}, "Ticket Overlord <tickets@localhost>"),
        ({"name": "Club Nord"}, "Club Nord <tickets@localhost>"),
        (
            {"name": "Club Nord", "sender_name": 'Büro "Nord", Kasse'},
            '"Büro \\"Nord\\", Kasse" <tickets@localhost>',
        ),
    ],
)
def test_mails_are_from_the_shop(fields: dict[str, str], sender: str, settings: Any) -> None:
    settings.DEFAULT_FROM_EMAIL = "Ticket Overlord <tickets@localhost>"
    look.remember(Look(**fields, reply_to="kasse@example.org"))
    EmailMessage(subject="x", to=["ada@example.org"], **look.envelope()).send()
    [sent] = mail.outbox
    assert sent.from_email == sender
    written = sent.message()
    assert written["Reply-To"] == "kasse@example.org"
    assert "tickets@localhost" in written["From"]
    assert "\n" not in written["From"]


def test_the_migration_takes_over_the_seller_of_earlier_releases(monkeypatch: pytest.MonkeyPatch) -> None:
    migration = import_module("overlord.shop.migrations.0001_look")
    monkeypatch.setenv("SELLER_NAME", "Ticket Overlord")
    monkeypatch.delenv("SELLER_ADDRESS", raising=False)
    migration.take_over_the_seller(apps, None)
    assert not Look.objects.exists()
    monkeypatch.setenv("SELLER_NAME", "Club Nord e.V.")
    monkeypatch.setenv("SELLER_ADDRESS", "1 Example Street | 10115 Berlin |")
    migration.take_over_the_seller(apps, None)
    taken = Look.objects.get()
    assert (taken.seller, taken.seller_address) == ("Club Nord e.V.", "1 Example Street\n10115 Berlin")
    assert taken.shop_name == models.PRODUCT
