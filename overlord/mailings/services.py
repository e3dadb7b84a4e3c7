"""The use cases of messages to buyers.

`mailings_go_on` and `rows_prune` run in the upkeep worker, the others in web processes.

A mail is claimed in one transaction, then sent, then marked as sent in another transaction. If the worker dies
before the mail server has the mail, the claim expires, and the mail is sent again. If the worker dies later, but
before it marks the mail as sent, the mail is sent twice. Both copies have the same Message-ID, by which mail
programs can recognise them.
"""

from datetime import datetime
from smtplib import SMTPDataError, SMTPRecipientsRefused

from django.conf import settings
from django.core.mail import get_connection
from django.core.mail.backends.base import BaseEmailBackend

from overlord.accounts.models import User
from overlord.journal import operations as journal
from overlord.journal.actions import Action
from overlord.kernel import db, mail_attempts
from overlord.kernel.errors import Mismatch, NotFound
from overlord.kernel.pruning import prune
from overlord.mailings import mails, operations, rules, selectors
from overlord.mailings.models import Mailing, Recipient
from overlord.mailings.rules import Kind
from overlord.mailings.selectors import To
from overlord.shop.languages import spoken


def mailing_send(*, to: To, staff_id: int, subject: str, text: str, key: str) -> int:
    """Store a message with a mail to each recipient, and return the id of the message. A worker sends the mails.

    A second call with the same `key` stores nothing. Raise Invalid, and Mismatch if the first call with this key
    stored another message.
    """
    subject, text = rules.subject_read(subject), rules.text_read(text)
    with db.transaction():
        now = db.now()
        mailing, is_new = operations.mailing_open(
            to=to, staff_id=staff_id, subject=subject, text=text, key=key, is_trial=False, now=now
        )
        if is_new:
            count = operations.recipients_collect(mailing=mailing, to=to, now=now)
            journal.entry_add(
                actor_id=staff_id,
                action=Action.MESSAGE_SENT,
                event_id=to.event_id,
                now=now,
                message=mailing.pk,
                count=count,
            )
        elif not operations.is_same(mailing, to=to, subject=subject, text=text):
            raise Mismatch()
    return int(mailing.pk)


def trial_send(*, to: To, staff: User, subject: str, text: str, key: str) -> None:
    """Store a trial: a message with one mail, to its author, who wants to see what it looks like. Raise Invalid."""
    subject, text = rules.subject_read(subject), rules.text_read(text)
    with db.transaction():
        now = db.now()
        mailing, is_new = operations.mailing_open(
            to=to, staff_id=staff.pk, subject=subject, text=text, key=key, is_trial=True, now=now
        )
        if is_new:
            operations.trial_address(
                mailing=mailing,
                staff_id=staff.pk,
                address=staff.mail_address,
                language=staff.language,
                now=now,
            )


def failed_retry(*, staff_id: int, event_id: int, mailing_id: int) -> int:
    """Let a worker send the failed mails of a message again; return how many there are. Raise NotFound."""
    if selectors.mailing(event_id=event_id, mailing_id=mailing_id) is None:
        raise NotFound()
    with db.transaction():
        now = db.now()
        count = operations.failed_retry(mailing_id=mailing_id, now=now)
        if count:
            journal.entry_add(
                actor_id=staff_id,
                action=Action.MESSAGE_TRIED_AGAIN,
                event_id=event_id,
                now=now,
                message=mailing_id,
                count=count,
            )
        return count


def mailings_go_on() -> int:
    """Send the mails that are due, as many as the limit per minute allows now; return how many were sent.

    Only one process sends at a time, so that a mail server that hangs blocks only one thread.
    """
    with db.advisory_lock("mailings") as lock:
        if not lock.is_mine():
            return 0
        post = get_connection()
        count = 0
        try:
            while (pk := _claim()) is not None:
                count += _send(Recipient.objects.select_related("mailing__event").get(pk=pk), post)
        finally:
            post.close()
        with db.transaction():
            operations.mailings_finish(now=db.now())
        return count


def _claim() -> int | None:
    with db.transaction():
        return operations.recipient_claim(per_minute=settings.MAILINGS_PER_MINUTE, now=db.now())


def _send(recipient: Recipient, post: BaseEmailBackend) -> bool:
    """Send one claimed mail and return whether it was sent."""
    address_hash = selectors.address_hash(recipient.address)
    is_wanted = recipient.mailing.is_trial or recipient.mailing.kind != Kind.NEWS
    if not recipient.address or (not is_wanted and selectors.is_unsubscribed(address_hash=address_hash)):
        with db.transaction():
            operations.recipient_sent(recipient=recipient, sent_at=None)
        return False
    with mail_attempts.attempt(recipient) as made:
        with spoken(recipient.language):
            message = mails.message(recipient=recipient, address_hash=address_hash)
        post.open()  # does nothing if the connection is open
        post.send_messages([message])
    if isinstance(made.error, OSError):
        _not_sent(recipient, made.error)
        post.close()  # so that the next mail opens another connection
        return False
    with db.transaction():
        if made.error is None:
            operations.recipient_sent(recipient=recipient, sent_at=db.now())
        else:
            operations.recipient_failed(recipient=recipient, reason=str(made.error), now=db.now())
    return made.error is None


def _not_sent(recipient: Recipient, error: OSError) -> None:
    """Store why a mail was not sent, and try it later, unless the mail server has refused it permanently."""
    code, reason = mail_attempts.answer(error)
    # Other errors are not about this mail: for example a wrong password, or too many mails of this sender.
    is_of_mail = isinstance(error, SMTPRecipientsRefused | SMTPDataError)
    is_final = is_of_mail and code is not None and 500 <= code < 600
    with db.transaction():
        mark = operations.recipient_failed if is_final else operations.recipient_later
        mark(recipient=recipient, reason=reason, now=db.now())


def news_stop(*, address_hash: str) -> None:
    """Send no more news to the person with the address of this hash."""
    with db.transaction():
        operations.news_stop(address_hash=address_hash, now=db.now())


def news_resume(*, address_hash: str) -> None:
    """Send news again to the person with the address of this hash."""
    with db.transaction():
        operations.news_resume(address_hash=address_hash)


def rows_prune(*, before: datetime) -> dict[str, int]:
    """Delete the mails of messages that were finished before `before`, and old trials; return how many of each."""
    return {
        "mails of messages": prune(lambda: Recipient.objects.filter(mailing__finished_at__lt=before)),
        "trials of messages": prune(lambda: Mailing.objects.filter(is_trial=True, finished_at__lt=before)),
    }
