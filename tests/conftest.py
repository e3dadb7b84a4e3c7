"""The whole system as `bin/up` runs it, on the tests' own database: Granian, Daphne, workers, beat, Caddy."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from pytest_django import DjangoDbBlocker

from overlord.embedded import ports, processes, program
from overlord.embedded.processes import Child
from tests.system import System

HOLD_SECONDS = 3  # short, so that a hold can be seen to end


@pytest.fixture
def system(running_system: System, django_db_blocker: DjangoDbBlocker) -> Iterator[System]:
    """The running system, and its database; what the test opens on it is closed at its end.

    Such a test is not marked `django_db`: emptying tables while workers use them would lock both up, so each
    test makes what it is about and leaves it, and the tables are emptied once the processes have stopped.
    """
    with django_db_blocker.unblock(), running_system.opened:
        yield running_system


@pytest.fixture(scope="module")
def running_system(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """All processes, ready to sell, started once for a module's tests."""
    folder = tmp_path_factory.mktemp("system")
    web, live, shop = ports.any_free(), ports.any_free(), ports.any_free()
    env = {**_environment(folder), "HOLD_SECONDS": str(HOLD_SECONDS)}
    programs = [
        program.web(web, env=env),
        program.live(live, env=env),
        program.payments(env=env),
        program.broadcasts(env=env),
        program.upkeep(env=env),
        program.beat(env=env),
        program.caddy(shop, web_port=web, live_port=live, data_dir=folder),
    ]
    children: list[Child] = []
    try:
        for described in programs:
            children.append(processes.start(described, folder))
        for child in children:
            child.wait_ready()
        yield System(port=shop, programs=programs, children=children, logs=folder)
    finally:
        processes.stop(reversed(children))
        with django_db_blocker.unblock():
            # The ids go on: the sandbox remembers by its keys which payments it has seen.
            call_command("flush", verbosity=0, interactive=False, reset_sequences=False)


def _environment(folder: Path) -> dict[str, str]:
    """The environment of processes that work on the test database, whose name Django made."""
    params = connection.settings_dict
    url = (
        f"postgres://{params['USER']}:{params['PASSWORD']}@{params['HOST']}:{params['PORT']}/{params['NAME']}"
    )
    return program.environment(
        database_url=url, redis_url=settings.REDIS_URL, secret_key=os.environ["SECRET_KEY"], data_dir=folder
    )
