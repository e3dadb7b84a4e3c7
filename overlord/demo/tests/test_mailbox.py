"""The mailbox of a shop that stores its e-mails as files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.test import Client

from overlord.accounts.models import User
from overlord.demo import mailbox
from overlord.demo.pages import FILES

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.EMAIL_BACKEND = FILES
    settings.EMAIL_FILE_PATH = str(tmp_path / "mail")
    return tmp_path / "mail"


@pytest.fixture
def superuser(client: Client, user_make: Callable[..., User]) -> Client:
    client.force_login(user_make(is_staff=True, is_superuser=True))
    return client


def send(number: int = 1, subject: str = "Your tickets") -> None:
    """Send `number` messages in one batch, as the worker that sends receipts does."""
    messages = [
        EmailMessage(f"{subject} {nth}", "See http://localhost/me/?a=1&b=2", to=[f"ada{nth}@example.org"])
        for nth in range(number)
    ]
    with mail.get_connection() as connection:
        connection.send_messages(messages)


def test_no_mail_is_an_empty_mailbox(folder: Path) -> None:
    assert mailbox.emails(folder) == []


def test_each_mail_of_a_batch_is_shown_the_newest_first(folder: Path) -> None:
    send(2, "First batch")
    send(2, "Second batch")

    shown = mailbox.emails(folder)

    assert [email.subject for email in shown] == [
        "Second batch 1",
        "Second batch 0",
        "First batch 1",
        "First batch 0",
    ]
    assert shown[0].to == "ada1@example.org"
    assert shown[0].sent_at is not None


def test_letters_of_other_languages_and_attachments_are_read(folder: Path) -> None:
    message = EmailMessage("Grüße, 東京", "Žluťoučký kůň\n", to=["ada@example.org"])
    message.attach("tickets.pdf", b"%PDF", "application/pdf")
    message.send()

    [email] = mailbox.emails(folder)

    assert (email.subject, email.text.strip()) == ("Grüße, 東京", "Žluťoučký kůň")
    assert email.attachments == ["tickets.pdf"]


def test_only_the_newest_are_shown(folder: Path) -> None:
    send(mailbox.MAX_EMAILS + 5)

    assert len(mailbox.emails(folder)) == mailbox.MAX_EMAILS


def test_the_page_shows_links_that_can_be_followed_and_no_markup_of_a_mail(
    folder: Path, superuser: Client
) -> None:
    send()
    EmailMessage("<script>alert(1)</script>", "<b>bold</b>", to=["eve@example.org"]).send()

    page = superuser.get("/mailbox/")

    assert page["Cache-Control"] == "no-store, private"
    assert 'href="http://localhost/me/?a=1&amp;b=2"' in page.text
    assert "<script>alert" not in page.text
    assert "<b>bold" not in page.text


def test_only_superusers_may_read_it(folder: Path, client: Client, user_make: Callable[..., User]) -> None:
    assert client.get("/mailbox/").status_code == 302
    for rights in ({}, {"is_staff": True}):
        client.force_login(user_make(**rights))
        assert client.get("/mailbox/").status_code == 403


def test_a_shop_that_sends_its_mail_has_no_mailbox(superuser: Client) -> None:
    assert superuser.get("/mailbox/").status_code == 404
