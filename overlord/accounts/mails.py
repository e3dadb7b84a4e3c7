"""Sending the mails of accounts. It runs in the mail worker.

Each is tried once: a person who waits for it can ask again.
"""

from django.core.mail import EmailMessage

from overlord.kernel import mail_attempts


def send(message: EmailMessage, *, what: str) -> bool:
    """Send a mail and return whether it was sent. The log says which was not, without its address."""
    with mail_attempts.attempt(what) as made:
        message.send()
    return made.error is None
