"""The wish to stop: Ctrl-C, a closed terminal, or another program's SIGTERM."""

import signal


class Stopping:
    """Counts the wishes: after the first everything ends in order, after the second at once."""

    def __init__(self) -> None:
        self._wishes = 0

    def listen(self) -> None:
        """Will take the signals from now on."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._hear)

    def requested(self) -> bool:
        return self._wishes > 0

    def hurried(self) -> bool:
        return self._wishes > 1

    def _hear(self, _number: int, _frame: object) -> None:
        self._wishes += 1
