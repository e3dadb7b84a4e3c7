"""The steps of messages to buyers, inside an open transaction: store, claim a mail, mark it, erase addresses."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from overlord.kernel import db
from overlord.kernel.mail_attempts import LEASE
from overlord.mailings import rules, sql
from overlord.mailings.models import Mailing, Recipient, Unsubscription
from overlord.mailings.rules import Audience, Kind
from overlord.mailings.selectors import To

# A trial is a message to its author alone. It is due this much earlier than other mails, so that it is sent before
# all mails that wait.
TRIAL_FIRST = timedelta(days=1)
FORGOTTEN: dict[str, Any] = {"address": "", "reason": "", "next_look_at": None}


def mailing_open(
    *, to: To, staff_id: int, subject: str, text: str, key: str, is_trial: bool, now: datetime
) -> tuple[Mailing, bool]:
    """Return the message with this key, and whether it is new. If there is none, store one with these values."""
    db.transaction_required()
    return Mailing.objects.get_or_create(
        key=key,
        defaults={
            "event_id": to.event_id,
            "author_id": staff_id,
            "kind": to.kind,
            "audience": to.audience,
            "ticket_type_id": to.ticket_type,
            "with_holders": to.with_holders,
            "is_trial": is_trial,
            "subject": subject,
            "text": text,
            "created": now,
        },
    )


def is_same(mailing: Mailing, *, to: To, subject: str, text: str) -> bool:
    """Return whether a message has this subject, this text and this choice of recipients."""
    return (_to_of(mailing), mailing.subject, mailing.text) == (to, subject, text)


def _to_of(mailing: Mailing) -> To:
    return To(
        event_id=mailing.event_id,
        kind=Kind(mailing.kind),
        audience=Audience(mailing.audience),
        ticket_type=mailing.ticket_type_id,
        with_holders=mailing.with_holders,
    )


def recipients_collect(*, mailing: Mailing, to: To, now: datetime) -> int:
    """Add a mail to send for each recipient of a message; return how many there are."""
    db.transaction_required()
    db.rows(sql.COLLECT, {**to.params(), "mailing": mailing.pk, "now": now})
    count = Recipient.objects.filter(mailing=mailing).count()
    Mailing.objects.filter(pk=mailing.pk).update(addressed=count)
    return count


def trial_address(*, mailing: Mailing, staff_id: int, address: str, language: str, now: datetime) -> None:
    """Add the only mail of a trial, to its author. It is sent before all other waiting mails."""
    db.transaction_required()
    Recipient.objects.create(
        mailing=mailing,
        person_id=staff_id,
        address=address,
        language=language,
        next_look_at=now - TRIAL_FIRST,
    )
    Mailing.objects.filter(pk=mailing.pk).update(addressed=1)


def recipient_claim(*, per_minute: int, now: datetime) -> int | None:
    """Claim the next mail to send and return its id; None if none is due, or if the limit per minute is reached."""
    db.transaction_required()
    db.rows(sql.PACE_LOCK)
    [pace] = db.rows(sql.PACE, {"now": now, "tick": rules.TICK, "minute": rules.MINUTE})
    if not rules.has_room(per_minute=per_minute, **pace):
        return None
    claimed = db.rows(sql.CLAIM, {"now": now, "lease": LEASE})
    return int(claimed[0]["id"]) if claimed else None


def recipient_sent(*, recipient: Recipient, sent_at: datetime | None) -> None:
    """Mark a claimed mail as done.

    `sent_at` is None if it was not sent, because its address was erased or its reader has stopped news.
    """
    db.transaction_required()
    _claimed(recipient).update(sent_at=sent_at, next_look_at=None, reason="")


def recipient_later(*, recipient: Recipient, reason: str, now: datetime) -> None:
    """Let a worker try a claimed mail again later. After ATTEMPTS attempts, mark the mail as failed instead."""
    if recipient.attempts >= rules.ATTEMPTS:
        recipient_failed(recipient=recipient, reason=reason, now=now)
        return
    db.transaction_required()
    _claimed_and_not_erased(recipient).update(
        next_look_at=now + rules.try_again_after(recipient.attempts), reason=reason[: rules.REASON_LENGTH]
    )


def recipient_failed(*, recipient: Recipient, reason: str, now: datetime) -> None:
    """Mark a claimed mail as failed, and keep the reason."""
    db.transaction_required()
    _claimed_and_not_erased(recipient).update(
        next_look_at=None, failed_at=now, reason=reason[: rules.REASON_LENGTH]
    )


def _claimed(recipient: Recipient) -> QuerySet[Recipient]:
    """Select the row of a claimed mail, unless it was sent, or claimed again after the claim expired."""
    return Recipient.objects.filter(pk=recipient.pk, attempts=recipient.attempts, sent_at=None)


def _claimed_and_not_erased(recipient: Recipient) -> QuerySet[Recipient]:
    """Select the same row as `_claimed`, unless the address was erased: then the reason must not be stored.

    A reason of a mail server can contain the address.
    """
    return _claimed(recipient).exclude(address="")


def failed_retry(*, mailing_id: int, now: datetime) -> int:
    """Let a worker send the failed mails of a message again; return how many there are."""
    db.transaction_required()
    failed = Recipient.objects.filter(mailing_id=mailing_id, failed_at__isnull=False)
    count = failed.update(failed_at=None, reason="", attempts=0, next_look_at=now)
    if count:
        Mailing.objects.filter(pk=mailing_id).update(finished_at=None)
    return count


def mailings_finish(*, now: datetime) -> None:
    """Mark as finished the messages that have no mail left to send."""
    db.transaction_required()
    db.rows(sql.FINISH, {"now": now})


def news_stop(*, address_hash: str, now: datetime) -> None:
    """Record that the owner of the address with this hash wants no news."""
    db.transaction_required()
    Unsubscription.objects.get_or_create(pk=address_hash, defaults={"at": now})


def news_resume(*, address_hash: str) -> None:
    """Record that the owner of the address with this hash wants news again."""
    db.transaction_required()
    Unsubscription.objects.filter(pk=address_hash).delete()


def person_forget(*, user_id: int, others: Mapping[str, Sequence[int]]) -> None:
    """Erase the addresses of a person from all mails of messages, sent or not, as a part of the person's erasure.

    `others` maps each address of the person to the ids of other users who have the same address. The caller has
    locked these users. For them the address stays: if a message is also for one of them, a waiting mail to the
    address becomes the mail of this user.
    """
    db.transaction_required()
    for address, users in others.items():
        if users:
            _mails_reassign(user_id, address, users)
        else:
            Recipient.objects.filter(address__iexact=address).update(**FORGOTTEN)
    Recipient.objects.filter(person=user_id).update(**FORGOTTEN)


def _mails_reassign(user_id: int, address: str, users: Sequence[int]) -> None:
    """Find the waiting mails of a user to this address; give each to one of `users`, or to the holder of a ticket.

    Trials are left out. A mail without a next owner stays as it is.
    """
    waiting = Recipient.objects.filter(person=user_id, address__iexact=address, next_look_at__isnull=False)
    for recipient in waiting.exclude(mailing__is_trial=True).select_related("mailing"):
        to = {**_to_of(recipient.mailing).params(), "address": address, "users": [*users]}
        for owner in db.rows(sql.NEXT_OWNER, to):
            Recipient.objects.filter(pk=recipient.pk).update(**owner)
