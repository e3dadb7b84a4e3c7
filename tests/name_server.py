"""A DNS server for tests. Like Docker's own it answers with the address of every replica."""

import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from overlord.embedded.ports import HOST

A = 1  # the type of a record with an IPv4 address
ANSWER, NO_SUCH_NAME = 0x8180, 0x8183
RECORD = bytes.fromhex(
    "c00c 0001 0001 00000001 0004"
)  # the name of the question, A, IN, one second, four bytes


@contextmanager
def name_server(addresses: Mapping[str, list[str]], *, port: int = 0) -> Iterator[int]:
    """Serve the addresses that the names have at the time of each question, and yield the port; 0: a free one."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            question, server = self.request
            server.sendto(answer(question, addresses), self.client_address)

    class Server(socketserver.ThreadingUDPServer):
        daemon_threads = True

    with Server((HOST, port), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def answer(question: bytes, addresses: Mapping[str, list[str]]) -> bytes:
    """Return the answer to one question about one name."""
    labels: list[str] = []
    at = 12
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode())
        at += 1 + length
    known: Any = addresses.get(".".join(labels))
    record_type = int.from_bytes(question[at + 1 : at + 3], "big")
    found = known if known and record_type == A else []
    counts = (1, len(found), 0, 0)
    flags = NO_SUCH_NAME if known is None else ANSWER
    header = question[:2] + b"".join(number.to_bytes(2, "big") for number in (flags, *counts))
    return header + question[12 : at + 5] + b"".join(RECORD + socket.inet_aton(each) for each in found)
