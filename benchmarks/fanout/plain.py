"""Ours, with every change sent, and each by ASGI: what writing straight to the socket saves."""

from benchmarks.fanout.unconflated import application as application
from realtime.gateway import daphne_socket

daphne_socket.writer_for = lambda _send: None
