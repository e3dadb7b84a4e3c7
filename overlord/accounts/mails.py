"""Send the mails of accounts: codes, invitations, links to a new password.

It runs in the threads of the upkeep worker, which also ends holds and serves lines. Each mail is tried once: a
person who waits for a mail can ask for it again.

Note [A server that hangs]: if a mail server does not answer, each attempt takes a thread for EMAIL_TIMEOUT seconds.
While many people ask for codes, all threads would wait for the server, and no hold would end. So after a time-out,
no mail of an account is tried for AWAY_SECONDS. Then one mail is tried, to find out whether the server answers
again.
"""

import logging
import time
from threading import Lock

from django.core.mail import EmailMessage

from overlord.kernel import mail_attempts

logger = logging.getLogger(__name__)

AWAY_SECONDS = 30.0  # longer than EMAIL_TIMEOUT


class MailServer:
    """What one process knows about the mail server: whether it answers. See Note [A server that hangs]."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._try_at: float | None = None  # when to try again, by time.monotonic(); None: the server answers

    def may_be_asked(self) -> bool:
        """Return whether to try a mail. While the server hangs, return True once in AWAY_SECONDS."""
        now = time.monotonic()
        with self._lock:
            if self._try_at is None:
                return True
            if now < self._try_at:
                return False
            self._try_at = now + AWAY_SECONDS
            return True

    def note(self, *, hangs: bool) -> None:
        """Record whether the server hung at the latest attempt."""
        with self._lock:
            self._try_at = time.monotonic() + AWAY_SECONDS if hangs else None


server = MailServer()


def send(message: EmailMessage, *, what: str) -> bool:
    """Send a mail and return whether it was sent.

    `what` describes the mail for the log. It must not contain the address.
    """
    if not server.may_be_asked():
        logger.warning("The %s was not tried: the mail server does not answer.", what)
        return False
    with mail_attempts.attempt(what) as made:
        message.send()
    server.note(hangs=made.error is not None and _is_timeout(made.error))
    return made.error is None


def _is_timeout(error: Exception) -> bool:
    """Return whether the server did not answer in time. smtplib may raise an error of its own for a time-out."""
    return isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)
