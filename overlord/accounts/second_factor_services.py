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
from overlord.kernel.queues import enqueue
from overlord.shop import look
from overlord.shop.languages import spoken

SECONDS_TO_SET_UP = 3600


def offer_make(*, user_id: int) -> str:
    """Return a signed seed for a new factor: an offer. The form contains the offer until a code has proven it."""
    return _signer().sign(f"{user_id}.{one_time_codes.seed_make()}")


def offer_read(offer: str, *, user_id: int) -> str:
    """Return the seed of an offer; raise FactorOutdated if it was changed, is too old, or is for another user."""
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
    """Set up a second factor; return it with its backup codes, which are shown only now.

    `replaces` is the earlier factor that the user saw, if any. The user's tokens lose the second factor: clients
    must log in again with a code of the new one. Raise WrongCode and TooMany. Raise FactorOutdated for an offer
    that is not valid, or if the user's factor is no longer `replaces`.
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
    enqueue("accounts.second_factor_notice_send", user_id=user_id)
    return factor, codes


def factor_show(*, user_id: int, code: str, now: datetime) -> SecondFactor:
    """Use up a code of a user's app, or a backup code, and return the factor. Each code works once.

    Raise TooMany and WrongCode; WrongCode also for a user without a second factor.
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
    """Return new backup codes for a factor; its earlier codes end. Raise FactorOutdated if it was replaced."""
    with db.transaction():
        current = SecondFactor.objects.filter(pk=user_id).select_for_update().first()
        if current is None or current.made_at != factor.made_at:
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
    """Remove the second factor of a person who lost the device, and log this person out everywhere.

    At the next log-in the person sets up another one. Raise the errors of `staff_person_lock`.
    """
    with db.transaction():
        operations.staff_person_lock(actor_id=actor_id, user_id=user_id, before=before)
        _factor_remove(actor_id, user_id)
    token_cache.drop_user(user_id)


def factor_reset_by_command(*, user_id: int) -> None:
    """Do the same as `factor_reset`, from the server's command line, where nobody is logged in; raise NotFound."""
    with db.transaction():
        if not User.objects.filter(pk=user_id).exists():
            raise NotFound()
        _factor_remove(None, user_id)
    token_cache.drop_user(user_id)


def _factor_remove(actor_id: int | None, user_id: int) -> None:
    journal.entry_add(actor_id=actor_id, action=Action.SECOND_FACTOR_RESET, now=db.now(), person_id=user_id)
    operations.second_factor_delete(user_id=user_id)
    User.objects.filter(pk=user_id).update(login_epoch=F("login_epoch") + 1)


def notice_send(*, user_id: int, base_url: str) -> None:
    """Mail a user that a second factor was set up for the account, if the account is active and has an address."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None or not user.email:
        return
    with spoken(user.language):
        subject = render_to_string("accounts/second_factor_subject.txt")
        body = render_to_string("accounts/second_factor_mail.txt", {"user": user, "base_url": base_url})
    message = EmailMessage(subject=subject, body=body, to=[user.email], **look.envelope())
    mails.send(message, what=f"notice of the second factor of user {user_id}")
