"""Fixtures for tests of live state: an empty Valkey, a projection that a test fills, flushes beside a test."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection
from redis import Redis

from overlord.embedded import processes, program
from overlord.embedded.forks import ForkServer
from overlord.kernel import redis_client
from realtime import store, streams
from realtime.gateway import hub
from realtime.streams import Access
from realtime.tests.daphne import Daphne
from realtime.tests.helpers import PATIENCE, Shown, flushes


@pytest.fixture(autouse=True)
def valkey(monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """Return the tests' Valkey, empty, and close the breaker. A flush stays queued until one has begun."""
    monkeypatch.setattr(store, "QUEUED_SECONDS", 900)
    connection = redis_client.connection()
    connection.flushdb()
    store.breaker.succeeded()
    yield connection
    connection.flushdb()
    store.breaker.succeeded()


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a new socket wait for its first frame as long as a busy machine takes."""
    monkeypatch.setattr(hub, "FIRST_FRAME_SECONDS", PATIENCE)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """Return the projection of the public streams, of kind "event"."""
    projection = Shown()
    definition = streams.Definition(access=Access.PUBLIC, project=projection.project)
    monkeypatch.setitem(streams._definitions, "event", definition)
    return projection


@pytest.fixture
def flushing() -> Iterator[None]:
    """Flush repeatedly while the test runs."""
    with flushes():
        yield


@pytest.fixture(scope="session")
def daphne_make(
    django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Daphne]]:
    """Return a function that starts a Daphne as a fork, because imports would take seconds for each."""
    address = urlsplit(os.environ["DATABASE_URL"])
    database = urlunsplit(address._replace(path=f"/{connection.settings_dict['NAME']}"))
    env, logs = {**os.environ, "DATABASE_URL": database}, tmp_path_factory.mktemp("daphnes")
    processes.adopt_orphans()
    forks = ForkServer(env=env, cwd=program.ROOT, log_dir=logs)
    yield partial(Daphne, forks, env, logs)
    forks.stop()
