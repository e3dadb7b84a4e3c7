"""Serve our application without direct socket writes: each change goes through ASGI.

The difference from our own arm shows what direct writes save.
"""

from benchmarks.fanout.unconflated import application as application
from realtime.gateway import daphne_socket

daphne_socket.writer_for = lambda send: None  # type: ignore[assignment]
