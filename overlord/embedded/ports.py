"""Ports on this machine: which are taken, and which to take."""

import socket

HOST = "127.0.0.1"


def taken(port: int) -> bool:
    """Will say whether somebody has the port already."""
    with socket.socket() as client:
        client.settimeout(0.5)
        if client.connect_ex((HOST, port)) == 0:
            return True
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do, just after a restart
        try:
            server.bind((HOST, port))
        except OSError:
            return True
    return False


def choose(*, preferred: int, but_not: tuple[int, ...] = ()) -> int:
    """Will give the preferred port if it is free, else one of the next twenty, else any that is free."""
    for port in range(preferred, min(preferred + 21, 65_536)):
        if port not in but_not and not taken(port):
            return port
    return any_free()


def any_free() -> int:
    """Will give a port that nothing uses."""
    with socket.socket() as server:
        server.bind((HOST, 0))
        port: int = server.getsockname()[1]
        return port
