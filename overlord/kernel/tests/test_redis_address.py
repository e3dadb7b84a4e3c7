"""Each client of Redis finds its server: by one address, by addresses of their own, and by Sentinels."""

import asyncio
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import channels_redis.pubsub
import kombu
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from overlord import redis_address
from overlord.embedded import binaries, ports, servers
from overlord.kernel import queues, redis_client
from overlord.redis_address import RedisAddress
from overlord.settings import addresses
from stats import system
from tests import tls
from tests.system import eventually

pytestmark = pytest.mark.slow

PASSWORD = "pass word"
NAME = "overlord"


@contextmanager
def valkey(folder: Path, *lines: str, sentinel: bool = False) -> Iterator[int]:
    """Run a Valkey, or a Sentinel, with these lines of configuration; yield its port."""
    port = ports.any_free()
    folder.mkdir()
    config = folder / "valkey.conf"
    config.write_text("\n".join([f"port {port}", "bind 127.0.0.1", f"dir {folder}", *lines, ""]))
    argv = [str(binaries.valkey()), str(config), *(["--sentinel"] if sentinel else [])]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        eventually(lambda: process.poll() is not None or _answers(port, sentinel=sentinel))
        assert process.poll() is None, (folder / "log").read_text()
        yield port
    finally:
        process.kill()
        process.wait()


def _answers(port: int, *, sentinel: bool) -> bool:
    client = redis.Redis(port=port, password=None if sentinel else PASSWORD)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


class Watched:
    """A primary, its replica, and a Sentinel that watches them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        login = [
            f'requirepass "{PASSWORD}"',
            f'primaryauth "{PASSWORD}"',
            'save ""',
            "repl-diskless-sync-delay 0",
        ]
        self.first = stack.enter_context(valkey(folder / "first", *login))
        replica = [*login, f"replicaof 127.0.0.1 {self.first}"]
        self.second = stack.enter_context(valkey(folder / "second", *replica))
        # A Sentinel asks a primary for its replicas when it begins, and then every ten seconds.
        eventually(lambda: self._replication(self.second)["master_link_status"] == "up")
        watch = [
            f"sentinel monitor {NAME} 127.0.0.1 {self.first} 1",
            f'sentinel auth-pass {NAME} "{PASSWORD}"',
            f"sentinel down-after-milliseconds {NAME} 1000",
            f"sentinel failover-timeout {NAME} 3000",
        ]
        self.sentinel = stack.enter_context(valkey(folder / "sentinel", *watch, sentinel=True))
        self._asked = redis.Redis(port=self.sentinel, decode_responses=True)
        stack.callback(self._asked.close)

    @property
    def url(self) -> str:
        return f"sentinel://:pass%20word@127.0.0.1:{self.sentinel}/0?master_name={NAME}"

    def primary(self) -> int:
        return int(self._asked.execute_command("SENTINEL", "GET-PRIMARY-ADDR-BY-NAME", NAME)[1])

    def fail_over(self) -> None:
        """Let the replica become the primary, and the primary its replica."""
        eventually(self._asks)
        eventually(lambda: self.primary() == self.second)
        eventually(lambda: self._role(self.first) == "slave")

    def _asks(self) -> bool:
        try:
            return bool(self._asked.execute_command("SENTINEL", "FAILOVER", NAME))
        except redis.ResponseError:  # the Sentinel does not know the replica yet
            return False

    def _role(self, port: int) -> str:
        return str(self._replication(port)["role"])

    def _replication(self, port: int) -> dict[str, Any]:
        return dict(ask(port, lambda it: it.info("replication")))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with ExitStack() as stack:
        yield Watched(tmp_path_factory.mktemp("watched"), stack)


@pytest.fixture
def settings_of(settings: Any) -> Iterator[Callable[..., None]]:
    """Return a function that sets addresses, as in a process that starts with them."""

    def give(**addresses: str) -> None:
        for name, url in addresses.items():
            setattr(settings, name, url)
        forget()

    yield give
    forget()


def forget() -> None:
    redis_client.connection.cache_clear()
    redis_client._broker.cache_clear()


def worked(action: Callable[[], Any]) -> bool:
    """Return whether the action works, now or a moment later."""
    try:
        action()
    except (redis.RedisError, OSError, kombu.exceptions.OperationalError):
        return False
    return True


async def _said_and_heard(layer: channels_redis.pubsub.RedisPubSubChannelLayer) -> bool:
    try:
        name = await layer.new_channel()
        await layer.group_add("group", name)
        await layer.group_send("group", {"type": "said"})
        async with asyncio.timeout(1):
            return bool((await layer.receive(name))["type"] == "said")
    except (redis.RedisError, OSError, TimeoutError):
        return False


async def _shards(layer: channels_redis.pubsub.RedisPubSubChannelLayer) -> list[Any]:
    return list(layer._get_layer()._shards)


def sent(broker: kombu.Connection) -> bool:
    """Send a message as Celery does."""
    channel: Any = broker.default_channel
    return bool(channel.client.lpush("queue", "message"))


def ask(port: int, question: Callable[[redis.Redis], Any]) -> Any:
    """Ask a Valkey by a connection of its own."""
    client = redis.Redis(port=port, password=PASSWORD, decode_responses=True)
    try:
        return question(client)
    finally:
        client.close()


def test_each_client_follows_the_primary(watched: Watched, settings: Any) -> None:
    address = RedisAddress(watched.url)
    settings.REDIS_URL = settings.REDIS_BROKER_URL = watched.url
    forget()
    ours = redis_client.connection()
    broker = kombu.Connection(
        address.broker_url, transport_options={"socket_timeout": 5, **address.broker_options}
    )
    with asyncio.Runner() as runner, broker:
        layer = channels_redis.pubsub.RedisPubSubChannelLayer(hosts=[address.channel_host])
        source = address.async_client(socket_timeout=1, decode_responses=True)
        try:
            assert ours.set("before", 1)
            assert sent(broker)
            assert runner.run(_said_and_heard(layer))
            assert runner.run(source.get("before")) == "1"

            watched.fail_over()

            eventually(lambda: worked(lambda: ours.set("after", 1)))
            assert queues.enqueue("a.task", "live")
            eventually(lambda: worked(lambda: sent(broker)))
            eventually(lambda: runner.run(_said_and_heard(layer)))
            eventually(lambda: worked(lambda: runner.run(source.set("by the source", 1))))
            assert ask(watched.second, lambda it: it.get("by the source")) == "1"
        finally:
            [shard] = runner.run(_shards(layer))
            of_the_layer = shard._redis
            runner.run(layer.flush())
            runner.run(redis_address.async_client_close(of_the_layer))
            runner.run(redis_address.async_client_close(source))
            redis_address.client_close(ours)
            forget()


def test_a_sentinel_that_does_not_answer_is_asked_once_for_each_connection(watched: Watched) -> None:
    for use in (use_in_threads, use_in_a_loop, use_as_channel_layer, use_as_broker):
        with gone() as (port, tries):
            use(RedisAddress(watched.url.replace("@", f"@127.0.0.1:{port},")))
            assert 1 <= len(tries) <= 2, use  # a connection for commands, and one that listens


def test_control_without_the_limit_each_client_asks_it_many_times(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_address, "_ONCE", Retry(NoBackoff(), 10))
    with gone() as (port, tries):
        use_in_threads(RedisAddress(watched.url.replace("@", f"@127.0.0.1:{port},")))
        assert len(tries) == 11


@contextmanager
def gone() -> Iterator[tuple[int, list[Any]]]:
    """Yield the port of a Sentinel that closes connections, and a list that gets an item at each try."""
    tries: list[Any] = []

    class HangUp(socketserver.BaseRequestHandler):
        def setup(self) -> None:
            tries.append(self.client_address)

    with socketserver.TCPServer(("127.0.0.1", 0), HangUp) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1], tries
        finally:
            server.shutdown()
            thread.join()


def use_in_threads(address: RedisAddress) -> None:
    client = address.client(socket_timeout=5)
    assert client.ping()
    redis_address.client_close(client)


def use_in_a_loop(address: RedisAddress) -> None:
    with asyncio.Runner() as runner:
        client = address.async_client(socket_timeout=5)
        assert runner.run(client.ping())
        runner.run(redis_address.async_client_close(client))


def use_as_channel_layer(address: RedisAddress) -> None:
    layer = channels_redis.pubsub.RedisPubSubChannelLayer(hosts=[address.channel_host])
    with asyncio.Runner() as runner:
        assert runner.run(_said_and_heard(layer))
        [shard] = runner.run(_shards(layer))
        of_the_layer = shard._redis
        runner.run(layer.flush())
        runner.run(redis_address.async_client_close(of_the_layer))


def use_as_broker(address: RedisAddress) -> None:
    with kombu.Connection(address.broker_url, transport_options=address.broker_options) as broker:
        assert sent(broker)


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one(
    watched: Watched, settings_of: Callable[..., None]
) -> None:
    settings_of(REDIS_URL=watched.url, REDIS_BROKER_URL=watched.url)
    ours = redis_client.connection()
    eventually(lambda: worked(lambda: ours.set("name", "Ada")))
    ask(watched.primary(), lambda it: it.client_pause(60_000, all=False))  # writes wait, reads are answered
    try:
        with pytest.raises(redis.TimeoutError):
            ours.incr("number")
        assert ours.get("name") == "Ada"
    finally:
        ask(watched.primary(), lambda it: it.client_unpause())
        redis_address.client_close(ours)


@pytest.fixture(scope="module")
def watched_by_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Return a function that gives the address of Sentinels with these options.

    The embedded Valkey has no TLS, so a forwarder with TLS is in front of it and of the Sentinel.
    """
    folder = tmp_path_factory.mktemp("by_tls")
    file = tls.certificate(folder)
    with ExitStack() as stack:
        server = stack.enter_context(valkey(folder / "server", f'requirepass "{PASSWORD}"'))
        primary = stack.enter_context(tls.forwarded(server, file))
        watch = [f"sentinel monitor {NAME} 127.0.0.1 {primary} 1", f'sentinel auth-pass {NAME} "{PASSWORD}"']
        asked = stack.enter_context(valkey(folder / "sentinel", *watch, sentinel=True))
        sentinel = stack.enter_context(tls.forwarded(asked, file))

        def url(options: str) -> str:
            given = options.format(file=file)
            return f"rediss+sentinel://:pass%20word@127.0.0.1:{sentinel}/0?master_name={NAME}{given}"

        yield url


def by_us(address: RedisAddress) -> None:
    client = address.client(socket_timeout=5)
    try:
        client.ping()
    finally:
        redis_address.client_close(client)


def by_the_live_processes(address: RedisAddress) -> None:
    async def ping() -> None:
        client = address.async_client(socket_timeout=5)
        try:
            await client.ping()
        finally:
            await redis_address.async_client_close(client)

    asyncio.run(ping())


def by_the_channel_layer(address: RedisAddress) -> None:
    async def send() -> None:
        layer = channels_redis.pubsub.RedisPubSubChannelLayer(hosts=[address.channel_host])
        [shard] = await _shards(layer)
        try:
            await layer.group_send("group", {"type": "said"})
        finally:
            of_the_layer = shard._redis
            await layer.flush()
            await redis_address.async_client_close(of_the_layer)

    asyncio.run(send())


def by_celery(address: RedisAddress) -> None:
    with kombu.Connection(
        address.broker_url, ssl=address.broker_ssl or False, transport_options=address.broker_options
    ) as broker:
        assert sent(broker)


@pytest.mark.parametrize(
    "client",
    [by_us, by_the_live_processes, by_the_channel_layer, by_celery],
    ids=lambda client: client.__name__,
)
class TestSentinelsByTls:
    def test_a_certificate_of_the_given_authority_is_accepted(
        self, watched_by_tls: Callable[[str], str], client: Callable[[RedisAddress], None]
    ) -> None:
        address = RedisAddress(addresses.redis_url(watched_by_tls("&ssl_ca_certs={file}")))
        eventually(lambda: worked(lambda: client(address)))

    def test_a_certificate_that_no_authority_signed_is_refused(
        self, watched_by_tls: Callable[[str], str], client: Callable[[RedisAddress], None]
    ) -> None:
        with pytest.raises((redis.RedisError, OSError, kombu.exceptions.OperationalError)):
            client(RedisAddress(addresses.redis_url(watched_by_tls(""))))


def test_the_supervisor_asks_the_same_server(watched: Watched) -> None:
    assert servers.redis_answers(watched.url)
    assert not servers.redis_answers(watched.url.replace(NAME, "another"))


def test_messages_may_have_a_server_of_their_own(settings_of: Callable[..., None], tmp_path: Path) -> None:
    with valkey(tmp_path / "broker", f'requirepass "{PASSWORD}"') as port:
        settings_of(REDIS_BROKER_URL=f"redis://:pass%20word@127.0.0.1:{port}/0")
        assert queues.enqueue("a.task", "live")
        assert ask(port, lambda it: it.llen("live")) == 1
        assert redis_client.connection().llen("live") == 0
        assert queues.queue_length(queues.Queue.LIVE) == 1
        assert system.state()["queued"]["live"] == 1
        redis_client._broker().close()


def test_live_messages_may_be_shared_by_several_servers(tmp_path: Path) -> None:
    with (
        valkey(tmp_path / "a", f'requirepass "{PASSWORD}"') as a,
        valkey(tmp_path / "b", f'requirepass "{PASSWORD}"') as b,
    ):
        urls = [f"redis://:pass%20word@127.0.0.1:{port}/0" for port in (a, b)]

        async def hear() -> set[str]:
            layer = channels_redis.pubsub.RedisPubSubChannelLayer(
                hosts=[RedisAddress(url).channel_host for url in urls]
            )
            name = await layer.new_channel()
            groups = [f"group{number}" for number in range(200)]
            for group in groups:
                await layer.group_add(group, name)
            for group in groups:
                await layer.group_send(group, {"type": group})
            heard = {(await layer.receive(name))["type"] for _ in groups}
            await layer.flush()
            return heard ^ set(groups)

        assert asyncio.run(hear()) == set()
        published = [
            ask(port, lambda it: it.info("commandstats")["cmdstat_publish"]["calls"]) for port in (a, b)
        ]
        assert all(published), "each has its part of the groups"
        assert sum(published) == 200


def test_each_client_gets_its_form_of_the_address() -> None:
    plain = RedisAddress("redis://:pw@h:6379/1")
    assert plain.channel_host == {"address": plain.url, **redis_address.KEEPALIVE}
    assert (plain.broker_url, plain.broker_options) == (plain.url, redis_address.KEEPALIVE)
    asked = RedisAddress("sentinel://me:p%40w@h1,h2:26380/2?master_name=m&sentinel_password=s")
    assert asked.broker_url == "sentinel://me:p%40w@h1:26379/2;sentinel://me:p%40w@h2:26380/2"
    assert asked.broker_options["master_name"] == "m"
    assert asked.broker_options["sentinel_kwargs"]["password"] == "s"
    host = asked.channel_host
    assert host["sentinels"] == [("h1", 26379), ("h2", 26380)]
    assert (host["username"], host["password"], host["db"]) == ("me", "p@w", 2)
