import socket

import pytest

from overlord.embedded import ports


@pytest.fixture
def listener():
    with socket.socket() as server:
        server.bind((ports.HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_with_a_listener_is_taken(listener):
    assert ports.taken(listener)


def test_a_port_with_a_listener_on_all_addresses_is_taken():
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))  # noqa: S104
        server.listen()
        assert ports.taken(server.getsockname()[1])


def test_the_preferred_port_is_chosen_when_it_is_free():
    port = ports.any_free()
    assert ports.choose(preferred=port) == port


def test_a_later_port_is_chosen_when_the_preferred_one_is_taken(listener):
    assert ports.choose(preferred=listener) > listener


def test_an_excluded_port_is_not_chosen():
    port = ports.any_free()
    assert ports.choose(preferred=port, excluded=(port,)) != port
