"""Many sockets on one event: 200 in `bin/test`, or a thousand with LIVE_SOCKETS=1000 LIVE_SECONDS=20."""

import os
import time
from collections.abc import Callable, Iterator

import orjson
import pytest
from django.db import connection

from benchmarks.fanout.sockets import Crowd
from realtime import publish
from realtime.streams import UPDATE_SECONDS
from realtime.tests.daphne import Daphne
from realtime.tests.helpers import Shown

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

SOCKETS = int(os.environ.get("LIVE_SOCKETS", "200"))
SECONDS = float(os.environ.get("LIVE_SECONDS", "3"))
CHANGES = 50  # a second


@pytest.fixture
def daphne(
    transactional_db: None, flushing: None, shown: Shown, daphne_make: Callable[..., Daphne]
) -> Iterator[Daphne]:
    shown.states = {1: {"left": 0}}
    started = daphne_make()
    try:
        started.wait_ready()
        yield started
    finally:
        started.stop()


def other_sessions() -> int:
    """Return how many other sessions PostgreSQL has: a Daphne that asked it anything has one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


def test_a_storm_is_served_and_no_socket_diverges_or_is_flooded(daphne: Daphne, shown: Shown) -> None:
    first = Crowd(daphne.port, "/ws/events/1/", 1)
    while not first.clients[0].snapshots:  # the flush has opened its session before
        first.read_until(time.monotonic() + 0.05)
    first.close()
    sessions = other_sessions()
    started = time.monotonic()
    crowd = Crowd(daphne.port, "/ws/events/1/", SOCKETS)
    try:
        while not all(client.snapshots for client in crowd.clients):
            crowd.read_until(time.monotonic() + 0.05)
            assert time.monotonic() - started < 30
        served = time.monotonic() - started
        assert other_sessions() <= sessions, "no socket asked the database anything"

        started = time.monotonic()
        for nth in range(int(SECONDS * CHANGES)):
            shown.states = {1: {"left": nth + 1}}
            publish.streams_mark(streams=["event.1"])
            crowd.read_until(started + (nth + 1) / CHANGES)
        took = time.monotonic() - started
        sent = max(client.messages for client in crowd.clients)
        wanted = shown.states[1]
        ended = time.monotonic()
        while any(state(client.last) != wanted for client in crowd.clients):
            crowd.read_until(time.monotonic() + 0.02)
            assert time.monotonic() - ended < 10, "some screen never showed the last state"
        print(  # noqa: T201
            f"\n{SOCKETS} sockets: all had their snapshot after {served:.1f} s; {CHANGES} changes a second for"
            f" {took:.0f} s: {sent / took:.1f} frames a second each, all right {time.monotonic() - ended:.2f} s"
            f" after the last"
        )
        assert sent <= took / UPDATE_SECONDS + 3, "besides the snapshot, and one at each end"
    finally:
        crowd.close()


def state(frame: bytes) -> object:
    return orjson.loads(frame)["data"] if frame else None
