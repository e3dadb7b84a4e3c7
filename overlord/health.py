"""`/livez` and `/readyz`: does this process answer, and can the whole system sell?"""

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from redis import RedisError

from overlord.kernel import queue_health
from overlord.kernel.queues import Queue

NEEDED_QUEUES = (Queue.LIVE, Queue.EXPIRY, Queue.PAYMENTS)  # without the others, tickets are still sold


def livez(_request: HttpRequest) -> JsonResponse:
    """Answer 200: this process answers."""
    return JsonResponse({"status": "ok"})


def readyz(_request: HttpRequest) -> JsonResponse:
    """Answer 200, or 503 and what is missing: `database`, `redis`, `worker` (with its silent queues)."""
    missing = [] if _database_answers() else ["database"]
    silent = _silent_queues()
    if silent is None:
        missing.append("redis")
    elif silent:
        missing.append("worker")
    facts = {"status": "unavailable" if missing else "ok", "missing": missing, "silent_queues": silent or []}
    return JsonResponse(facts, status=503 if missing else 200)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        connection.close()
        return False
    return True


def _silent_queues() -> list[Queue] | None:
    """Return the needed queues that nobody works on, or None when Redis does not answer."""
    try:
        return queue_health.silent_queues(NEEDED_QUEUES)
    except RedisError:
        return None
