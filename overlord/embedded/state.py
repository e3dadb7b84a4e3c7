"""The data folder: whose it is, who works in it, and what is remembered there from run to run."""

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


class FolderError(Exception):
    """The data folder cannot be used; the message says what to do."""


class AlreadyRunningError(Exception):
    """Another process works in the data folder: its pid, and what it serves, the shop's address above all."""

    def __init__(self, pid: int | None, serving: str | None) -> None:
        self.pid, self.serving = pid, serving
        super().__init__(f"already running, pid {pid or 'unknown'}, {serving or 'not ready yet'}")


def _secret() -> str:
    return secrets.token_urlsafe(24)


@dataclass
class Memory:
    """What later runs need to know of earlier ones."""

    postgres_password: str = field(default_factory=_secret)
    valkey_password: str = field(default_factory=_secret)
    demo_password: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(50))
    ports: dict[str, int] = field(default_factory=dict)
    demo_loaded: bool = False
    refuge: str | None = None


@dataclass(frozen=True)
class Folder:
    """The data folder, `.overlord` in the checkout unless OVERLORD_DATA says otherwise."""

    path: Path

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def env_file(self) -> Path:
        return self.path / "env"

    def make(self) -> None:
        """Will make the folder unless it is there, and ours; raises FolderError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise FolderError(f"{self.path} cannot be made: {error.strerror}.") from error
        self.check()

    def check(self) -> None:
        """Will raise FolderError unless the folder is ours and can be written to."""
        owner = self.path.stat().st_uid
        if owner != os.geteuid():
            raise FolderError(
                f"{self.path} belongs to {user_name(owner)}: work as that user, "
                "or set OVERLORD_DATA to another folder."
            )
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise FolderError(f"{self.path} cannot be written to.")

    @contextlib.contextmanager
    def claim(self) -> Iterator[None]:
        """Will hold the folder for this process alone; raises AlreadyRunningError.

        The kernel lets go of it when we end, however that comes about, so that it is never stale.
        """
        with self._lock_file.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._running() from None
            self.announce(serving=None)
            yield

    def announce(self, *, serving: str | None) -> None:
        """Will let others know which process works here, and what it serves once it is ready."""
        self._lock_file.write_text(json.dumps({"pid": os.getpid(), "serving": serving}))

    def running(self) -> AlreadyRunningError | None:
        """Will say who works in the folder, if anybody does."""
        try:
            with self._lock_file.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return None
        except BlockingIOError:
            return self._running()
        return None

    def recall(self) -> Memory:
        """Will give what earlier runs remembered, or a new memory; raises FolderError."""
        try:
            return Memory(**json.loads(self._memory_file.read_text()))
        except FileNotFoundError:
            return Memory()
        except (ValueError, TypeError) as error:
            raise FolderError(
                f"{self._memory_file} is damaged: put back a copy, or start afresh with manage.py reset."
            ) from error

    def remember(self, memory: Memory) -> None:
        """Will keep the memory, whole or not at all."""
        _write_private(self._memory_file, json.dumps(asdict(memory), indent=2))

    def env(self) -> dict[str, str]:
        """Will give the variables of the env file, which the settings of other processes read."""
        try:
            lines = self.env_file.read_text().splitlines()
        except FileNotFoundError:
            return {}
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def write_env(self, variables: Mapping[str, str]) -> None:
        """Will write the env file, for the settings of other processes."""
        _write_private(self.env_file, "".join(f"{name}={value}\n" for name, value in variables.items()))

    def remove(self) -> None:
        """Will remove all that we keep here, and nothing else that may lie in the folder."""
        with contextlib.suppress(FolderError):  # a damaged memory is one reason to come here
            if refuge := self.recall().refuge:
                shutil.rmtree(refuge, ignore_errors=True)
        for name in ("postgres", "valkey", "caddy", "logs"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        for scratch in self.path.glob("postgres.new-*"):
            shutil.rmtree(scratch, ignore_errors=True)
        for file in (self.env_file, self._memory_file):
            file.unlink(missing_ok=True)

    def _running(self) -> AlreadyRunningError:
        try:
            facts: dict[str, Any] = json.loads(self._lock_file.read_text())
        except ValueError:  # it is being written just now
            facts = {}
        return AlreadyRunningError(facts.get("pid"), facts.get("serving"))

    @property
    def _lock_file(self) -> Path:
        return self.path / "lock"

    @property
    def _memory_file(self) -> Path:
        return self.path / "state.json"


def user_name(uid: int) -> str:
    """Will give the user's name, or the number when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _write_private(file: Path, text: str) -> None:
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    with new.open("w") as output:
        output.write(text)
        output.flush()
        os.fsync(output.fileno())
    new.replace(file)
