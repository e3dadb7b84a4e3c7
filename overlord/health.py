"""The health checks of web processes. They run in the threads of these processes.

`/livez` says whether this process answers, `/readyz/self` whether it can sell, and `/readyz` whether the whole
system can. A load balancer asks for `/readyz/self`. If it asked for `/readyz`, it would remove all processes at
once whenever a part of the system, such as a worker, is missing.
"""

from django.db import DatabaseError, OperationalError, connection
from django.http import HttpRequest, JsonResponse
from redis import RedisError

from overlord.kernel import database_check, db, queue_health, redis_client
from overlord.kernel.methods import allow
from overlord.kernel.postgresql.standby import standby
from overlord.kernel.queues import Queue
from realtime import sockets

NEEDED_QUEUES = (Queue.LIVE, Queue.EXPIRY, Queue.PAYMENTS)  # tickets can be sold without the other queues


@allow("GET")
def livez(_request: HttpRequest) -> JsonResponse:
    """Answer 200, because this process answers."""
    return JsonResponse({"status": "ok"})


@allow("GET")
def readyz_self(_request: HttpRequest) -> JsonResponse:
    """Answer 200 if this process can do its work, else 503. For its work it needs only PostgreSQL."""
    return _answer([] if _database_answers(writes=False) else ["database"])


@allow("GET")
def readyz(_request: HttpRequest) -> JsonResponse:
    """Answer 200, or 503 with the names of what is missing.

    The names are `database` and `redis` (the server is away, or takes no writes); `database_setup`
    (overlord/kernel/database_check.py; the log has the details); `standby` (commits do not reach it); `worker` (no
    task of the queues in `silent_queues` began lately); and `sockets` (no live process can take another socket).
    """
    missing = [] if _database_answers(writes=True) else ["database"]
    missing += [] if missing or _standby_answers() else ["standby"]
    missing += ["database_setup"] if database_check.found() else []
    silent: list[Queue] = []
    try:
        redis_client.writes_require()
        silent = queue_health.silent_queues(NEEDED_QUEUES)
        missing += ["worker"] if silent else []
        missing += [] if sockets.have_room() else ["sockets"]
    except RedisError:
        missing.append("redis")
    return _answer(missing, silent_queues=silent)


def _answer(missing: list[str], **facts: list[Queue]) -> JsonResponse:
    body = {"status": "unavailable" if missing else "ok", "missing": missing, **facts}
    return JsonResponse(body, status=503 if missing else 200)


def _database_answers(*, writes: bool) -> bool:
    """Return whether PostgreSQL answers and, if `writes`, also takes writes. A standby takes none."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW transaction_read_only")
            return cursor.fetchone() == ("off",) or not writes
    except DatabaseError:
        connection.close()
        return False


def _standby_answers() -> bool:
    """Return whether commits reach the synchronous standby, as far as this process knows.

    After a commit that did not reach the standby, this function tries another commit, at most once a second.
    """
    try:
        standby.check(db.commits_await)
    except OperationalError:
        return False
    return True
