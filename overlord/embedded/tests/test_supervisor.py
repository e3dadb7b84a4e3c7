import contextlib
import os
import pwd
import signal
import socket
import sys
from pathlib import Path

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
def folder(tmp_path):
    folder = Folder(tmp_path)
    folder.logs.mkdir()
    return folder


@pytest.fixture
def supervisor(folder):
    supervisor = Supervisor(folder, Options(services_only=True), ShutdownSignals())
    yield supervisor
    processes.stop(supervisor._children())


@pytest.mark.parametrize(("before", "stops"), [(signal.SIG_DFL, True), (signal.SIG_IGN, False)])
def test_a_closed_terminal_stops_it_unless_nohup_started_it(before, stops):
    signals, handlers = ShutdownSignals(), {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            handlers[number] = signal.getsignal(number)
        signal.signal(signal.SIGHUP, before)
        signals.listen()
        signal.raise_signal(signal.SIGHUP)

        assert signals.received() is stops
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


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
    monkeypatch.setattr(ports, "choose", lambda **_: ports.any_free())  # a port that no other test uses
    tried = []

    def program_on(port):
        tried.append(port)
        return Program(
            name="valkey", argv=(sys.executable, "-c", "exit(1)"), env={}, cwd=tmp_path, ready=lambda: False
        )

    with pytest.raises(ProcessFailedError):
        supervisor._run_on_a_port("valkey", program_on)

    assert len(tried) == 1


def first_open_port():
    """Return the first port that an ordinary user may have."""
    file = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    return int(file.read_text()) if file.exists() else 1024


@contextlib.contextmanager
def ordinary_user():
    """Let this process run as an ordinary user."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_an_ordinary_user_who_asks_for_a_port_of_root_is_told_so(folder):
    port = first_open_port() - 1
    if port < 1:
        pytest.skip("everybody may have every port here")
    supervisor = Supervisor(folder, Options(port=port), ShutdownSignals())

    with ordinary_user(), pytest.raises(ProcessFailedError, match=f"may not have port {port}: .* need root"):
        supervisor._port("shop")
