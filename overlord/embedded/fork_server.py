"""The fork server: it has imported everything, and forks our Python processes, so that they share its memory.

The supervisor runs this module as a program (`python -m overlord.embedded.fork_server FD`). The program has one
thread, and opens no connection and no port. It answers one request after another on the socket FD: each line asks
for a process, and the answer is the pid of the new process.

Each process is forked twice. When the process in between ends, the supervisor becomes the parent of the new process
(`adopt_orphans`). So the supervisor can wait for the new process and signal it, like any other child. The new
process can run longer than the fork server.

The fork server is such a fork itself: the process that imports everything ends after its imports. A fork maps only
the parts of libraries that it uses, and imports need parts that nothing needs afterwards.
"""

import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import time
from typing import Any

from overlord.embedded.niceness import niceness_add

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
ADOPTION_SECONDS = 10.0
# The modules that the processes import. Twisted's reactor is left out, because it opens files. Our WSGI and ASGI
# modules are left out, because they start threads. The modules are listed as strings, because code of the
# supervisor must not import an app.
MODULES = (
    "overlord.celery",
    "overlord.urls",
    "overlord.shop.shared_answers",
    "overlord.shop.static_files",
    "overlord.kernel.request_body",
    "django.contrib.auth.backends",
    "django.contrib.messages.storage.fallback",
    "django.contrib.sessions.backends.db",
    "django.contrib.sessions.serializers",
    "django.core.cache.backends.locmem",
    "django.core.management",
    "celery.apps.beat",
    "celery.apps.worker",
    "billiard.dummy",
    "billiard.pool",
    "celery.app.amqp",
    "celery.app.control",
    "celery.app.events",
    "celery.app.log",
    "celery.app.routes",
    "celery.backends.base",
    "celery.bin.celery",
    "celery.concurrency.thread",
    "celery.contrib.django.task",
    "celery.events",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer.consumer",
    "celery.worker.consumer.delayed_delivery",
    "kombu.transport.redis",
    "granian.cli",
    "granian.server.mp",
    "granian.wsgi",
    "channels_redis.pubsub",
    "realtime.gateway.routing",
    "daphne.http_protocol",
)
# The templates of the pages of a sale.
TEMPLATES = ("tickets/home.html", "tickets/event.html", "checkout/checkout.html", "checkout/me.html")


def preload() -> None:
    """Import all that the processes need. Later the garbage collector of a fork does not write to this memory."""
    # A collection, even at the end, would leave gaps all over the memory that the forks share. A fork would fill
    # these gaps first, and copy a page for each.
    gc.disable()
    import django

    django.setup()
    for name in MODULES:
        importlib.import_module(name)
    _import_by_settings()
    _use_once()
    gc.freeze()
    gc.enable()


def _import_by_settings() -> None:
    """Import what the settings name: tasks, middleware, views, template tags. Compile the most used templates."""
    from django.core.handlers.wsgi import WSGIHandler
    from django.template.engine import Engine
    from django.template.loader import get_template
    from django.urls import get_resolver

    from overlord.celery import app

    app.loader.init_worker()
    app.finalize()
    WSGIHandler()
    get_resolver()._populate()
    _ = Engine.get_default().template_context_processors
    for name in TEMPLATES:
        get_template(name)


def _use_once() -> None:
    """Make the client of Redis here, so that no fork has to make its own. The client opens no connection yet."""
    importlib.import_module("overlord.kernel.redis_client").connection()


def serve(channel: socket.socket) -> dict[str, Any] | None:
    """Fork a process for each request. Return the request in the new process.

    In this process, return None when the supervisor has closed the socket.
    """
    with channel.makefile("r", encoding="utf-8") as requests:
        for line in requests:
            request: dict[str, Any] = json.loads(line)
            pid = fork()
            if pid is None:
                return request
            channel.sendall(f"{pid}\n".encode())
    return None


def fork() -> int | None:
    """Fork a process whose parent is the supervisor. Return its pid; in the new process, return None."""
    reader, writer = os.pipe()
    between = os.fork()
    if between == 0:
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            os.close(writer)
            return None
        os.write(writer, str(pid).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:
        pid = int(answer.read())
    os.waitpid(between, 0)
    return pid


def become(request: dict[str, Any]) -> None:
    """Give this process the parent, session, log, folder, niceness and environment that the request asks for."""
    os.setsid()
    end_with(request["parent"], request["stop_signal"])
    ctypes.CDLL(None).prctl(PR_SET_NAME, request["name"].encode(), 0, 0, 0)  # for `ps` and `top`
    niceness_add(os.getpid(), request["niceness"])
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.closerange(3, max(null, log) + 1)
    os.chdir(request["cwd"])
    os.environ.update(request["env"])


def run(argv: list[str]) -> None:
    """Run `-m MODULE ARGUMENT...` or `FILE ARGUMENT...`, as Python's command line does."""
    if argv[0] == "-m":
        sys.argv = argv[1:]
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = argv
        runpy.run_path(argv[0], run_name="__main__")


def end_with(parent: int, stop_signal: int) -> None:
    """Let the kernel signal this fork when the supervisor ends. If the supervisor has ended already, end now.

    First wait, at most ADOPTION_SECONDS, until the process in between has ended. Then the supervisor, whose pid is
    `parent`, is the parent of this fork.
    """
    until = time.monotonic() + ADOPTION_SECONDS
    while os.getppid() != parent and time.monotonic() < until:
        time.sleep(0.001)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, stop_signal, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def main(fd: int) -> None:
    """Import everything, tell the supervisor the pid of the fork that serves, and end.

    The fork serves until the supervisor closes the socket.
    """
    preload()
    supervisor = os.getppid()
    channel = socket.socket(fileno=fd)
    pid = fork()
    if pid is not None:
        channel.sendall(f"{pid}\n".encode())
        os._exit(0)
    end_with(supervisor, signal.SIGTERM)
    request = serve(channel)
    if request is not None:
        channel.close()
        become(request)
        run(request["argv"])


if __name__ == "__main__":
    main(int(sys.argv[1]))
