"""The mails of accounts while the mail server hangs. The server is a socket that accepts and says nothing."""

import socket
import time
from collections.abc import Iterator
from threading import Thread

import pytest
from django.core.mail import EmailMessage, get_connection

from overlord.accounts import mails


class SilentServer:
    """A mail server that takes connections and never answers."""

    def __init__(self) -> None:
        self._clients: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._last = socket.socket()
        self._last.bind(("127.0.0.1", 0))
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        """Take connections in their order, until the last one."""
        while True:
            client, address = self._listener.accept()
            self._clients.append(client)
            if address == self._last.getsockname():
                return

    def stop(self) -> int:
        """Stop, and return how many connections there were."""
        if self._thread.is_alive():
            self._last.connect(("127.0.0.1", self.port))
            self._thread.join()
        for each in (*self._clients, self._listener, self._last):
            each.close()
        return len(self._clients) - 1


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[SilentServer]:
    monkeypatch.setattr(mails, "server", mails.MailServer())
    server = SilentServer()
    yield server
    server.stop()


def send(server: SilentServer) -> bool:
    smtp = get_connection(
        "django.core.mail.backends.smtp.EmailBackend", host="127.0.0.1", port=server.port, timeout=0.1
    )
    return mails.send(EmailMessage("Code", "1", to=["a@zebra.example"], connection=smtp), what="code")


def test_while_the_mail_server_hangs_only_one_mail_asks_it(silent: SilentServer) -> None:
    assert [send(silent) for _ in range(4)] == [False] * 4
    assert silent.stop() == 1


def test_control_a_process_that_forgets_asks_each_time(
    silent: SilentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mails, "AWAY_SECONDS", 0.0)
    assert [send(silent) for _ in range(4)] == [False] * 4
    assert silent.stop() == 4


def test_later_one_mail_finds_out_whether_the_server_answers(
    silent: SilentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(silent)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + mails.AWAY_SECONDS)

    assert mails.server.may_be_asked()
    assert not mails.server.may_be_asked(), "the others wait until that one knows"
    mails.server.note(hangs=False)
    assert mails.server.may_be_asked()
    assert mails.server.may_be_asked()
