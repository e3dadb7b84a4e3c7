"""Start the whole system on the tests' own database, as `bin/up` runs it: Granian, Daphne, workers, beat, Caddy.

It takes seconds to start, so tests that follow each other share it. Only one system runs at a time, so that two do
not compete for the cores: pytest-xdist gives all its tests to one worker (see `tests/conftest.py`).
"""

import os
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from overlord.embedded import ports, processes, program
from overlord.embedded.forks import ForkServer
from tests import browser
from tests.system import HOLD_SECONDS, System

_running: list[System] = []  # none, or the one that tests share


def shared(folder: Path) -> System:
    """Return the running system. Start it first if it does not run, with its logs in the folder."""
    if not _running:
        _start(folder)
    return _running[0]


def stop() -> None:
    """Stop the processes, if they run, and empty the tables for the tests that follow."""
    if not _running:
        return
    browser.close_idle()
    processes.stop(reversed(_running.pop().children))
    # The sequences go on, because the sandbox knows earlier payments by their ids.
    call_command("flush", verbosity=0, interactive=False, reset_sequences=False)


def _start(folder: Path) -> None:
    web, logins, door, live, shop = (ports.any_free() for _ in range(5))
    env, static = _environment(folder), Path(settings.STATIC_ROOT)
    # As `bin/up` does: forked processes start quicker.
    forks = ForkServer(env=env, cwd=program.ROOT, log_dir=folder)
    call_command("collectstatic", verbosity=0, interactive=False)
    programs = [
        program.web(web, env=env),
        program.logins(logins, env=env),
        program.door(door, env=env),
        program.live(live, env=env),
        program.payments(env=env),
        program.broadcasts(env=env),
        program.upkeep(env=env),
        program.beat(env=env),
        program.caddy(
            shop,
            web_port=web,
            logins_port=logins,
            door_port=door,
            live_port=live,
            static=static,
            data_dir=folder,
        ),
    ]
    system = System(port=shop, programs=programs, children=[], logs=folder)
    _running.append(system)
    try:
        processes.adopt_orphans()
        system.children += [forks.start(described, folder) for described in programs]
        for child in system.children:
            child.wait_ready()
    except BaseException:
        stop()
        raise
    finally:
        forks.stop()


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of processes that use the test database, whose name Django made."""
    params = connection.settings_dict
    url = (
        f"postgres://{params['USER']}:{params['PASSWORD']}@{params['HOST']}:{params['PORT']}/{params['NAME']}"
    )
    env = program.environment(
        database_url=url, redis_url=settings.REDIS_URL, secret_key=os.environ["SECRET_KEY"], data_dir=folder
    )
    return {**env, "HOLD_SECONDS": str(HOLD_SECONDS)}
