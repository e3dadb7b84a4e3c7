"""Sending the mails of accounts. It runs in the threads of the mail worker, which also ends holds and serves lines.

Each mail is tried once: a person who waits for it can ask again.

Note [A server that hangs]: each attempt at a mail server that does not answer takes a thread for EMAIL_TIMEOUT
seconds. While a crowd asks for codes, all threads would wait for it, and no hold would end. So after a time-out, no
mail of an account is tried for AWAY_SECONDS, and then one, to find out whether the server answers again.
"""

import logging
import time
from threading import Lock

from django.core.mail import EmailMessage

from overlord.kernel import mail_attempts

logger = logging.getLogger(__name__)

AWAY_SECONDS = 30.0  # longer than EMAIL_TIMEOUT


class MailServer:
    """What one process knows of the mail server. See Note [A server that hangs]."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._try_at: float | None = None  # when to try again, by time.monotonic(); None: it answers

    def may_be_asked(self) -> bool:
        """Return whether to try a mail. While the server hangs, only one caller in AWAY_SECONDS may."""
        now = time.monotonic()
        with self._lock:
            if self._try_at is None:
                return True
            if now < self._try_at:
                return False
            self._try_at = now + AWAY_SECONDS
            return True

    def note(self, *, hangs: bool) -> None:
        """Note whether the server hung at the latest attempt."""
        with self._lock:
            self._try_at = time.monotonic() + AWAY_SECONDS if hangs else None


server = MailServer()


def send(message: EmailMessage, *, what: str) -> bool:
    """Send a mail and return whether it was sent. The log says which was not, without its address."""
    if not server.may_be_asked():
        logger.warning("The %s was not tried: the mail server does not answer.", what)
        return False
    with mail_attempts.attempt(what) as made:
        message.send()
    server.note(hangs=made.error is not None and _is_timeout(made.error))
    return made.error is None


def _is_timeout(error: Exception) -> bool:
    """Return whether the server did not answer in time. smtplib hides the time-out behind an error of its own."""
    return isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)
