"""Use cases of the second factor: set it up, show it, make backup codes, and reset it when a device was lost."""

from datetime import datetime

from django.core.mail import EmailMessage
from django.core.signing import BadSignature, TimestampSigner
from django.db.models import F
from django.template.loader import render_to_string

from overlord.accounts import limits, mails, one_time_codes, operations, token_cache
from overlord.accounts.models import ApiToken, BackupCode, SecondFactor, User
from overlord.accounts.rules import FactorOutdated, WrongCode
from overlord.journal import operations as journal
from overlord.journal.actions import Action
from overlord.kernel import db
from overlord.kernel.errors import NotFound
from overlord.kernel.queues import Queue, enqueue
from overlord.shop import look
from overlord.shop.languages import spoken

SECONDS_TO_SET_UP = 3600


def offer_make(*, user_id: int) -> str:
    """Return a signed seed that a form carries until its owner has shown a code of it."""
    return _signer().sign(f"{user_id}.{one_time_codes.seed_make()}")


def offer_read(offer: str, *, user_id: int) -> str:
    """Return the seed of an offer; raise FactorOutdated for another's, a changed or an old one."""
    try:
        owner, _, seed = _signer().unsign(offer, max_age=SECONDS_TO_SET_UP).partition(".")
    except BadSignature:
        raise FactorOutdated() from None
    if owner != str(user_id):
        raise FactorOutdated()
    return seed


def _signer() -> TimestampSigner:
    return TimestampSigner(salt="overlord.accounts.second_factor")


def factor_set(
    *, user_id: int, offer: str, code: str, replaces: SecondFactor | None, now: datetime
) -> tuple[SecondFactor, list[str]]:
    """Set up a second factor in place of `replaces`; return it with new backup codes, which are shown once.

    Tokens that have shown the earlier one have to show this one. Raise WrongCode, FactorOutdated, and TooMany.
    """
    seed = offer_read(offer, user_id=user_id)
    limits.count_code(user_id=user_id)
    step = one_time_codes.step_of(one_time_codes.plain(code), seed, seconds=now.timestamp(), after=0)
    if step is None:
        raise WrongCode()
    factor = SecondFactor(user_id=user_id, seed=seed, last_step=step, made_at=now)
    with db.constraint_errors({"accounts_secondfactor_pkey": FactorOutdated()}), db.transaction():
        former = SecondFactor.objects.filter(pk=user_id).select_for_update().first()
        if (former and former.made_at) != (replaces and replaces.made_at):
            raise FactorOutdated()
        factor.save(force_insert=former is None)
        codes = _codes_renew(user_id)
        ApiToken.objects.filter(user=user_id).update(second_factor=False)
        journal.entry_add(actor_id=user_id, action=Action.SECOND_FACTOR_SET, now=now, person_id=user_id)
    token_cache.drop_user(user_id)
    enqueue("accounts.second_factor_notice_send", queue=Queue.MAIL, user_id=user_id)
    return factor, codes


def factor_show(*, user_id: int, code: str, now: datetime) -> SecondFactor:
    """Check a code of a user's app or a backup code, each of which works once; return the factor.

    Raise WrongCode, also for a user without a second factor, and TooMany.
    """
    limits.count_code(user_id=user_id)
    given = one_time_codes.plain(code)
    with db.transaction():
        factor = SecondFactor.objects.filter(pk=user_id).select_for_update().first()
        if factor is None:
            raise WrongCode()
        if one_time_codes.is_code_of_app(given):
            step = one_time_codes.step_of(given, factor.seed, seconds=now.timestamp(), after=factor.last_step)
            if step is None:
                raise WrongCode()
            factor.last_step = step
            factor.save(update_fields=["last_step"])
        else:
            used = BackupCode.objects.filter(user=user_id, code_hash=one_time_codes.backup_code_hash(given))
            if not used.delete()[0]:
                raise WrongCode()
    return factor


def backup_codes_make(*, user_id: int, factor: SecondFactor, now: datetime) -> list[str]:
    """Return new backup codes for the factor that their owner saw; the earlier ones end. Raise FactorOutdated."""
    with db.transaction():
        present = SecondFactor.objects.filter(pk=user_id).select_for_update().first()
        if present is None or present.made_at != factor.made_at:
            raise FactorOutdated()
        journal.entry_add(actor_id=user_id, action=Action.BACKUP_CODES_MADE, now=now, person_id=user_id)
        return _codes_renew(user_id)


def _codes_renew(user_id: int) -> list[str]:
    codes = [one_time_codes.backup_code_make() for _ in range(one_time_codes.BACKUP_CODES)]
    BackupCode.objects.filter(user=user_id).delete()
    BackupCode.objects.bulk_create(
        BackupCode(user_id=user_id, code_hash=one_time_codes.backup_code_hash(each)) for each in codes
    )
    return codes


def factor_reset(*, actor_id: int, user_id: int, before: str) -> None:
    """Remove the second factor of a person who lost the device, and log them out everywhere.

    They set up another one at the next log-in. Raise the errors of `staff_person_lock`.
    """
    with db.transaction():
        operations.staff_person_lock(actor_id=actor_id, user_id=user_id, before=before)
        _take(actor_id, user_id)
    token_cache.drop_user(user_id)


def factor_reset_by_command(*, user_id: int) -> None:
    """Do the same from the server's command line, where nobody is logged in; raise NotFound."""
    with db.transaction():
        if not User.objects.filter(pk=user_id).exists():
            raise NotFound()
        _take(None, user_id)
    token_cache.drop_user(user_id)


def _take(actor_id: int | None, user_id: int) -> None:
    journal.entry_add(actor_id=actor_id, action=Action.SECOND_FACTOR_RESET, now=db.now(), person_id=user_id)
    operations.second_factor_delete(user_id=user_id)
    User.objects.filter(pk=user_id).update(login_epoch=F("login_epoch") + 1)


def notice_send(*, user_id: int, base_url: str) -> None:
    """Tell a user by mail that a second factor was set up for their account."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None or not user.email:
        return
    with spoken(user.language):
        subject = render_to_string("accounts/second_factor_subject.txt")
        body = render_to_string("accounts/second_factor_mail.txt", {"user": user, "base_url": base_url})
    message = EmailMessage(subject=subject, body=body, to=[user.email], **look.envelope())
    mails.send(message, what=f"notice of the second factor of user {user_id}")
