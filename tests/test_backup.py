"""A backup brings everything back, even if it was made during a sale."""

import errno
import socket
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from psycopg2.sql import SQL, Identifier

from checkout.gateways import ledger
from checkout.models import Payment
from checkout.tests.paying import PAYMENTS, audit, heal, pay, work
from overlord.accounts.models import User
from overlord.embedded import backup
from overlord.embedded.state import Folder, SavedState
from overlord.kernel import db, postgres_wait
from tests.clients import api_of
from tests.databases import disconnect
from tests.threads import together
from tickets.models import Inventory, Reservation, TicketType
from tickets.tests.reserving import claim, reserve

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Iterator[Folder]:
    """Make a data folder and a folder of pictures for one test."""
    settings.DATA_DIR, settings.MEDIA_ROOT = tmp_path / "data", str(tmp_path / "uploads")
    found = Folder(settings.DATA_DIR)
    found.make()
    found.save(SavedState())
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "poster.png").write_bytes(b"picture")
    yield found
    connections.close_all()


@pytest.fixture(autouse=True)
def no_charges(transactional_db: None) -> None:
    """Drop the sandbox's ledger, which has the charges of other tests. The next payment creates it again."""
    ledger.close()
    db.rows("DROP SCHEMA IF EXISTS sandbox CASCADE")


def buy(ticket_type: TicketType, user: User, quantity: int) -> Payment:
    api = api_of(user)
    held = reserve(api, ticket_type, quantity).json()
    made = api.post(PAYMENTS, {"reservation_id": held["id"]}, format="json").json()
    payment = Payment.objects.get(pk=made["id"])
    assert pay(api, payment).status_code == 202
    return work(payment)


def live_version() -> int:
    return int(db.rows("SELECT last_value FROM realtime_version")[0]["last_value"])


def test_everything_comes_back_and_later_ids_are_new(
    ticket_type: TicketType, buyer: User, tmp_path: Path, folder: Folder, settings: Any
) -> None:
    paid = buy(ticket_type, buyer, 2)
    file = tmp_path / "shop.backup"
    call_command("live_epoch", stdout=StringIO())
    call_command("backup", str(file), stdout=StringIO())
    assert file.stat().st_mode & 0o777 == 0o600
    version = live_version()
    Reservation.objects.filter(pk=paid.reservation_id).update(version=99)
    (tmp_path / "uploads" / "poster.png").write_bytes(b"another")
    folder.save(SavedState(secret_key="another"))
    disconnect()

    call_command("restore", str(file), "--replace", stdout=(said := StringIO()))

    assert "Every charge belongs to a payment." in said.getvalue()
    assert Reservation.objects.get(pk=paid.reservation_id).version != 99
    assert Payment.objects.get(pk=paid.pk).status == "SUCCESS"
    assert (tmp_path / "uploads" / "poster.png").read_bytes() == b"picture"
    assert folder.load().secret_key == settings.SECRET_KEY
    assert live_version() > version
    assert claim(buyer.pk, ticket_type).reservation["id"] > paid.reservation_id + 1_000
    heal()
    audit()


def test_pictures_come_back_into_a_folder_that_lies_elsewhere(tmp_path: Path) -> None:
    """Use a link in place of a mount point: neither can be replaced."""
    file, pictures = tmp_path / "shop.backup", tmp_path / "uploads"
    call_command("backup", str(file), stdout=StringIO())
    elsewhere = pictures.rename(tmp_path / "elsewhere")
    pictures.symlink_to(elsewhere)
    (elsewhere / "poster.png").write_bytes(b"another")
    (elsewhere / "later.png").write_bytes(b"of an event that was made after the backup")
    disconnect()

    call_command("restore", str(file), "--replace", stdout=StringIO())

    found = {
        each.relative_to(elsewhere).as_posix(): each.read_bytes()
        for each in elsewhere.rglob("*")
        if each.is_file()
    }
    assert found == {"poster.png": b"picture"}
    assert pictures.is_symlink()


def test_pictures_that_cannot_be_put_back_are_named(tmp_path: Path, folder: Folder, settings: Any) -> None:
    file, pictures = tmp_path / "shop.backup", tmp_path / "uploads"
    call_command("backup", str(file), stdout=StringIO())
    pictures.rename(tmp_path / "elsewhere")
    pictures.write_text("no folder")
    folder.save(SavedState(secret_key="another"))
    disconnect()

    with pytest.raises(CommandError, match=r"the pictures are not: .*uploads.*--replace"):
        call_command("restore", str(file), "--replace", stdout=StringIO())

    assert folder.load().secret_key == settings.SECRET_KEY


def test_secrets_that_cannot_be_put_back_are_named(tmp_path: Path, folder: Folder) -> None:
    file = tmp_path / "shop.backup"
    call_command("backup", str(file), stdout=StringIO())
    (folder.path / "state.json.new").mkdir()  # so that the file with the secrets cannot be written
    disconnect()

    with pytest.raises(CommandError, match=r"the secrets and pictures are not: .*state\.json.*--replace"):
        call_command("restore", str(file), "--replace", stdout=StringIO())


def test_a_picture_that_is_deleted_meanwhile_is_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = tmp_path / "uploads"
    (pictures / "another.png").write_bytes(b"another picture")
    (pictures / ".upload.png.123").write_bytes(b"an upload that is not finished")
    write = zipfile.ZipFile.write

    def write_too_late(archive: zipfile.ZipFile, file: Path, name: Path | str) -> None:
        if file.name == "another.png":
            file.unlink()
        write(archive, file, name)

    monkeypatch.setattr(zipfile.ZipFile, "write", write_too_late)
    call_command("backup", str(tmp_path / "shop.backup"), stdout=(said := StringIO()))

    assert "The picture another.png was deleted meanwhile and is not in the backup." in said.getvalue()
    with zipfile.ZipFile(tmp_path / "shop.backup") as archive:
        assert archive.namelist() == ["secrets.json", "database.dump", "pictures/poster.png"]


def test_a_picture_that_cannot_be_read_ends_the_backup_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = zipfile.ZipFile.write

    def write_badly(archive: zipfile.ZipFile, file: Path, name: Path | str) -> None:
        if file.suffix == ".png":
            raise OSError(errno.EIO, "Input/output error", str(file))
        write(archive, file, name)

    monkeypatch.setattr(zipfile.ZipFile, "write", write_badly)
    with pytest.raises(CommandError, match=r"poster\.png"):
        call_command("backup", str(tmp_path / "shop.backup"), stdout=StringIO())

    assert {each.name for each in tmp_path.iterdir()} == {"data", "uploads"}


def test_a_backup_during_a_sale_is_of_one_instant(
    ticket_type_make: Callable[..., TicketType], user_make: Callable[..., User], tmp_path: Path
) -> None:
    ticket_type = ticket_type_make(capacity=60)
    users = [user_make() for _ in range(6)]
    file = tmp_path / "shop.backup"

    def sell(user: User) -> Callable[[], None]:
        def several() -> None:
            for _ in range(4):
                buy(ticket_type, user, 1)

        return several

    def save() -> None:
        call_command("backup", str(file), stdout=StringIO())

    results = together(*(sell(user) for user in users), save)
    assert results == [None] * 7
    sold = Inventory.objects.get(pk=ticket_type.pk).sold
    assert sold == 24
    disconnect()

    call_command("restore", str(file), "--replace", stdout=StringIO())

    heal()
    audit()
    assert Inventory.objects.get(pk=ticket_type.pk).sold <= sold


def test_a_database_that_is_not_empty_is_replaced_only_if_asked(
    ticket_type: TicketType, tmp_path: Path
) -> None:
    file = tmp_path / "shop.backup"
    call_command("backup", str(file), stdout=StringIO())
    with pytest.raises(CommandError, match="not empty"):
        call_command("restore", str(file))
    with pytest.raises(CommandError, match="exists already"):
        call_command("backup", str(file))
    assert TicketType.objects.filter(pk=ticket_type.pk).exists()


def test_while_something_is_connected_nothing_is_changed(
    ticket_type: TicketType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "shop.backup"
    call_command("backup", str(file), stdout=StringIO())
    Inventory.objects.update(capacity=7)
    disconnect()
    database = backup.Database.of_settings(connections["default"].settings_dict)

    connections["default"].ensure_connection()
    monkeypatch.setattr(connections, "close_all", lambda: None)
    monkeypatch.setattr(postgres_wait, "ANSWER_SECONDS", 2.0)  # PostgreSQL says so after 5 s
    with pytest.raises(CommandError, match="Something is connected"):
        call_command("restore", str(file), "--replace")
    monkeypatch.undo()

    assert Inventory.objects.get(pk=ticket_type.pk).capacity == 7
    left = SQL("SELECT datname FROM pg_database WHERE datname LIKE '%restoring'")
    assert database.ask(left) == []


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_file_that_is_no_backup_changes_nothing(
    content: bytes | None, ticket_type: TicketType, tmp_path: Path
) -> None:
    file = tmp_path / "shop.backup"
    if content is None:  # an archive of something else
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("something", "else")
    else:
        file.write_bytes(content)
    disconnect()
    with pytest.raises(CommandError, match=r"cannot be read|is not a backup"):
        call_command("restore", str(file), "--replace")
    assert TicketType.objects.filter(pk=ticket_type.pk).exists()


def test_the_databases_of_a_killed_restore_are_removed(ticket_type: TicketType, tmp_path: Path) -> None:
    file = tmp_path / "shop.backup"
    call_command("backup", str(file), stdout=StringIO())
    database = backup.Database.of_settings(connections["default"].settings_dict)
    left = [f"{database.name}{end}" for end in (backup.RESTORING, backup.REPLACED)]
    for name in left:
        database.ask(SQL("CREATE DATABASE {}").format(Identifier(name)))
    disconnect()

    call_command("restore", str(file), "--replace", stdout=StringIO())

    assert TicketType.objects.filter(pk=ticket_type.pk).exists()
    names = [name for (name,) in database.ask(SQL("SELECT datname FROM pg_database"))]
    assert [name for name in left if name in names] == []


def test_a_restore_without_postgresql_says_what_to_start(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:  # it has a port and does not listen
        nobody.bind(("127.0.0.1", 0))
        for name, value in (("HOST", "127.0.0.1"), ("PORT", nobody.getsockname()[1])):
            monkeypatch.setitem(settings.DATABASES["default"], name, value)
        with pytest.raises(CommandError, match="bin/up --only services"):
            call_command("restore", str(tmp_path / "shop.backup"))


def test_a_damaged_dump_changes_nothing(ticket_type: TicketType, tmp_path: Path) -> None:
    file = tmp_path / "shop.backup"
    call_command("backup", str(file), stdout=StringIO())
    content = bytearray(file.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    file.write_bytes(content)
    disconnect()
    with pytest.raises(CommandError):
        call_command("restore", str(file), "--replace")
    assert TicketType.objects.filter(pk=ticket_type.pk).exists()


def test_the_password_is_in_no_argument(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[str] = []
    run = subprocess.run

    def watched(argv: Any, **options: Any) -> Any:
        seen.extend(argv)
        return run(argv, **options)

    monkeypatch.setattr(subprocess, "run", watched)
    call_command("backup", str(tmp_path / "shop.backup"), stdout=StringIO())
    password = connections["default"].settings_dict["PASSWORD"]
    assert seen
    assert not [argument for argument in seen if password and password in argument]


def test_a_backup_is_not_written_into_the_checkout(settings: Any) -> None:
    with pytest.raises(CommandError, match="is in the checkout"):
        call_command("backup", str(settings.BASE_DIR / "shop.backup"))
