"""The address of Redis (Valkey), and its form for each client: redis-py, channels_redis, Celery.

The address names a server, or Sentinels, which know the server that is the primary now. The settings have checked
the address (overlord/settings/addresses.py). This module imports no other module of ours, so that the supervisor
can use it too.

`sentinel://:PASSWORD@HOST:PORT,HOST:PORT/DB?master_name=NAME` names Sentinels. A client asks them before each new
connection. When a primary becomes a replica, it refuses writes, and the client makes a new connection.
`rediss+sentinel://` does the same with TLS, to the Sentinels and to the primary.
"""

import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import SSLConnection
from redis.retry import Retry
from redis.sentinel import SentinelManagedConnection

SENTINEL, SENTINEL_BY_TLS = "sentinel", "rediss+sentinel"
SENTINEL_PORT = 26379
SENTINEL_SECONDS = 0.3  # the longest wait for one Sentinel
# A Sentinel that does not answer is asked only once; then the next one is asked. redis-py alone would ask the first
# one ten times more, with pauses, which takes about eight seconds.
_ONCE, _ONCE_IN_A_LOOP = Retry(NoBackoff(), 0), AsyncRetry(NoBackoff(), 0)

# Options of TCP for a connection that mostly receives: if the other machine fails, the kernel notices this within
# four seconds. Some systems do not have all these options.
_OPTIONS = {"TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 2, "TCP_USER_TIMEOUT": 4000}
KEEPALIVE = {
    "socket_keepalive": True,
    "socket_keepalive_options": {
        getattr(socket, name): value for name, value in _OPTIONS.items() if hasattr(socket, name)
    },
}


class _Connection(SentinelManagedConnection):
    """A connection to the primary that Sentinels name. If an answer cannot be read, the connection is closed.

    redis-py would leave the connection open. Then the answer could arrive later, and the next command would read it
    as its own answer (redis-py #4292).
    """

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        return super().read_response(*arguments, **{"disconnect_on_error": True, **options})


class _TlsConnection(_Connection, SSLConnection):
    """A connection to the primary that Sentinels name, with TLS."""


def hosts_of(netloc: str) -> tuple[tuple[str, int], ...]:
    """Return the hosts and ports after the user and password; raise ValueError if a host or a port is invalid."""
    found = []
    for each in netloc.rpartition("@")[2].split(","):
        parts = urlsplit(f"//{each}")
        if not parts.hostname:
            raise ValueError("a host is missing")
        found.append((parts.hostname, parts.port or SENTINEL_PORT))
    return tuple(found)


def client_close(client: redis.Redis) -> None:
    """Close all connections of a client, also those to Sentinels."""
    client.close()
    for sentinel in _sentinels(client):
        sentinel.close()


async def async_client_close(client: redis.asyncio.Redis) -> None:
    """Close all connections of a client for an event loop, also those to Sentinels."""
    await client.aclose()
    for sentinel in _sentinels(client):
        await sentinel.aclose()


def _sentinels(client: Any) -> list[Any]:
    manager = getattr(client.connection_pool, "sentinel_manager", None)
    return manager.sentinels if manager else []


@dataclass(frozen=True)
class RedisAddress:
    """One address of Redis, in the form that each kind of client needs."""

    url: str

    def client(self, **options: Any) -> redis.Redis:
        """Return a client for threads, with these options of redis-py."""
        if not self._has_sentinels:
            return redis.Redis.from_url(self.url, **options)
        sentinel = redis.Sentinel(self._hosts, sentinel_kwargs=self._sentinel_options(_ONCE))
        made: redis.Redis = sentinel.master_for(
            self._master_name,
            connection_class=_TlsConnection if self._tls else _Connection,
            **self._options,
            **options,
        )
        return made

    def async_client(self, **options: Any) -> redis.asyncio.Redis:
        """Return a client for an event loop, with these options of redis-py."""
        if not self._has_sentinels:
            made: redis.asyncio.Redis = redis.asyncio.Redis.from_url(self.url, **options)
            return made
        of_sentinels = self._sentinel_options(_ONCE_IN_A_LOOP)
        sentinel = redis.asyncio.Sentinel(self._hosts, sentinel_kwargs=of_sentinels)  # type: ignore[no-untyped-call]
        asked: redis.asyncio.Redis = sentinel.master_for(self._master_name, **self._options, **options)
        return asked

    @property
    def channel_host(self) -> dict[str, Any]:
        """Return the address in the form that channels_redis needs in `hosts`."""
        if not self._has_sentinels:
            return {"address": self.url, **KEEPALIVE}
        return {
            **KEEPALIVE,
            "sentinels": list(self._hosts),
            "master_name": self._master_name,
            "sentinel_kwargs": self._sentinel_options(_ONCE_IN_A_LOOP),
            **self._options,
        }

    @property
    def broker_url(self) -> str:
        """Return the address in the form that Celery needs in `broker_url`."""
        if not self._has_sentinels:
            return self.url
        user = quote(self._options.get("username", ""), safe="")
        password = quote(self._options.get("password", ""), safe="")
        login = f"{user}:{password}@" if password else ""
        return ";".join(
            f"{SENTINEL}://{login}{host}:{port}/{self._options['db']}" for host, port in self._hosts
        )

    @property
    def broker_options(self) -> dict[str, Any]:
        """Return Celery's transport options for this address."""
        if not self._has_sentinels:
            return KEEPALIVE
        return {
            **KEEPALIVE,
            "master_name": self._master_name,
            "sentinel_kwargs": self._sentinel_options(_ONCE),
        }

    @property
    def broker_ssl(self) -> dict[str, Any]:
        """Return the TLS options for Celery's `broker_use_ssl`; {} without TLS, or if Celery reads them itself."""
        return {name: value for name, value in self._tls.items() if name != "ssl"}

    @property
    def _has_sentinels(self) -> bool:
        return urlsplit(self.url).scheme in (SENTINEL, SENTINEL_BY_TLS)

    @property
    def _hosts(self) -> tuple[tuple[str, int], ...]:
        return hosts_of(urlsplit(self.url).netloc)

    @property
    def _query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.url).query))

    @property
    def _master_name(self) -> str:
        return self._query["master_name"]

    @property
    def _tls(self) -> dict[str, Any]:
        if urlsplit(self.url).scheme != SENTINEL_BY_TLS:
            return {}
        return {
            "ssl": True,
            **{name: value for name, value in self._query.items() if name.startswith("ssl_")},
        }

    def _sentinel_options(self, retry: Any) -> dict[str, Any]:
        password = self._query.get("sentinel_password")
        options = {
            "socket_timeout": SENTINEL_SECONDS,
            "socket_connect_timeout": SENTINEL_SECONDS,
            "retry": retry,
        }
        return {**options, **self._tls, **({"password": password} if password else {})}

    @property
    def _options(self) -> dict[str, Any]:
        """Return the options of connections to the primary: user, password, number of the database, TLS."""
        parts = urlsplit(self.url)
        login, has_login, _ = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        options: dict[str, Any] = {"db": int(parts.path.strip("/") or 0), **self._tls}
        if has_login and user:
            options["username"] = unquote(user)
        if has_login and password:
            options["password"] = unquote(password)
        return options
