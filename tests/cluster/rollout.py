"""Deploy a new version under load: the database first, then one machine of the application after the other.

It works as deploy/kubernetes does: the front server sends no more requests to a machine, the machine's processes
are asked to end, and the front server sends requests to the new ones once they are ready.
"""

import subprocess
import sys
import time
from collections.abc import Callable

from overlord.embedded import program
from tests.cluster.network import APPS, address
from tests.cluster.stage import PORTS, Stage

LEAVES_SECONDS = 5.0  # as long as a pod waits before it ends (preStop), until nobody sends it requests
ENDS_SECONDS = 60.0  # what Kubernetes gives the payments worker
READY_SECONDS = 90.0

Rest = Callable[[float], None]


def deploy(stage: Stage, rest: Rest) -> None:
    """Replace all our processes. Raises RuntimeError for one that does not end or does not become ready."""
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity", "0"],
        env=stage.env("front"), cwd=program.ROOT, check=True,
    )  # fmt: skip
    for machine in APPS:
        _replace(stage, machine, rest)


def _replace(stage: Stage, machine: str, rest: Rest) -> None:
    ours = [each for each in stage.processes.values() if each.machine == machine and each.name in stage.ours]
    stage.lead_to(each for each in APPS if each != machine)
    rest(LEAVES_SECONDS)
    for each in ours:
        each.end()
    try:
        _until(f"{machine} to end", ENDS_SECONDS, rest, lambda: not any(each.running for each in ours))
        for each in ours:
            each.start()
        _until(f"{machine} to be ready", READY_SECONDS, rest, lambda: _is_ready(stage, machine))
    finally:
        for each in ours:
            each.held = False
        stage.lead_to(APPS)
    rest(LEAVES_SECONDS)


def _is_ready(stage: Stage, machine: str) -> bool:
    urls = [f"http://{address(machine)}:{port}/readyz/self" for port in PORTS.values()]
    return all(stage.status(url) == 200 for url in urls)


def _until(what: str, seconds: float, rest: Rest, ready: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until:
            raise RuntimeError(f"The deploy waited for {what} in vain.")
        rest(0.2)
