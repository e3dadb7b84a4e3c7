"""Show that a process does not hang: it touches a file every second while it works.

An environment variable names the file; each process appends its pid to this name. The supervisor
(overlord/embedded/watchdog.py) and the health checks of docker-compose.yml read the age of these files. To touch a
file costs very little, and needs neither Redis nor another process. The files do not show whether the tasks of each
queue are run: `/readyz` shows this (overlord/kernel/queue_health.py).

- A worker touches the file by the timer of its main loop, which stops while the worker has no connection to Redis
  (overlord/worker_liveness.py).
- Beat touches the file whenever it checks its schedule.
- The live process touches the file by a timer of its event loop.
- In a web process, a separate thread touches the file. It does not do so while a request has been open for more
  than a minute and no request has ended in this time.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

FILE_VARIABLE = "OVERLORD_LIVENESS_FILE"
TOUCH_SECONDS = 1.0
STUCK_SECONDS = 60  # a request has only a few database statements, of at most 15 s each


def touch() -> None:
    """Touch the file of this process, if its environment names one."""
    if file := os.environ.get(FILE_VARIABLE):
        with contextlib.suppress(OSError):  # a full disk does not mean that the process hangs
            Path(f"{file}.{os.getpid()}").touch()


def touch_by_reactor() -> None:
    """Let Twisted's event loop touch the file every second. Call this in the live process."""
    if FILE_VARIABLE in os.environ:
        from twisted.internet.task import LoopingCall  # only after Daphne has chosen a reactor

        LoopingCall(touch).start(TOUCH_SECONDS)


class WebLiveness:
    """A WSGI application that passes requests to another one, and touches the file unless the process hangs.

    The process hangs if a request has been open for more than STUCK_SECONDS and no request has ended in this time.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._open: dict[int, float] = {}  # the monotonic time at which each thread's request began
        self._last_end = 0.0
        if FILE_VARIABLE in os.environ:
            threading.Thread(target=self._touch_repeatedly, name="liveness", daemon=True).start()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        thread = threading.get_ident()
        self._open[thread] = time.monotonic()
        try:
            return self._application(environ, start_response)
        finally:
            del self._open[thread]
            self._last_end = time.monotonic()

    def stuck(self, *, now: float) -> bool:
        """Return whether the process hangs at the monotonic time `now`."""
        begun = list(self._open.values())
        return bool(begun) and now - max(self._last_end, min(begun)) > STUCK_SECONDS

    def _touch_repeatedly(self) -> None:
        while True:
            if not self.stuck(now=time.monotonic()):
                touch()
            time.sleep(TOUCH_SECONDS)
