"""Our application behind two proxies, with two sockets for each address, for `test_processes`."""

from django.conf import settings

from overlord.asgi import application
from realtime import rate_limits

settings.PROXIES = 2
rate_limits.SOCKETS_PER_ADDRESS = 2

__all__ = ["application"]
