"""Fixtures of the live side's tests: an empty Valkey, a projection that a test fills, and flushes beside a test."""

from collections.abc import Iterator

import pytest
from redis import Redis

from overlord.kernel import redis_client
from realtime import store, streams
from realtime.streams import Access
from realtime.tests.helpers import Shown, flushes


@pytest.fixture(autouse=True)
def valkey() -> Iterator[Redis]:
    """Give the tests' Valkey, empty, and a closed breaker."""
    connection = redis_client.connection()
    connection.flushdb()
    store.breaker.succeeded()
    yield connection
    connection.flushdb()
    store.breaker.succeeded()


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """Give what the streams of kind "event" (public) show."""
    projection = Shown()
    definition = streams.Definition(access=Access.PUBLIC, project=projection.project)
    monkeypatch.setitem(streams._definitions, "event", definition)
    return projection


@pytest.fixture
def flushing() -> Iterator[None]:
    """Flush again and again as long as the test runs."""
    with flushes():
        yield
