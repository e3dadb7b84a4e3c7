"""The picture of an event: uploaded, shown, replaced, and deleted when no event shows it."""

import errno
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError
from django.test import Client
from PIL import Image
from rest_framework.test import APIClient

from overlord.accounts.models import User
from overlord.kernel import request_body
from overlord.shop.pictures import SUFFIXES, names_kept
from tests.clients import permit
from tickets import event_services
from tickets.models import Event, TicketType
from tickets.permissions import Permission

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.MEDIA_ROOT = tmp_path / "pictures"
    return tmp_path / "pictures"


@pytest.fixture
def organiser(user_make: Callable[..., User]) -> Client:
    client = Client(headers={"accept": "text/html"})
    client.force_login(permit(user_make(), Permission.MANAGE_EVENTS))
    return client


def upload(client: Client, event: Event, colour: str = "teal", *, version: int | None = None) -> Any:
    output = io.BytesIO()
    Image.new("RGB", (600, 400), colour).save(output, "PNG")
    file = SimpleUploadedFile("../../évil.exe", output.getvalue(), content_type="text/html")
    event.refresh_from_db()
    sent = {"version": version or event.version, "picture": file}
    return client.post(f"/office/events/{event.pk}/picture/", sent)


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_an_uploaded_picture_is_shown_to_everybody(
    ticket_type: TicketType, organiser: Client, api: APIClient, folder: Path
) -> None:
    event = ticket_type.event
    assert api.get(f"/event/events/{event.pk}/").json()["picture"] is None
    assert upload(organiser, event)["Location"] == f"/office/events/{event.pk}/"
    for _ in range(2):
        address = api.get(f"/event/events/{event.pk}/").json()["picture"]
        assert re.fullmatch(r"/pictures/[0-9a-f]{32}-600x400\.jpg", address)
    page = Client().get(f"/events/{event.pk}/").content.decode()
    shown = set(re.findall(r"/pictures/([^\s\"]+)", page))
    assert shown == set(files(folder)) == {f"{Path(address).stem}{suffix}" for suffix in SUFFIXES}
    assert 'width="600" height="400" alt=""' in page


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"<svg/>", "This file is not a picture."), (bytes(10_000_001), "This file is larger than 10 MB.")],
)
def test_a_wrong_or_huge_file_is_refused_beside_its_field(
    ticket_type: TicketType, organiser: Client, folder: Path, content: bytes, sentence: str
) -> None:
    event = ticket_type.event
    sent = {"version": event.version, "picture": SimpleUploadedFile("a.png", content)}
    answer = organiser.post(f"/office/events/{event.pk}/picture/", sent)
    page = answer.content.decode()
    assert answer.status_code == 400
    assert page.index('id="picture_error"') < page.index(sentence)
    assert not folder.exists()
    missing = organiser.post(f"/office/events/{event.pk}/picture/", {"version": event.version})
    assert "Choose a file first." in missing.content.decode()
    event.refresh_from_db()
    assert event.picture == ""


def test_an_outdated_page_changes_no_picture(ticket_type: TicketType, organiser: Client) -> None:
    event = ticket_type.event
    upload(organiser, event, "red")
    event.refresh_from_db()
    before = event.picture
    answer = upload(organiser, event, "blue", version=event.version - 1)
    assert "Somebody has changed this event" in answer.content.decode()
    sent = {"version": event.version - 1, "remove": "1"}
    answer = organiser.post(f"/office/events/{event.pk}/picture/", sent, headers={"accept-language": "de"})
    assert "Jemand hat" in answer.content.decode()
    event.refresh_from_db()
    assert event.picture == before


def test_a_picture_is_deleted_when_the_last_event_that_shows_it_shows_another_or_none(
    ticket_type: TicketType, organiser: Client, folder: Path
) -> None:
    event = ticket_type.event
    upload(organiser, event, "red")
    red = files(folder)
    organiser.post(f"/office/events/{event.pk}/copy/")
    copied = Event.objects.exclude(pk=event.pk).get()
    upload(organiser, event, "blue")
    assert set(red) < set(files(folder))  # the copy shows it
    copied.refresh_from_db()
    organiser.post(f"/office/events/{copied.pk}/picture/", {"version": copied.version, "remove": "1"})
    assert not set(red) & set(files(folder))
    assert len(files(folder)) == len(SUFFIXES)


def test_pictures_of_deleted_events_are_deleted_after_a_while(
    ticket_type: TicketType, organiser: Client, folder: Path
) -> None:
    upload(organiser, ticket_type.event)
    kept = files(folder)
    for file in folder.iterdir():
        os.utime(file, (0, 0))
    assert event_services.pictures_prune() == {"pictures that no event shows": 0}
    assert files(folder) == kept
    Event.objects.all().delete()
    assert event_services.pictures_prune() == {"pictures that no event shows": 1}
    assert files(folder) == []


def test_a_picture_that_is_deleted_while_others_are_looked_at_is_passed_over(folder: Path) -> None:
    folder.mkdir()
    names = [f"{letter * 32}-600x400" for letter in "abc"]
    for name in names:
        for suffix in SUFFIXES:
            (folder / f"{name}{suffix}").touch()
    old = names_kept(older_than=-60)
    assert next(old) == names[0]

    for suffix in SUFFIXES:
        (folder / f"{names[1]}{suffix}").unlink()

    assert list(old) == [names[2]]


def test_on_a_full_disk_the_organiser_is_told_and_no_part_of_a_picture_stays(
    ticket_type: TicketType, organiser: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(organiser, ticket_type.event, "red")
    before, write = files(folder), Path.write_bytes

    def write_half(file: Path, content: bytes) -> int:
        if "-small" not in file.name:
            return write(file, content)
        write(file, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", write_half)
        answer = upload(organiser, ticket_type.event, "blue")

    assert (answer.status_code, "cannot store the picture" in answer.content.decode()) == (400, True)
    assert files(folder) == before
    assert upload(organiser, ticket_type.event, "blue").status_code == 302


def test_no_upload_needs_room_in_the_folder_of_temporary_files() -> None:
    assert settings.FILE_UPLOAD_MAX_MEMORY_SIZE >= request_body.LARGEST_UPLOAD


def test_what_a_killed_process_has_left_of_a_picture_is_deleted(
    ticket_type: TicketType, organiser: Client, folder: Path
) -> None:
    upload(organiser, ticket_type.event)
    kept = files(folder)
    left = (f"{'a' * 32}-600x400.webp", f".{'b' * 32}-600x400-small.jpg.1234567")
    for name in left:
        (folder / name).touch()
    event_services.pictures_prune()
    assert files(folder) == sorted([*kept, *left]), "they may still be written"
    for file in folder.iterdir():
        os.utime(file, (0, 0))
    event_services.pictures_prune()
    assert files(folder) == kept


def test_a_picture_that_was_just_uploaded_is_not_deleted(
    ticket_type: TicketType, organiser: Client, folder: Path
) -> None:
    upload(organiser, ticket_type.event)
    Event.objects.update(picture="")
    event_services.pictures_prune()
    assert len(files(folder)) == len(SUFFIXES)


@pytest.mark.parametrize("name", ["../../etc/passwd", "x", "0" * 32, f"{'0' * 32}-1x1/.."])
def test_the_database_accepts_no_other_names(ticket_type: TicketType, name: str) -> None:
    with pytest.raises(IntegrityError, match="event_picture_named"):
        Event.objects.update(picture=name)
