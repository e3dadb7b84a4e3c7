"""Print the options of a new socket of our server, and of one of Daphne's own class.

Runs as `python -m realtime.tests.options`, as an import of Daphne's server gives a process a reactor.
"""

import json
from typing import Any

from daphne.ws_protocol import WebSocketProtocol
from twisted.internet.testing import StringTransport

from realtime.gateway import server


def options(factory: Any) -> dict[str, Any]:
    """Connect a socket; return its options, and the names of those that only this socket has."""
    socket = factory.buildProtocol(None)
    socket.makeConnection(StringTransport())
    names = WebSocketProtocol.CONFIG_ATTRS
    return {
        "options": {name: repr(getattr(socket, name)) for name in names},
        "own": [name for name in names if name in vars(socket)],
    }


def look() -> None:
    """Print the options, then stop the server."""
    ours = options(made.ws_factory)
    made.ws_factory.protocol = WebSocketProtocol
    print(json.dumps({"ours": ours, "daphne": options(made.ws_factory)}))  # noqa: T201
    made.stop()


if __name__ == "__main__":
    from twisted.internet import reactor

    made = server.LeanServer(
        application=None,
        endpoints=["tcp:0:interface=127.0.0.1"],
        ping_timeout=7,
        websocket_max_frame_size=1234,
        verbosity=0,
        ready_callable=lambda: reactor.callWhenRunning(look),
    )
    made.run()
