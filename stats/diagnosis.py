"""Say in sentences what is wrong with a deployed system, for `manage.py doctor`.

The checks connect to the servers as our other processes do, and change no data of the shop. The sentence about a
fault also says what to do.
"""

import platform
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.db import DatabaseError, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from redis import RedisError

from overlord.findings import CLOCK_SECONDS, FREE_BYTES, FULL, Finding
from overlord.kernel import database_check, db, queue_health, redis_client
from overlord.kernel.queues import Queue
from stats import selectors, sql, system

OLDEST_POSTGRESQL = 150_000  # 15.0, the oldest version that was tried, as server_version_num writes it
LATE_SECONDS = 30.0
QUEUE_SECONDS = 10.0
LAG_SECONDS = 10.0
CERTIFICATE_DAYS = 14
CERTIFICATE_TIMEOUT = 5.0
INVARIANT_SECONDS = 60
WORKERS = {Queue.PAYMENTS: "payments", Queue.LIVE: "broadcasts"}  # the upkeep worker takes the other queues
# Facts that must always be true, each with the statement that finds the rows for which it is not.
INVARIANTS = {
    "the counters of each ticket type agree with its reservations": sql.COUNTERS_WRONG,
    "each order that is being paid for has its payment": sql.PAYING_WRONG,
    "each paid seat has its ticket": sql.TICKETS_WRONG,
}
PRIMARY = """
SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version,
       pg_is_in_recovery() AS is_standby, current_setting('transaction_read_only')::bool AS is_read_only,
       current_setting('synchronous_standby_names') AS awaited,
       current_setting('max_connections')::int AS most, clock_timestamp() AS clock,
       pg_size_pretty(pg_database_size(current_database())) AS size
"""
STANDBYS = """
SELECT application_name AS name, state, sync_state, COALESCE(extract(epoch FROM replay_lag), 0)::float AS lag
  FROM pg_stat_replication ORDER BY application_name
"""


def findings(*, now: datetime) -> Iterator[Finding]:
    """Yield the result of each check, the most basic one first."""
    yield Finding(True, f"Python {platform.python_version()}, Django {django.get_version()}")
    yield from _disk()
    yield from _certificates(now=now)
    try:
        yield from _of_database(now=now)
    except DatabaseError as error:
        yield _no_connection(str(error).strip())
    try:
        yield from _of_redis()
    except RedisError as error:
        text = f"Redis (Valkey) does not answer at the address in REDIS_URL ({error})"
        yield Finding(False, f"{text}: start it. Tickets are sold; payments, mails and live pages wait")


# This machine ----------------------------------------------------------------------------------------------
def _disk() -> Iterator[Finding]:
    pictures = Path(settings.MEDIA_ROOT)
    try:
        folder = next(each for each in (pictures, *pictures.parents) if each.exists())
        free = shutil.disk_usage(folder).free
    except OSError as error:  # for example because an NFS server does not answer
        yield Finding(False, f"the folder of the pictures does not answer ({error}): look at what serves it")
        return
    text = f"{free // 1_000_000:,} MB are free in the folder of the pictures ({folder})"
    yield Finding(free >= FREE_BYTES, text if free >= FREE_BYTES else f"{text}: make room")


def _certificates(*, now: datetime) -> Iterator[Finding]:
    for origin in settings.CSRF_TRUSTED_ORIGINS:
        parts = urlsplit(origin)
        if parts.scheme == "https" and parts.hostname:
            yield _certificate(parts.hostname, parts.port or 443, now=now)


def _certificate(host: str, port: int, *, now: datetime) -> Finding:
    try:
        with (
            socket.create_connection((host, port), timeout=CERTIFICATE_TIMEOUT) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as trusted,
        ):
            ends = ssl.cert_time_to_seconds(str((trusted.getpeercert() or {})["notAfter"]))
    except ssl.SSLCertVerificationError as error:
        text = f"browsers refuse the certificate of {host}: {error.verify_message}"
        return Finding(
            False, f"{text}. Look at the log of the server that ends TLS there (Caddy, or your load balancer)"
        )
    except OSError as error:
        text = f"{host}:{port} is not reached from here ({error}), so its certificate was not looked at"
        return Finding(True, f"{text}: open https://{host} from outside")
    days = (datetime.fromtimestamp(ends, tz=UTC) - now).days
    text = f"the certificate of {host} ends in {days} days"
    good = days >= CERTIFICATE_DAYS
    return Finding(good, text if good else f"{text}: find out why the server that ends TLS does not renew it")


# PostgreSQL ------------------------------------------------------------------------------------------------
def _no_connection(error: str) -> Finding:
    if "FATAL:" in error:
        text = f"PostgreSQL refuses the connection ({error}): remove the cause that it names"
        return Finding(
            False, f"{text}. If it has too many clients, run fewer processes. Nothing can be sold meanwhile"
        )
    text = f"PostgreSQL does not answer at the address in DATABASE_URL ({error})"
    return Finding(False, f"{text}: start it, or correct the address. Nothing can be sold meanwhile")


def _of_database(*, now: datetime) -> Iterator[Finding]:
    before = time.time()
    [row] = db.rows(PRIMARY)
    yield _version("PostgreSQL", row["version"], good=row["number"] >= OLDEST_POSTGRESQL)
    yield _clock("PostgreSQL", row["clock"].timestamp(), before)
    if row["is_standby"]:
        yield Finding(False, "DATABASE_URL leads to a standby: let it lead to the primary")
        return
    if row["is_read_only"]:
        text = "PostgreSQL takes no writes (default_transaction_read_only), so nothing is sold"
        yield Finding(False, f"{text}: find out who set this. Some providers do so when the disk is full")
    yield from _replication(row["awaited"])
    faults = database_check.faults()
    yield from (Finding(False, sentence) for sentence in faults)
    if not faults:
        yield Finding(True, "PostgreSQL's time-outs, warnings, locks and notifications work")
    yield _migrations()
    figures = selectors.sale_figures(now=now)
    used, most = figures["connections"], row["most"]
    text = f"{used} of {most} connections of PostgreSQL are used; the database takes {row['size']}"
    full = used >= most * FULL
    yield Finding(not full, f"{text}: run fewer processes, or put a pooler in front of it" if full else text)
    yield from _late(figures)
    yield from _invariants(figures)


def _replication(awaited: str) -> Iterator[Finding]:
    standbys = db.rows(STANDBYS)
    if not standbys:
        if awaited:
            text = "no standby follows the primary, and commits wait for one: nothing is sold"
            yield Finding(False, f"{text}. Start a standby, or ask the cluster manager (patronictl list)")
        else:
            yield Finding(True, "no standby follows: all data is on one machine, and in your backups")
        return
    if any(each["state"] is None for each in standbys):
        text = f"{len(standbys)} servers follow the primary; how far they are is not shown to this role"
        yield Finding(True, f"{text} (GRANT pg_read_all_stats shows it)")
    else:
        for each in standbys:
            text = (
                f"standby {each['name']}: {each['state']}, {each['sync_state']}, {each['lag']:.1f} s behind"
            )
            good = each["state"] == "streaming" and each["lag"] <= LAG_SECONDS
            yield Finding(good, text if good else f"{text}. Look at its log and at the network to it")
        followed = {each["sync_state"] for each in standbys if each["state"] == "streaming"}
        if awaited and not followed & {"sync", "quorum"}:
            yield Finding(False, "commits wait for a standby that does not follow: nothing is sold. Start it")
    if awaited:
        yield _standby_answers()


def _standby_answers() -> Finding:
    try:
        db.commits_await()
    except OperationalError:
        return Finding(
            False, "a commit did not reach its standby in time: look at the standby and its network"
        )
    return Finding(True, "a commit reaches its standby")


def _migrations() -> Finding:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        return Finding(True, "all migrations of this version are applied")
    return Finding(
        False, f"{len(plan)} migrations are not applied, {plan[0][0]} first: run manage.py migrate"
    )


def _late(figures: dict[str, Any]) -> Iterator[Finding]:
    for text, seconds, cure in (
        (
            "the expired hold that waits longest for a sweep",
            figures["hold_late_seconds"],
            "upkeep worker and beat",
        ),
        ("the payment that waits longest for a worker", figures["payment_late_seconds"], "payments worker"),
    ):
        said = f"{text} is {float(seconds):.0f} s late"
        good = float(seconds) <= LATE_SECONDS
        yield Finding(good, said if good else f"{said}: start the {cure}, and look at their logs")
    doubtful, incidents = figures["in_doubt"], sum(figures["incidents"].values())
    text = f"{doubtful} payments have no outcome after ten seconds"
    yield Finding(not doubtful, f"{text}: look at the gateway's status page" if doubtful else text)
    text = f"{incidents} incidents are open"
    yield Finding(not incidents, f"{text}: Incidents in the admin asks for a decision" if incidents else text)


def _invariants(figures: dict[str, Any]) -> Iterator[Finding]:
    oversold = figures["oversold_types"]
    text = f"{oversold} ticket types are oversold"
    yield Finding(
        not oversold, f"{text}: pause their sale, keep the database, report it" if oversold else text
    )
    for sentence, statement in INVARIANTS.items():
        try:
            with db.transaction(awaited=False):
                db.rows(f"SET LOCAL statement_timeout = '{INVARIANT_SECONDS}s'")
                found = db.rows(statement)
        except OperationalError:
            text = f"the check took longer than {INVARIANT_SECONDS} s and was given up: {sentence}"
            yield Finding(True, text)
            continue
        text = f"not true: {sentence}: {found[:3]}"
        yield Finding(not found, f"{text}. Keep the database as it is, and report it" if found else sentence)


# Redis -----------------------------------------------------------------------------------------------------
def _of_redis() -> Iterator[Finding]:
    client = redis_client.connection()
    before = time.time()
    seconds, micros = client.time()
    info: dict[str, Any] = client.info()
    name = "Valkey" if "valkey_version" in info else "Redis"
    yield _version(name, str(info.get("valkey_version") or info["redis_version"]), good=True)
    yield _clock(name, seconds + micros / 1e6, before)
    yield from _memory(name, redis_client.broker().info("memory"))
    try:
        redis_client.writes_require()
    except RedisError as error:
        text = (
            f"{name} takes no writes ({error}): make room in its memory and on its disk, or ask the primary"
        )
        yield Finding(False, f"{text}. Tickets are sold; payments, mails and live pages wait")
        return
    yield from _queues()
    viewers = system.state()["viewers"]
    if viewers is None:
        yield Finding(
            False, "no live process reports its sockets: start live; pages ask for news by HTTP meanwhile"
        )
    else:
        yield Finding(True, f"{viewers} sockets are open")


def _memory(name: str, info: dict[str, Any]) -> Iterator[Finding]:
    most = int(info.get("maxmemory") or 0)
    if most and info.get("maxmemory_policy") != "noeviction":
        text = f"{name} drops messages when it is full (maxmemory-policy {info['maxmemory_policy']})"
        yield Finding(False, f"{text}: set maxmemory-policy to noeviction")
    if most and int(info["used_memory"]) >= most * FULL:
        yield Finding(
            False, f"{name} uses nine tenths of its maxmemory: raise it, and look at the queues below"
        )


def _queues() -> Iterator[Finding]:
    silent, waits, waiting = (
        queue_health.silent_queues(tuple(Queue)),
        queue_health.waits(),
        system.state()["queued"],
    )
    for queue in Queue:
        worker = WORKERS.get(queue, "upkeep")
        text = f"queue {queue}: {waiting.get(queue, 0)} messages wait"
        seconds = waits[queue]
        if queue in silent:
            cure = f"start the worker {worker}; if all queues say so, start beat"
            yield Finding(False, f"{text}, and nobody has worked on it for ten seconds: {cure}")
        elif seconds is not None and seconds > QUEUE_SECONDS:
            yield Finding(
                False, f"{text}, the last one for {seconds:.0f} s: start more of the worker {worker}"
            )
        else:
            yield Finding(True, f"{text}, the last one waited {seconds or 0:.1f} s")


def _version(name: str, version: str, *, good: bool) -> Finding:
    text = f"{name} {version}"
    return Finding(good, text if good else f"{text} is older than any that was tried: use 15 or later")


def _clock(name: str, theirs: float, before: float) -> Finding:
    off = theirs - (before + time.time()) / 2
    if abs(off) <= CLOCK_SECONDS:
        return Finding(True, f"this clock and that of {name} agree")
    return Finding(
        False, f"this clock and that of {name} differ by {abs(off):.0f} s: set both by one time server"
    )
