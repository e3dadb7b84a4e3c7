import socket
import sys

import pytest

from overlord.embedded import ports, supervised
from overlord.embedded.processes import ProcessFailedError, Program
from overlord.embedded.program import http_status
from overlord.embedded.supervised import SupervisedProcess
from overlord.embedded.tests.waiting import until

pytestmark = pytest.mark.processes


@pytest.fixture
def said():
    return []


@pytest.fixture
def server(tmp_path, said, monkeypatch):
    """Return a server that is supervised, with quick restarts."""
    monkeypatch.setattr(supervised, "FIRST_RESTART_DELAY", 0.0)
    monkeypatch.setattr(supervised, "TAKEN_PORT_DELAY", 0.0)
    port = ports.any_free()
    program = Program(
        name="server",
        argv=(sys.executable, "-m", "http.server", "--bind", ports.HOST, str(port)),
        env={},
        cwd=tmp_path,
        port=port,
        ready=lambda: http_status(port, "/") == 200,
    )
    supervisor = SupervisedProcess(program, tmp_path / "logs", say=said.append)
    supervisor.child.wait_ready()
    yield supervisor
    supervisor.child.kill()


def test_a_server_whose_port_was_taken_waits_until_it_is_free(server, said):
    port = server.child.program.port
    server.child.kill()

    with socket.create_server((ports.HOST, port)):
        for _ in range(supervised.MAX_FAILED_STARTS + 2):
            server.check()
        assert not server.child.running
    server.check()

    server.child.wait_ready()
    assert said.count(f"server waits: another program uses its port {port}.") == 1


def test_a_server_whose_port_stays_taken_is_given_up(server, monkeypatch):
    monkeypatch.setattr(supervised, "MAX_TAKEN_PORT_SECONDS", 0.0)
    port = server.child.program.port
    server.child.kill()

    with (
        socket.create_server((ports.HOST, port)),
        pytest.raises(ProcessFailedError, match=f"another program keeps its port {port}"),
    ):
        until(lambda: server.check())
