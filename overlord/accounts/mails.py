"""Sending the mails of accounts. It runs in the mail worker.

Each is tried once: a person who waits for it can ask again.
"""

from django.core.mail import EmailMessage

from overlord.kernel import mail_errors


def send(message: EmailMessage, *, what: str) -> bool:
    """Send a mail and return whether it was sent. The log says which was not, without its address."""
    try:
        message.send()
    except OSError as error:  # smtplib's errors are OSErrors
        mail_errors.log_not_sent(what, error)
        return False
    except Exception as error:  # noqa: BLE001 - Celery would log it with an address that no mail can carry
        mail_errors.log_cannot_be_sent(what, error)
        return False
    return True
