"""Every client obeys the options in the addresses of PostgreSQL and Redis."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import channels_redis.pubsub
import kombu
import pytest
import redis
from django.db import connections

from overlord.kernel import redis_client
from overlord.settings import addresses
from tests import settings_reader
from tests.tls import certificate

DATABASE = "postgres://user:password@127.0.0.1:5432/database"


class TlsServer:
    """A server that counts the clients that trust it, and then closes the connection."""

    def __init__(self, file: Path) -> None:
        self.trusted = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(file)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._ended:
                client.close()
                return
            client.settimeout(10)
            try:
                with self._context.wrap_socket(client, server_side=True) as trusting:
                    # With TLS 1.3 a client refuses only after the server's part of the handshake.
                    self.trusted += bool(trusting.recv(1))
            except OSError:
                client.close()

    _ended = False

    def close(self) -> None:
        self._ended = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join(timeout=30)
        self._listener.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return certificate(tmp_path)


@pytest.fixture
def server(file: Path) -> Iterator[TlsServer]:
    made = TlsServer(file)
    yield made
    made.close()


def by_celery(url: str) -> None:
    once = {"max_retries": 0}
    with pytest.MonkeyPatch.context() as patched:
        # Its client tries again, after a pause of up to some seconds.
        patched.setattr("redis.retry.sleep", lambda _seconds: None)
        with kombu.Connection(url, connect_timeout=5, transport_options=once) as broker:
            broker.default_channel.client.ping()


def by_us(url: str) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("django.conf.settings.REDIS_URL", url)
        client = redis_client.connection.__wrapped__()
        patched.undo()
    client.ping()


def by_channels(url: str) -> None:
    async def send() -> None:
        layer = channels_redis.pubsub.RedisPubSubChannelLayer(hosts=[url])
        await layer.group_send("group", {"type": "message"})

    asyncio.run(send())


@pytest.mark.parametrize("client", [by_celery, by_us, by_channels], ids=lambda client: client.__name__)
class TestRedisByTls:
    def test_a_certificate_that_no_authority_signed_is_refused(
        self, server: TlsServer, client: Callable[[str], None]
    ) -> None:
        url = addresses.redis_url(f"rediss://127.0.0.1:{server.port}/0")
        with pytest.raises(
            (redis.RedisError, OSError, kombu.exceptions.OperationalError), match=r"(?i)certificate"
        ):
            client(url)
        assert server.trusted == 0

    def test_a_certificate_of_the_given_authority_is_accepted(
        self, server: TlsServer, file: Path, client: Callable[[str], None]
    ) -> None:
        url = addresses.redis_url(f"rediss://127.0.0.1:{server.port}/0?ssl_ca_certs={file}")
        with pytest.raises((redis.RedisError, OSError, kombu.exceptions.OperationalError)):
            client(url)  # it closes the connection
        assert server.trusted >= 1


def test_the_options_of_a_database_address_reach_the_connection(tmp_path: Path, file: Path) -> None:
    url = f"{DATABASE}?sslmode=verify-full&sslrootcert={file}"
    assert settings_reader.reader(tmp_path)(DATABASE_URL=url)["DATABASE_OPTIONS"] == {
        "sslmode": "verify-full",
        "sslrootcert": str(file),
    }


def test_an_option_of_the_address_wins_over_the_default(settings: Any) -> None:
    options = {
        **settings.DATABASES["default"]["OPTIONS"],
        **addresses.postgres_options(f"{DATABASE}?keepalives_idle=9"),
    }
    params = connections.create_connection("default")
    params.settings_dict = {**params.settings_dict, "OPTIONS": options}
    assert params.get_connection_params()["keepalives_idle"] == "9"


def test_an_address_without_options_stays_as_it_is() -> None:
    assert addresses.redis_url("redis://:p%23w@h:6379/0") == "redis://:p%23w@h:6379/0"
    assert addresses.postgres_options(DATABASE) == {}
