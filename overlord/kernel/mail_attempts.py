"""Attempts to send a mail: how long an attempt may take, and why it failed.

Logs must contain no e-mail address, but the texts of mail errors often contain one. So the log has only the name
and the number of an error, and where it was raised.
"""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from smtplib import SMTPRecipientsRefused, SMTPResponseException

from django.db import Error as DatabaseError

LEASE = timedelta(minutes=2)  # longer than one attempt may take

logger = logging.getLogger(__name__)


@dataclass
class Attempt:
    """An attempt to send a mail. `error` says why it failed; None if it did not fail.

    After an OSError, the mail server perhaps takes the mail later. After any other error, no mail server can take
    it.
    """

    error: Exception | None = None


@contextmanager
def attempt(mail: object) -> Iterator[Attempt]:
    """Let the block send a mail: log an error of the block, and keep it in the attempt.

    `mail` names the mail in the log. Only errors of PostgreSQL are raised to the caller: then the mail is due again
    when its lease ends.
    """
    made = Attempt()
    try:
        yield made
    except OSError as error:  # smtplib's errors are OSErrors
        _log_not_sent(mail, error)
        made.error = error
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001 - one mail that cannot be sent must not hold up the others
        _log_cannot_be_sent(mail, error)
        made.error = error


def _log_not_sent(mail: object, error: OSError) -> None:
    """Log that the mail server did not take a mail."""
    code = answer(error)[0]
    number = error.errno if code is None else code
    name = type(error).__name__
    logger.warning("The %s was not sent: %s", mail, name if number is None else f"{name} {number}")


def _log_cannot_be_sent(mail: object, error: Exception) -> None:
    """Log that no mail server can take a mail, and where the error was raised."""
    trace = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    logger.error("The %s cannot be sent: %s\n%s", mail, type(error).__name__, trace)


def answer(error: OSError) -> tuple[int | None, str]:
    """Return the mail server's answer: its code (None if it gave none), and its text, which no log may contain."""
    code: int
    words: bytes | str
    if isinstance(error, SMTPRecipientsRefused) and error.recipients:
        code, words = next(iter(error.recipients.values()))
    elif isinstance(error, SMTPResponseException):
        code, words = error.smtp_code, error.smtp_error
    else:
        return None, str(error)
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
    return code, f"{code} {text}"
