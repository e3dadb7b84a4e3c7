"""What the tests' Daphne serves: our application, whether or not a domain app shows events yet."""

from overlord.asgi import application
from realtime import streams

streams.register("event", access="public", project=lambda ids: {})

__all__ = ["application"]
