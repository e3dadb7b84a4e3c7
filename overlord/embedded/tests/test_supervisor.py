import socket
import sys

import pytest

from overlord.embedded import ports, processes
from overlord.embedded.processes import ProcessFailedError, Program
from overlord.embedded.state import Folder
from overlord.embedded.supervisor import Options, ShutdownSignals, Supervisor

pytestmark = [
    pytest.mark.processes,
    pytest.mark.xdist_group("up"),  # it takes the preferred ports of `bin/up`: one runs at a time
]


@pytest.fixture
def supervisor(tmp_path):
    folder = Folder(tmp_path)
    folder.logs.mkdir()
    supervisor = Supervisor(folder, Options(services_only=True), ShutdownSignals())
    yield supervisor
    processes.stop(supervisor._children())


def listener(folder, port):
    """Return a program that listens on the port and then writes a file."""
    listen = f"import socket, time; server = socket.create_server(('{ports.HOST}', {port}))"
    code = f"{listen}; open('{port}', 'w'); time.sleep(60)"
    return Program(
        name="valkey",
        argv=(sys.executable, "-c", code),
        env={},
        cwd=folder,
        port=port,
        ready=(folder / str(port)).exists,
    )


def test_a_server_whose_port_is_taken_before_it_starts_gets_another(supervisor, tmp_path):
    rivals = []

    def program_on(port):
        if not rivals:
            rivals.append(socket.create_server((ports.HOST, port)))
        return listener(tmp_path, port)

    port = supervisor._run_on_a_port("valkey", program_on)

    [rival] = rivals
    assert port != rival.getsockname()[1]
    assert ports.taken(port)
    rival.close()


def test_a_server_that_fails_for_another_reason_is_not_tried_again(supervisor, tmp_path, monkeypatch):
    monkeypatch.setattr(ports, "choose", lambda **_: ports.any_free())  # one that no other test wants
    tried = []

    def program_on(port):
        tried.append(port)
        return Program(
            name="valkey", argv=(sys.executable, "-c", "exit(1)"), env={}, cwd=tmp_path, ready=lambda: False
        )

    with pytest.raises(ProcessFailedError):
        supervisor._run_on_a_port("valkey", program_on)

    assert len(tried) == 1
