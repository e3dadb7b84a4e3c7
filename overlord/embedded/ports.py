"""Find out which ports of this machine are taken, and choose free ones.

What must stay true: the port of a server is outside of the range from which the kernel gives ports to outgoing
connections. Otherwise a connection of any program could take the port while the server restarts. And a client that
tries to reach the server could connect to itself. A port from the range is used only if the user asks for it, or
if the range has nearly all ports.
"""

import random
import socket
from itertools import chain
from pathlib import Path

HOST = "127.0.0.1"
FIRST_PORT = 20_000  # `any_free` searches from this port on
FIRST_OUTGOING_PORT = 32_768  # Linux's default; other systems begin later
OUTGOING_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")

_random = random.SystemRandom()  # two test processes with the same seed must not try the same ports
_given: set[int] = set()


def forbidden(port: int) -> bool:
    """Return whether this user may never use the port: below 1024, ordinary users may not."""
    with socket.socket() as server:
        try:
            server.bind((HOST, port))
        except OSError as error:
            return isinstance(error, PermissionError)
    return False


def taken(port: int) -> bool:
    """Return whether a server cannot use the port: another program has it, or it is forbidden."""
    with socket.socket() as server, socket.socket() as client:
        # Servers set the same option, so that they can start again at once.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((HOST, port))
        except OSError:
            return True
        # On some systems, the bind succeeds although a server listens on all addresses. So try to connect too. The
        # port stays bound meanwhile. Otherwise the kernel could give it to the client.
        client.settimeout(0.5)
        return client.connect_ex((HOST, port)) == 0


def choose(*, preferred: int, excluded: tuple[int, ...] = ()) -> int:
    """Return the preferred port if it is free and not excluded, else one of the next twenty, else any free port."""
    for port in range(preferred, min(preferred + 21, 65_536)):
        if port not in excluded and not taken(port):
            return port
    return any_free()


def any_free() -> int:
    """Return a port that no program uses; if possible, one that was not returned before in this process."""
    candidates = range(FIRST_PORT, first_outgoing())
    first = _random.randrange(max(1, len(candidates)))
    for port in chain(candidates[first:], candidates[:first]):
        if port not in _given and not taken(port):
            _given.add(port)
            return port
    return _any_outgoing()


def first_outgoing() -> int:
    """Return the first port that the kernel gives to outgoing connections."""
    try:
        return int(OUTGOING_RANGE.read_text().split()[0])
    except OSError:
        return FIRST_OUTGOING_PORT


def is_outgoing(port: int) -> bool:
    """Return whether the kernel may give the port to an outgoing connection."""
    return port >= first_outgoing()


def _any_outgoing() -> int:
    """Return a port that the kernel chooses, for machines whose outgoing connections may use nearly all ports."""
    with socket.socket() as server:
        server.bind((HOST, 0))
        port: int = server.getsockname()[1]
        return port
