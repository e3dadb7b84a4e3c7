"""Ours, with every change sent, and each by ASGI: what the line to the socket saves."""

from benchmarks.fanout.unconflated import application as application
from realtime.gateway import daphne_socket

daphne_socket.line_to = lambda _send: None
