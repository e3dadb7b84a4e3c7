import random
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


def test_a_port_that_is_taken_is_not_forbidden(listener):
    assert not ports.forbidden(listener)


def test_the_preferred_port_is_chosen_when_it_is_free():
    port = ports.any_free()
    assert ports.choose(preferred=port) == port


def test_a_later_port_is_chosen_when_the_preferred_one_is_taken(listener):
    assert ports.choose(preferred=listener) > listener


def test_an_excluded_port_is_not_chosen():
    port = ports.any_free()
    assert ports.choose(preferred=port, excluded=(port,)) != port


@pytest.mark.skipif(not ports.OUTGOING_RANGE.exists(), reason="only Linux tells the range")
def test_a_free_port_is_none_that_an_outgoing_connection_can_take():
    first, last = map(int, ports.OUTGOING_RANGE.read_text().split())

    assert not first <= ports.any_free() <= last


def test_no_port_is_given_twice():
    given = [ports.any_free() for _ in range(200)]

    assert len(set(given)) == len(given)


def test_two_processes_with_the_same_seed_get_different_ports():
    random.seed(1)
    first = [ports.any_free() for _ in range(5)]
    random.seed(1)
    ports._given.clear()

    assert [ports.any_free() for _ in range(5)] != first


def test_a_machine_whose_outgoing_connections_may_have_all_ports_still_gets_one(tmp_path, monkeypatch):
    everything = tmp_path / "ip_local_port_range"
    everything.write_text("1024\t65535\n")
    monkeypatch.setattr(ports, "OUTGOING_RANGE", everything)

    assert ports.any_free() >= 1024
