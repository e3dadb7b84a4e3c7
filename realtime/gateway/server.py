"""The server of WebSockets: Daphne, which looks at its connections less often.

Runs as `python -m realtime.gateway.server -b HOST -p PORT APPLICATION`, with OPTIONS; other options of Daphne may
follow. The first import of Daphne installs Twisted's reactor, so no other module imports this one.

Note [Rarer looks]: each second Daphne looks at all its connections for applications that have ended, and every two
seconds for connections that have timed out. With thousands of quiet sockets, this is a tenth of the process's CPU
(docs/performance.md). Here both happen every ten seconds. So a socket whose application failed is closed within ten
seconds, and a ping is at most ten seconds late.
"""

import sys
from itertools import count
from typing import Any

import daphne.server
from daphne.cli import CommandLineInterface

OPTIONS = (
    "-v 0 --no-server-name"
    " --websocket-max-message-size 65536 --websocket-max-frame-size 65536"
    " --ping-interval 30 --ping-timeout 20 --application-close-timeout 2"
)
ENDED_EVERY = 10  # of Daphne's looks, which are a second apart
TIMED_OUT_EVERY = 5  # of its looks, which are two seconds apart


class RarelyLookingServer(daphne.server.Server):
    """Daphne's server. See Note [Rarer looks]."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._ended_looks = count(1)
        self._timed_out_looks = count(1)

    def application_checker(self) -> None:
        """Look for applications that have ended, each tenth time that Daphne asks."""
        if next(self._ended_looks) % ENDED_EVERY == 0:
            super().application_checker()
        else:
            daphne.server.reactor.callLater(1, self.application_checker)

    def timeout_checker(self) -> None:
        """Look for connections that have timed out, each fifth time that Daphne asks."""
        if next(self._timed_out_looks) % TIMED_OUT_EVERY == 0:
            super().timeout_checker()
        else:
            daphne.server.reactor.callLater(2, self.timeout_checker)


class CommandLine(CommandLineInterface):
    """Daphne's command line, which starts our server."""

    server_class = RarelyLookingServer


if __name__ == "__main__":
    CommandLine().run([*OPTIONS.split(), *sys.argv[1:]])
