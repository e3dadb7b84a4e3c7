"""Back up the shop of `bin/up` into one file, and restore it: for the commands `backup` and `restore`.

The file is a zip archive that only its owner can read. It contains the database as it was at one instant, the
secrets (SECRET_KEY signs the codes of tickets and the links in mails), and the uploaded pictures.

A restore first fills a second database, and then exchanges the two databases. If this fails, nothing has changed.
Afterwards the restore replaces the secrets and then the pictures. If one of these fails, what was restored before
stays, and the error says what is missing.
"""

import json
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from overlord.embedded import binaries
from overlord.embedded.state import Folder, FolderError

FORMAT = 1
DUMP, SECRETS, PICTURES = "database.dump", "secrets.json", "pictures"
RESTORING, REPLACED = "_restoring", "_replaced"
TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"


class BackupError(Exception):
    """A backup or a restore is not possible; the message says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Database:
    """A database of the running PostgreSQL, with the log-in to it."""

    name: str
    host: str
    port: str
    user: str
    password: str

    @classmethod
    def of_settings(cls, found: Mapping[str, Any]) -> "Database":
        """Return the database that Django's settings name."""
        names = {name: str(found[name.upper()]) for name in ("name", "host", "port", "user", "password")}
        return cls(**names)

    def run(self, program: str, *arguments: str) -> None:
        """Run a program of PostgreSQL on this server; raise BackupError if it fails.

        It gets the password in its environment, and not as an argument, which `ps` would show.
        """
        where = {"PGHOST": self.host, "PGPORT": self.port, "PGUSER": self.user, "PGPASSWORD": self.password}
        argv = (str(binaries.postgres_folder() / program), *arguments)
        done = subprocess.run(argv, env={**where, "LC_ALL": "C"}, capture_output=True, text=True)
        if done.returncode:
            raise BackupError(f"{program} failed: {done.stderr.strip()}")

    def ask(self, *statements: sql.Composable, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run statements one after the other, each in its own transaction; return the rows of the last one.

        They run in this database, or in the one that `database` names on the same server.
        """
        connection = psycopg2.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=database or self.name,
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def is_empty(self) -> bool:
        [(tables,)] = self.ask(sql.SQL(TABLES))
        return bool(tables == 0)


def backup(
    file: Path, *, database: Database, folder: Folder, secret_key: str, pictures: Path | None
) -> list[str]:
    """Write the backup into a new file that only its owner can read; raise BackupError.

    The shop may go on meanwhile: the dump has the state of one instant. Return the names of the picture files that
    were deleted before they could be copied.
    """
    if file.exists():
        raise BackupError(f"{file} exists already.")
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as scratch:
        dump, secrets, unfinished = (Path(scratch) / name for name in (DUMP, SECRETS, "unfinished"))
        database.run("pg_dump", "--format=custom", "--no-owner", f"--file={dump}", database.name)
        demo_password = folder.load().demo_password
        kept = {"format": FORMAT, "secret_key": secret_key, "demo_password": demo_password}
        secrets.write_text(json.dumps(kept))
        with open(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as output:
            with zipfile.ZipFile(output, "w") as archive:
                for part in (secrets, dump):
                    archive.write(part, part.name)
                vanished = _pictures_add(archive, pictures) if pictures is not None else []
            output.flush()
            os.fsync(output.fileno())
        unfinished.replace(file)
    return vanished


def restore(file: Path, *, database: Database, folder: Folder, pictures: Path | None, replace: bool) -> None:
    """Replace the database, the secrets and, if the backup has any, the pictures by those of the backup.

    Raise BackupError, also if a program is connected to the database, or if the database is not empty and `replace`
    is not set.
    """
    if not replace and not database.is_empty():
        raise BackupError(f"The database {database.name} is not empty. To replace it, add --replace.")
    with tempfile.TemporaryDirectory(dir=folder.path, prefix="restore-") as scratch:
        _unpack(file, Path(scratch))
        kept = json.loads((Path(scratch) / SECRETS).read_text())
        if kept.get("format") != FORMAT:
            raise BackupError(f"{file} has format {kept.get('format')}; this version reads format {FORMAT}.")
        _exchange(database, Path(scratch) / DUMP)
        try:
            _secrets_restore(folder, secret_key=kept["secret_key"], demo_password=kept["demo_password"])
        except (FolderError, OSError) as error:
            reason = f"The database is restored, the secrets and pictures are not: {error}"
            raise BackupError(f"{reason}. Remove the cause, then restore again with --replace.") from error
        if pictures is not None and (Path(scratch) / PICTURES).is_dir():
            _pictures_restore(Path(scratch) / PICTURES, pictures)


def _files(folder: Path) -> list[Path]:
    """Return the files directly in a folder, sorted by path; [] if the folder does not exist."""
    return sorted(file for file in folder.iterdir() if file.is_file()) if folder.exists() else []


def _pictures_add(archive: zipfile.ZipFile, pictures: Path) -> list[str]:
    """Copy the pictures; return the names of those that were deleted since they were listed.

    A file whose name begins with a dot is left out: its upload is not finished, so no event shows it yet.
    """
    vanished = []
    for file in _files(pictures):
        if file.name.startswith("."):
            continue
        try:
            archive.write(file, Path(PICTURES) / file.name)
        except FileNotFoundError:  # zipfile opens the file before it writes anything about it
            vanished.append(file.name)
    return vanished


def _unpack(file: Path, scratch: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            archive.extractall(scratch)
    except (OSError, zipfile.BadZipFile) as error:
        raise BackupError(f"{file} cannot be read: {error}") from error
    for name in (SECRETS, DUMP):
        if not (scratch / name).is_file():
            raise BackupError(f"{file} is not a backup: {name} is missing in it.")


def _exchange(database: Database, dump: Path) -> None:
    """Fill a new database from the dump, give it the name of the current database, and drop the current one."""
    restoring, replaced = f"{database.name}{RESTORING}", f"{database.name}{REPLACED}"
    current, new, old = (sql.Identifier(name) for name in (database.name, restoring, replaced))
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    # A restore that was killed may have left one of these two. It leaves `old` only after the exchange, when
    # nobody needs `old` any more.
    leftovers = [drop.format(name) for name in (new, old)]
    database.ask(*leftovers, sql.SQL("CREATE DATABASE {}").format(new), database="postgres")
    try:
        database.run("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={restoring}", str(dump))
        both = sql.SQL("{}; {}").format(rename.format(current, old), rename.format(new, current))
        database.ask(both, database="postgres")  # one transaction: both names change, or none
    except (BackupError, psycopg2.Error) as error:
        database.ask(drop.format(new), database="postgres")
        if isinstance(error, psycopg2.errors.ObjectInUse):
            reason = f"Something is connected to the database {database.name}."
            raise BackupError(f"{reason} Stop bin/up, and run bin/up --only services.") from error
        raise BackupError(f"Nothing was changed. {str(error).strip()}") from error
    database.ask(drop.format(old), database="postgres")


def _pictures_restore(restored: Path, pictures: Path) -> None:
    """Replace the pictures by the restored ones. The folder itself stays: it can be a mount point or a link."""
    try:
        pictures.mkdir(parents=True, exist_ok=True)
        for file in _files(pictures):
            file.unlink()
        for file in _files(restored):
            shutil.move(file, pictures / file.name)
    except OSError as error:
        reason = f"Database and secrets are restored, the pictures are not: {error}."
        raise BackupError(f"{reason} Remove the cause, then restore again with --replace.") from error


def _secrets_restore(folder: Folder, *, secret_key: str, demo_password: str) -> None:
    state = folder.load()
    state.secret_key, state.demo_password, state.demo_loaded = secret_key, demo_password, True
    folder.save(state)
    if env := folder.env():
        folder.write_env({**env, "SECRET_KEY": secret_key})
