"""Make races: threads that start at the same moment."""

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection, connections


def together(*actions: Callable[[], Any], seconds: float = 120) -> list[Any]:
    """Run the actions at once, each in a thread with its own connection; return their results or errors.

    The result of an action that takes longer than `seconds` is None.
    """
    barrier = threading.Barrier(len(actions))
    results: list[Any] = [None] * len(actions)

    def run(nth: int, action: Callable[[], Any]) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=60)
            results[nth] = action()
        except Exception as error:  # noqa: BLE001  (the error is the result)
            results[nth] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=seconds)
    return results
