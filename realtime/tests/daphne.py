"""A Daphne process for tests."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
from django.db import connection
from websockets.asyncio.client import connect

from overlord.embedded import ports


class Daphne:
    """A process of its own on the tests' database and Valkey."""

    def __init__(self, *options: str, application: str = "overlord.asgi:application") -> None:
        self.port = ports.any_free()
        address = urlsplit(os.environ["DATABASE_URL"])
        database = urlunsplit(address._replace(path=f"/{connection.settings_dict['NAME']}"))
        command = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(self.port)]
        limits = "--websocket-max-message-size 65536 --websocket-max-frame-size 65536"
        command += ["--no-server-name", "-v", "0", *limits.split(), *options, application]
        self.process = subprocess.Popen(command, env={**os.environ, "DATABASE_URL": database})

    def wait_ready(self) -> None:
        for _ in range(200):
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{self.port}/nothing", timeout=5)
                return
            time.sleep(0.1)
        raise AssertionError("Daphne did not start.")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def watch(self, path: str, **options: Any) -> connect:
        here = f"127.0.0.1:{self.port}"
        options = {"origin": f"http://{here}", "subprotocols": ["overlord.v1"], **options}
        return connect(f"ws://{here}{path}", **options)
