"""Two processes of Daphne with real sockets. The flushes run in this process."""

import asyncio
import contextlib
import json
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from realtime import publish
from realtime.tests.daphne import Daphne
from realtime.tests.helpers import PATIENCE, Shown

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def daphnes(transactional_db: None, daphne_make: Callable[..., Daphne]) -> Iterator[list[Daphne]]:
    started = [daphne_make(), daphne_make()]
    try:
        for daphne in started:
            daphne.wait_ready()
        yield started
    finally:
        for daphne in started:
            daphne.stop()


async def frame(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        return dict(json.loads(await socket.recv()))


@pytest.mark.usefixtures("flushing")
def test_two_processes_show_the_same_state_and_close_with_the_right_codes(
    daphnes: list[Daphne], shown: Shown
) -> None:
    shown.states = {1: {"left": 5}}

    async def test() -> None:
        async with daphnes[0].watch("/ws/events/1/") as one, daphnes[1].watch("/ws/events/1") as two:
            assert one.subprotocol == "overlord.v1"
            for socket in (one, two):
                first = await frame(socket)
                assert (first["type"], first["data"]) == ("snapshot", {"left": 5})
            shown.states = {1: {"left": 4}}
            await asyncio.to_thread(publish.streams_mark, streams=["event.1"])
            updates = [await frame(one), await frame(two)]
            assert [update["data"] for update in updates] == [{"left": 4}] * 2
            assert updates[0]["version"] == updates[1]["version"] > first["version"]

        here = daphnes[0]
        assert await close_code(here, "/ws/events/404/") == 4404
        assert await close_code(here, "/ws/nonsense/") == 4404
        async with here.watch("/ws/events/1/", origin="http://127.0.0.1:1") as elsewhere:
            assert (await frame(elsewhere))["data"] == {"left": 4}
        assert await close_code(here, "/ws/me/", origin="http://127.0.0.1:1") == 4403
        assert await close_code(here, "/ws/events/1/", origin="null") == 4403
        assert await close_code(here, "/ws/events/1/", origin=None) == 4403
        forged = {"Daphne-Root-Path": "/elsewhere"}
        assert await close_code(here, "/ws/events/404/", additional_headers=forged) == 4404
        assert await close_code(here, "/ws/events/1/", sends="x" * 5000) == 1009
        assert await close_code(here, "/ws/events/1/", sends=b"binary") == 1008
        async with here.watch("/ws/events/1/", subprotocols=None) as plain:
            assert plain.subprotocol is None
            assert (await frame(plain))["data"] == {"left": 4}

    async_to_sync(test)()


async def all_frames(socket: ClientConnection) -> None:
    while True:
        await frame(socket)


async def close_code(daphne: Daphne, path: str, *, sends: str | bytes | None = None, **options: Any) -> int:
    async with daphne.watch(path, **options) as socket:
        if sends is not None:
            await socket.send(sends)
        with pytest.raises(ConnectionClosed) as closed:
            await all_frames(socket)
    return closed.value.rcvd.code if closed.value.rcvd else 1006


@pytest.mark.usefixtures("flushing")
def test_a_server_that_stops_closes_its_sockets_with_4503(daphnes: list[Daphne], shown: Shown) -> None:
    shown.states = {1: 1}

    async def test() -> int:
        async with daphnes[0].watch("/ws/events/1/") as socket:
            await frame(socket)
            daphnes[0].process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                await frame(socket)
            return closed.value.rcvd.code if closed.value.rcvd else 1006

    assert async_to_sync(test)() == 4503


@pytest.mark.usefixtures("transactional_db", "flushing")
def test_behind_a_balancer_an_address_that_the_client_writes_does_not_count(
    daphne_make: Callable[..., Daphne], shown: Shown
) -> None:
    shown.states = {1: 1}
    daphne, path = daphne_make(application="realtime.tests.proxied_app:application"), "/ws/events/1/"

    def by(written: int, *, client: str = "198.51.100.7") -> dict[str, str]:
        """Return what the client wrote, what its balancer appended, and what Caddy did."""
        return {"X-Forwarded-For": f"203.0.113.{written}, {client}, 10.0.0.1"}

    async def test() -> None:
        async with (
            daphne.watch(path, additional_headers=by(1)) as first,
            daphne.watch(path, additional_headers=by(2)) as second,
        ):
            assert [(await frame(each))["type"] for each in (first, second)] == ["snapshot"] * 2
            assert await close_code(daphne, path, additional_headers=by(3)) == 4503
            async with daphne.watch(path, additional_headers=by(3, client="198.51.100.8")) as other:
                assert (await frame(other))["type"] == "snapshot"

    try:
        daphne.wait_ready()
        async_to_sync(test)()
    finally:
        daphne.stop()


@pytest.mark.usefixtures("transactional_db")
def test_a_real_daphne_has_a_writer_for_its_sockets(daphne_make: Callable[..., Daphne]) -> None:
    daphne = daphne_make(application="realtime.tests.writer_app:application")

    async def test() -> list[str | bytes]:
        for _ in range(100):
            with contextlib.suppress(OSError):
                async with daphne.watch("/") as socket:
                    return [await socket.recv(), await socket.recv()]
            await asyncio.sleep(0.1)
        return []

    try:
        assert async_to_sync(test)() == ["plain", "writer"]
    finally:
        daphne.stop()
