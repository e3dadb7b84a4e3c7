"""The data folder: its owner, its lock, and the files in which a run saves what later runs need."""

import contextlib
import fcntl
import json
import os
import pwd
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

UNKNOWN = "(as it was)"
POSTGRES_FOLDER = "OVERLORD_POSTGRES_FOLDER"  # the name of `external_folder` in the env file


class FolderError(Exception):
    """The data folder cannot be used; the message says what to do."""


class AlreadyRunningError(Exception):
    """Another process uses the data folder. `pid` is its pid; `serving` says what it serves, usually an address.

    Each of the two is None until it is known.
    """

    def __init__(self, pid: int | None, serving: str | None) -> None:
        self.pid, self.serving = pid, serving
        super().__init__(f"already running, pid {pid or 'unknown'}, {serving or 'not ready yet'}")


def _secret() -> str:
    return secrets.token_urlsafe(24)


@dataclass
class SavedState:
    """The facts that a run saves for later runs: passwords, ports, whether the demo was loaded."""

    postgres_password: str = field(default_factory=_secret)
    valkey_password: str = field(default_factory=_secret)
    demo_password: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(50))
    ports: dict[str, int] = field(default_factory=dict)
    demo_loaded: bool = False
    external_folder: str | None = None  # see postgres_home.py


@dataclass(frozen=True)
class Folder:
    """The data folder: `.overlord` in the checkout, or the folder that OVERLORD_DATA names."""

    path: Path

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def env_file(self) -> Path:
        return self.path / "env"

    @property
    def mail_url(self) -> str:
        """Return the EMAIL_URL with which each e-mail is kept as a file in the folder."""
        return f"filemail:///{quote(str(self.path / 'mail'))}"

    def make(self) -> None:
        """Make the folder unless it exists, and check it; raise FolderError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise FolderError(f"{self.path} cannot be made: {error.strerror}.") from error
        self.check()

    def check(self) -> None:
        """Raise FolderError unless the folder belongs to this user and is writable."""
        owner = self.path.stat().st_uid
        if owner != os.geteuid():
            raise FolderError(
                f"{self.path} belongs to {user_name(owner)}: run this as that user, "
                "or set OVERLORD_DATA to another folder."
            )
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise FolderError(f"{self.path} is not writable: chmod u+rwx '{self.path}'")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder's lock for the block; raise AlreadyRunningError if another process holds it.

        The kernel releases the lock when this process ends, even if it is killed.
        """
        with self._lock_file.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._running() from None
            self.announce(serving=None)
            yield

    def announce(self, *, serving: str | None) -> None:
        """Write into the lock file that this process holds it, and what it serves; None until it is ready."""
        self._lock_file.write_text(json.dumps({"pid": os.getpid(), "serving": serving}))

    def running(self) -> AlreadyRunningError | None:
        """Return the facts about the process that holds the lock, as an error; None if the lock is free."""
        try:
            with self._lock_file.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return None
        except BlockingIOError:
            return self._running()
        return None

    def load(self) -> SavedState:
        """Return the state that earlier runs saved, or a new state; raise FolderError.

        If the state file is lost or damaged, the state is made from the env file, which also has the passwords. If
        both are lost, the state is new, but only if the folder has no data.
        """
        try:
            saved = json.loads(self._state_file.read_text())
            if "refuge" in saved:  # the name of `external_folder` in version 0.1.0
                saved["external_folder"] = saved.pop("refuge")
            return SavedState(**saved)
        except FileNotFoundError:
            if not self.env() and not self._postgres.exists():
                return SavedState()
        except (ValueError, TypeError):
            pass
        return self._recovered()

    def _recovered(self) -> SavedState:
        """Return the state that follows from the env file; raise FolderError if a password is missing there.

        The file has only addresses of our own servers.
        """
        env = self.env()
        found = SavedState(demo_loaded=True, demo_password=UNKNOWN, external_folder=env.get(POSTGRES_FOLDER))
        try:
            found.secret_key = env["SECRET_KEY"]
            if "DATABASE_URL" in env or found.external_folder or self._postgres.exists():
                database = urlsplit(env["DATABASE_URL"])
                found.postgres_password = database.password or ""
                found.ports["postgres"] = database.port or 0
            if "REDIS_URL" in env:  # Valkey's data needs no password
                redis = urlsplit(env["REDIS_URL"])
                found.valkey_password = redis.password or ""
                found.ports["valkey"] = redis.port or 0
        except (KeyError, ValueError) as error:
            raise FolderError(
                f"{self._state_file} is lost or damaged, and so are the passwords of the data beside it. The data"
                " is whole: restore the file from a copy. Only when the data is of no use, remove all with"
                " manage.py reset."
            ) from error
        return found

    def save(self, state: SavedState) -> None:
        """Save the state."""
        write_private(self._state_file, json.dumps(asdict(state), indent=2))

    def env(self) -> dict[str, str]:
        """Return the variables of the env file; {} if there is none. The settings of other processes read it."""
        try:
            lines = self.env_file.read_text().splitlines()
        except FileNotFoundError:
            return {}
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def write_env(self, variables: Mapping[str, str]) -> None:
        """Write the env file, for the settings of other processes."""
        write_private(self.env_file, "".join(f"{name}={value}\n" for name, value in variables.items()))

    def remove(self) -> None:
        """Remove all files of ours from the folder, except for the lock file, and no other files."""
        with contextlib.suppress(FolderError):  # a damaged state file is one reason to reset
            if external_folder := self.load().external_folder:
                shutil.rmtree(external_folder, ignore_errors=True)
        for name in ("postgres", "valkey", "caddy", "liveness", "logs", "mail", "pictures"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        for unfinished in ("postgres.new-*", "restore-*"):  # a process that was killed may have left these
            for scratch in self.path.glob(unfinished):
                shutil.rmtree(scratch, ignore_errors=True)
        for file in (self.env_file, self._state_file):
            _unfinished(file).unlink(missing_ok=True)
            file.unlink(missing_ok=True)

    def _running(self) -> AlreadyRunningError:
        try:
            facts: dict[str, Any] = json.loads(self._lock_file.read_text())
        except ValueError:  # it is being written at this moment
            facts = {}
        return AlreadyRunningError(facts.get("pid"), facts.get("serving"))

    @property
    def _postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def _lock_file(self) -> Path:
        return self.path / "lock"

    @property
    def _state_file(self) -> Path:
        return self.path / "state.json"


def user_name(uid: int) -> str:
    """Return the name of a system user, or "user" with the number if it has no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def write_private(file: Path, text: str) -> None:
    """Write a file that only this user may read. After a crash, the old or the new file is there, and complete."""
    new = _unfinished(file)
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    with new.open("w") as output:
        output.write(text)
        output.flush()
        os.fsync(output.fileno())
    new.replace(file)


def _unfinished(file: Path) -> Path:
    return file.with_name(f"{file.name}.new")
