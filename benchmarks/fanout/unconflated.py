"""Serve our application with every change sent, so that the cost of one message can be compared."""

from dataclasses import replace

from overlord.asgi import application as application
from realtime import streams

streams._definitions["event"] = replace(streams._definitions["event"], interval=0.0)
