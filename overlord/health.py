"""Two questions an operator's machines ask: is this process alive, and can the whole system sell."""

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from redis import RedisError

from overlord.kernel import redis_client
from overlord.kernel.queues import Queue

QUEUES = (Queue.LIVE, Queue.EXPIRY, Queue.PAYMENTS)


def livez(_request: HttpRequest) -> JsonResponse:
    """Will answer 200 while this process answers at all."""
    return JsonResponse({"status": "ok"})


def readyz(_request: HttpRequest) -> JsonResponse:
    """Will answer 200, or 503 naming what is missing: `database`, `redis`, `worker` (with its queues)."""
    missing = [name for name, check in (("database", _database), ("redis", _redis)) if not check()]
    queues = [] if "redis" in missing else _silent_queues()
    if queues:
        missing.append("worker")
    facts = {"status": "unavailable" if missing else "ok", "missing": missing, "silent_queues": queues}
    return JsonResponse(facts, status=503 if missing else 200)


def _database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        connection.close()
        return False
    return True


def _redis() -> bool:
    try:
        return bool(redis_client.connection().ping())
    except RedisError:
        return False


def _silent_queues() -> list[str]:
    """The queues on which no task has run lately, each of which beat feeds every few seconds."""
    try:
        seen = redis_client.connection().mget([f"worked:{queue}" for queue in QUEUES])
    except RedisError:
        return list(QUEUES)
    return [queue for queue, at in zip(QUEUES, seen, strict=True) if at is None]
