"""The server of WebSockets: Daphne, with rarer checks of its connections and cheaper new sockets.

It is the main program of the live process: `python -m realtime.gateway.server -b HOST -p PORT APPLICATION`. It runs
Daphne with OPTIONS; other options of Daphne may follow. No other module imports this one, because its import
installs Twisted's reactor.

Note [Rarer checks]: Daphne checks all its connections: each second for applications that have ended, and every two
seconds for connections that have timed out. With thousands of quiet sockets, this takes a tenth of the process's
CPU time (docs/performance.md). Here both checks happen every ten seconds. So a socket whose application failed is
closed within ten seconds, and a ping is at most ten seconds late.

Note [Options of sockets]: Autobahn, which Daphne uses, copies the options that CONFIG_ATTRS names from the factory
to each new socket. Then it formats their list for its log, even if nothing is logged (docs/performance.md). So here
the sockets' class has the options, and CONFIG_ATTRS is empty.
"""

import sys
from itertools import count
from typing import Any

import daphne.server
from daphne.cli import CommandLineInterface
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

OPTIONS = (
    "-v 0 --no-server-name"
    " --websocket-max-message-size 65536 --websocket-max-frame-size 65536"
    " --ping-interval 30 --ping-timeout 20 --application-close-timeout 2"
)
ENDED_EVERY = 10  # Daphne checks for ended applications each second: do only each tenth of these checks
TIMED_OUT_EVERY = 5  # Daphne checks for time-outs every two seconds: do only each fifth of these checks


def sockets_of(factory: WebSocketFactory) -> type[WebSocketProtocol]:
    """Return a class of sockets that has the factory's options. See Note [Options of sockets]."""
    options = {name: getattr(factory, name) for name in WebSocketProtocol.CONFIG_ATTRS}
    functions = {name: staticmethod(option) for name, option in options.items() if callable(option)}
    return type("Socket", (WebSocketProtocol,), {**options, **functions, "CONFIG_ATTRS": ()})


class LeanServer(daphne.server.Server):
    """Daphne's server. See both notes."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._ended_checks = count(1)
        self._timed_out_checks = count(1)

    def listen_success(self, port: Any) -> None:
        """Note the port. No socket has come yet, so all sockets get the class with the options."""
        self.ws_factory.protocol = sockets_of(self.ws_factory)
        super().listen_success(port)

    def application_checker(self) -> None:
        """Close the connections of applications that have ended, at each tenth call."""
        if next(self._ended_checks) % ENDED_EVERY == 0:
            super().application_checker()
        else:
            daphne.server.reactor.callLater(1, self.application_checker)

    def timeout_checker(self) -> None:
        """Ping connections and close those that have timed out, at each fifth call."""
        if next(self._timed_out_checks) % TIMED_OUT_EVERY == 0:
            super().timeout_checker()
        else:
            daphne.server.reactor.callLater(2, self.timeout_checker)


class CommandLine(CommandLineInterface):
    """Daphne's command line, with our server."""

    server_class = LeanServer


if __name__ == "__main__":
    CommandLine().run([*OPTIONS.split(), *sys.argv[1:]])
