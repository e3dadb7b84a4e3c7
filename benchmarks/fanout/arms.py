"""Describe the arms: how each server is started, where its clients connect, and how a change reaches it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overlord.embedded import ports
from overlord.embedded.processes import Program
from overlord.embedded.servers import Valkey

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NODE_FOLDER = ROOT / ".overlord" / "fanout"
CHANNEL = "bench"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A way to send one message to many sockets. `publish(version, data)` gives it one change."""

    name: str
    port: int
    path: str
    program: Program
    publish: Callable[[int, dict[str, Any]], None]


def all_arms(valkey: Valkey) -> list[Arm]:
    """Return every arm that this machine can run; without Node, its arms are left out."""
    found = [
        _ours("ours", "overlord.asgi:application"),
        _ours("ours, conflation off", "benchmarks.fanout.unconflated:application"),
        _stock(),
    ]
    if _node_ready():
        found += [
            _node("ws", "/", valkey),
            _node("socketio", "/socket.io/?EIO=4&transport=websocket", valkey),
        ]
    return found


def bare(valkey: Valkey) -> Arm:
    """Return the arm that sends and does nothing else. It shows what a message costs the kernel."""
    port = ports.any_free()
    given = (str(port), str(valkey.port), valkey.password, CHANNEL)
    argv = (sys.executable, "-m", "benchmarks.fanout.bare", *given)
    program = Program(name="bare", argv=argv, env=dict(os.environ), cwd=ROOT, ready=lambda: _open(port))
    return Arm(name="bare", port=port, path="/", program=program, publish=_send_node)


def _daphne(name: str, application: str, port: int) -> Program:
    argv = (sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "-v", "0", application)
    return Program(
        name=name.replace(" ", "-"), argv=argv, env=dict(os.environ), cwd=ROOT, ready=lambda: _open(port)
    )


def _open(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ours(name: str, application: str) -> Arm:
    port = ports.any_free()
    return Arm(
        name=name,
        port=port,
        path="/ws/events/1/",
        program=_daphne(name, application, port),
        publish=_send_ours,
    )


def _send_ours(version: int, data: dict[str, Any]) -> None:
    from overlord.kernel.rendering import dumps
    from realtime import store
    from realtime.store import Frame
    from realtime.worker import flush

    store.flushed_note()  # as each flush does; otherwise the hub sends heartbeats which say that states are old
    text = dumps(data).decode()
    flush.send([Frame(stream="event.1", version=version, data=text, fingerprint=str(version))])


def _stock() -> Arm:
    port = ports.any_free()
    program = _daphne("stock", "benchmarks.fanout.stock:application", port)
    return Arm(
        name="stock consumer per socket",
        port=port,
        path="/ws/events/1/",
        program=program,
        publish=_send_stock,
    )


def _send_stock(version: int, data: dict[str, Any]) -> None:
    from realtime import publish

    message = {"type": "frame", "content": _frame(version, data)}
    publish.messages_send(messages=[("stock.1", message)], seconds=5)


def _node(name: str, path: str, valkey: Valkey) -> Arm:
    port = ports.any_free()
    argv: tuple[str, ...] = (str(shutil.which("node")), str(HERE / "node" / f"{name}.js"))
    argv += (str(port), str(valkey.port), valkey.password, CHANNEL)
    env = {**os.environ, "NODE_PATH": str(NODE_FOLDER / "node_modules")}
    program = Program(name=name, argv=argv, env=env, cwd=ROOT, ready=lambda: _open(port))
    return Arm(name=name, port=port, path=path, program=program, publish=_send_node)


def _send_node(version: int, data: dict[str, Any]) -> None:
    from overlord.kernel import redis_client

    redis_client.connection().publish(CHANNEL, json.dumps(_frame(version, data), separators=(",", ":")))


def _frame(version: int, data: dict[str, Any]) -> dict[str, Any]:
    head = {
        "type": "update",
        "stream": "event.1",
        "version": version,
        "server_time": "2026-01-01T00:00:00.000000Z",
    }
    return {**head, "data": data}


def _node_ready() -> bool:
    """Return whether Node can run its arms. Install their packages into an ignored folder if they are missing."""
    if not shutil.which("node") or not shutil.which("npm"):
        return False
    NODE_FOLDER.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", ".npmrc"):
        shutil.copy(HERE / "node" / name, NODE_FOLDER / name)
    if not (NODE_FOLDER / "node_modules" / "ws").exists():
        subprocess.run(["npm", "install", "--silent"], cwd=NODE_FOLDER, check=False)  # noqa: S607
    return (NODE_FOLDER / "node_modules" / "ws").exists()
