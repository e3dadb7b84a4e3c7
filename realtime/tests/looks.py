"""Print at which seconds a server looks at a connection, and notices that its application has failed.

Runs as `python -m realtime.tests.looks`, as an import of Daphne's server gives a process a reactor. The clock is
Twisted's own for tests.
"""

import json
from concurrent.futures import Future
from typing import Any

import daphne.server
from twisted.internet.task import Clock

from realtime.gateway import server

MINUTE = 60


class Connection:
    """A connection whose application has failed."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.looked: list[float] = []
        self.failed: list[float] = []

    def check_timeouts(self) -> None:
        self.looked.append(self.clock.seconds())

    def handle_exception(self, _error: BaseException) -> None:
        self.failed.append(self.clock.seconds())


def seconds(kind: type[daphne.server.Server]) -> dict[str, list[float]]:
    """Let a server run for a minute, as Daphne's `run` does; return what happened at which seconds."""
    clock = Clock()
    daphne.server.reactor = clock
    connection, ended = Connection(clock), Future[Any]()
    ended.set_exception(ValueError("planted"))
    made = kind(application=None, endpoints=["tcp:0"])
    made.connections = {connection: {"application_instance": ended}}
    clock.callLater(1, made.application_checker)
    clock.callLater(2, made.timeout_checker)
    clock.pump([1] * MINUTE)
    return {"looked": connection.looked, "failed": connection.failed}


if __name__ == "__main__":
    print(json.dumps({"ours": seconds(server.LeanServer), "daphne": seconds(daphne.server.Server)}))  # noqa: T201
