"""Find out which ports of this machine are taken, and choose free ones."""

import socket

HOST = "127.0.0.1"


def taken(port: int) -> bool:
    """Return whether another program uses the port."""
    with socket.socket() as client:
        client.settimeout(0.5)
        if client.connect_ex((HOST, port)) == 0:
            return True
    with socket.socket() as server:
        server.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # servers do the same, to start again at once
        try:
            server.bind((HOST, port))
        except OSError:
            return True
    return False


def choose(*, preferred: int, excluded: tuple[int, ...] = ()) -> int:
    """Return the preferred port if it is free, else one of the next twenty, else any free port."""
    for port in range(preferred, min(preferred + 21, 65_536)):
        if port not in excluded and not taken(port):
            return port
    return any_free()


def any_free() -> int:
    """Return a port that no program uses."""
    with socket.socket() as server:
        server.bind((HOST, 0))
        port: int = server.getsockname()[1]
        return port
