"""PDFs are drawn by a process of their own. It runs while PDFs are wanted, and may be killed at any time."""

import os
import signal
from contextlib import suppress

import psutil
import pytest

from tests.system import eventually
from tickets.admission import pdf_process
from tickets.admission.pdf_process import NotDrawnError
from tickets.admission.printed import Printed
from tickets.admission.tests.vectors import VECTORS

LINES = [("Fête", 24.0)]
TICKET: Printed = {
    "creator": "A shop",
    "author": "Its owner",
    "pages": [{"title": "Fête", "code": VECTORS[0]["code"], "above": LINES, "below": LINES}],
}


def drawing() -> list[int]:
    """Return the pids of the child processes that draw."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # the one of another test may have ended just now
            found += [child.pid] if pdf_process.PROGRAM in child.cmdline() else []
    return found


def test_one_process_draws_and_is_replaced_when_it_was_killed() -> None:
    assert pdf_process.draw(TICKET).startswith(b"%PDF-")
    [first] = drawing()
    with pytest.raises(RuntimeError, match="KeyError: 'code'"):
        pdf_process.draw({**TICKET, "pages": [{"title": "", "above": [], "below": []}]})  # type: ignore[typeddict-item]
    assert pdf_process.draw(TICKET).startswith(b"%PDF-")
    assert drawing() == [first]

    os.kill(first, signal.SIGKILL)

    assert pdf_process.draw(TICKET).startswith(b"%PDF-")
    assert first not in drawing()


def test_a_process_that_hangs_is_ended_and_the_mail_is_tried_later(monkeypatch: pytest.MonkeyPatch) -> None:
    pdf_process.draw(TICKET)
    [hanging] = drawing()
    os.kill(hanging, signal.SIGSTOP)
    monkeypatch.setattr(pdf_process, "ANSWER_SECONDS", 0.0)

    with pytest.raises(OSError, match="did not answer") as raised:  # as when the mail server does not answer
        pdf_process.draw(TICKET)

    assert isinstance(raised.value, NotDrawnError)
    assert drawing() == []


def test_the_process_ends_when_no_pdf_was_wanted_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    pdf_process.end()
    monkeypatch.setattr(pdf_process, "IDLE_SECONDS", 0.0)

    pdf_process.draw(TICKET)

    eventually(lambda: not drawing())
