"""Serve our application with every change sent by ASGI, to measure what writing straight to the socket saves."""

from benchmarks.fanout.unconflated import application as application
from realtime.gateway import daphne_socket

daphne_socket.writer_for = lambda send: None  # type: ignore[assignment]
