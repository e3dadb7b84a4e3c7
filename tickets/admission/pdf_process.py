"""The process that draws PDFs (`pdf_drawing`), for the threads of a web process or of the upkeep worker.

It starts when a PDF is needed, and ends when none was needed for a while. So the library for PDFs is in memory only
while tickets are sold. It also ends when its parent ends, because that closes the channel.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Lock, Thread

from django.conf import settings

from tickets.admission.printed import DRAWN, Printed

PROGRAM = "tickets.admission.pdf_drawing"
IDLE_SECONDS = 20.0  # after this time without a PDF the process ends
ANSWER_SECONDS = 30.0  # the longest wait for a PDF: the machine may be busy, and the process has to start
ATTEMPTS = 2  # the second attempt replaces a process that has ended meanwhile


class NotDrawnError(OSError):
    """The process has ended or hangs. It may work the next time."""


@dataclass
class Running:
    """The process and the channel to it."""

    process: "subprocess.Popen[bytes]"
    channel: "Connection[bytes, bytes]"

    def end(self) -> None:
        """Kill the process, which keeps no data."""
        self.channel.close()
        self.process.kill()
        self.process.wait()


class PdfProcess:
    """A process that draws PDFs for all threads of this process, one PDF at a time."""

    def __init__(self) -> None:
        self._turn = Lock()
        self._running: Running | None = None
        self._used_at = 0.0

    def draw(self, printed: Printed) -> bytes:
        """Return the PDF; raise NotDrawnError, or RuntimeError if this content cannot be drawn."""
        with self._turn:
            for _ in range(ATTEMPTS):
                answer = self._answer(json.dumps(printed).encode())
                if answer is not None:
                    break
            else:
                raise NotDrawnError("The process that draws PDFs ended.")
            self._used_at = time.monotonic()
        if not answer.startswith(DRAWN):
            raise RuntimeError(answer[1:].decode())
        return answer[1:]

    def end(self) -> None:
        """End the process, if it runs."""
        with self._turn:
            self._end()

    def _answer(self, asked: bytes) -> bytes | None:
        """Return the answer of the process, or None if it has ended; raise NotDrawnError if it hangs."""
        running = self._running or self._start()
        try:
            running.channel.send_bytes(asked)
            if running.channel.poll(ANSWER_SECONDS):
                return running.channel.recv_bytes()
        except (EOFError, ConnectionError):
            self._end()
            return None
        self._end()
        raise NotDrawnError(f"The process that draws PDFs did not answer within {ANSWER_SECONDS:.0f} s.")

    def _start(self) -> Running:
        ours, theirs = Pipe()
        with theirs:
            fd = theirs.fileno()
            argv = (sys.executable, "-m", PROGRAM, str(fd))
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, cwd=settings.BASE_DIR, pass_fds=[fd])
        self._running, self._used_at = Running(process=process, channel=ours), time.monotonic()
        Thread(target=self._end_when_idle, args=[self._running], name="pdf-process", daemon=True).start()
        return self._running

    def _end_when_idle(self, running: Running) -> None:
        while True:
            with self._turn:
                if self._running is not running:
                    return
                left = self._used_at + IDLE_SECONDS - time.monotonic()
                if left <= 0:
                    self._end()
                    return
            time.sleep(left)

    def _end(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.end()


_process = PdfProcess()
draw = _process.draw
end = _process.end
