"""A Daphne process for tests."""

import contextlib
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import connect

from overlord.embedded import ports, program
from overlord.embedded.forks import ForkServer
from overlord.embedded.processes import Program


class Daphne:
    """A separate process on the tests' database and Valkey, with the environment of the fork server."""

    def __init__(
        self,
        forks: ForkServer,
        env: Mapping[str, str],
        logs: Path,
        *options: str,
        application: str = "overlord.asgi:application",
    ) -> None:
        self.port = ports.any_free()
        command = [sys.executable, "-m", "realtime.gateway.server", "-b", "127.0.0.1", "-p", str(self.port)]
        command += [*options, application]
        name = f"daphne-{self.port}"
        described = Program(name=name, argv=tuple(command), env=env, cwd=program.ROOT, forked=True)
        self._child = forks.start(described, logs)
        self.process = self._child.process

    def wait_ready(self) -> None:
        for _ in range(200):
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{self.port}/nothing", timeout=5)
                return
            time.sleep(0.1)
        raise AssertionError(f"Daphne did not start:\n{self._child.last_lines()}")

    def stop(self) -> None:
        self._child.stop(grace=20)

    def watch(self, path: str, **options: Any) -> connect:
        here = f"127.0.0.1:{self.port}"
        options = {"origin": f"http://{here}", "subprotocols": ["overlord.v1"], **options}
        return connect(f"ws://{here}{path}", **options)
