import socket

import pytest

from overlord.embedded import ports


@pytest.fixture
def listener():
    with socket.socket() as server:
        server.bind((ports.HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_someone_listens_on_is_taken(listener):
    assert ports.taken(listener)


def test_a_port_taken_on_all_addresses_is_taken():
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))  # noqa: S104 - to be found taken
        server.listen()
        assert ports.taken(server.getsockname()[1])


def test_a_free_port_is_chosen_as_preferred():
    port = ports.any_free()
    assert ports.choose(preferred=port) == port


def test_a_taken_port_gives_way_to_a_later_one(listener):
    assert ports.choose(preferred=listener) > listener


def test_a_port_promised_to_another_server_is_not_chosen():
    port = ports.any_free()
    assert ports.choose(preferred=port, but_not=(port,)) != port
