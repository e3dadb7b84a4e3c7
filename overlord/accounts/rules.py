"""The decisions about the rights of staff: who may give, change or take them. Plain Python, without a database."""

from dataclasses import dataclass
from datetime import timedelta

from overlord.kernel.errors import Conflict, Forbidden, Gone, Invalid

MANAGE_STAFF = "accounts.manage_staff"
INVITATION_LIFETIME = timedelta(days=7)


class RightsBeyondYours(Forbidden):
    code = "rights_beyond_yours"
    sentence = "This action needs permissions that you do not have. Ask somebody who has them."


class NotYourself(Conflict):
    code = "not_yourself"
    sentence = "You cannot change your own access. Ask another organiser."


class NoRole(Conflict):
    code = "no_role"
    sentence = "Choose at least one role. To remove all roles, end the person's access instead."


class PersonOutdated(Conflict):
    code = "person_outdated"
    sentence = (
        "Nothing was changed, because somebody else has changed this person's access in the"
        " meantime. Check the page again."
    )


class AlreadyStaff(Conflict):
    code = "already_staff"
    sentence = "This person already has access. Change the person's roles in the list."


class AlreadyInvited(Conflict):
    code = "already_invited"
    sentence = "This person is already invited. Send the invitation again, or withdraw it first."


class InvitationEnded(Gone):
    code = "invitation_ended"
    sentence = "This invitation no longer works. It was used, withdrawn or sent again, or it has expired."


class InvitationOfAnother(Conflict):
    code = "invitation_of_another"
    sentence = (
        "This invitation is for another account. Log in to the account with the e-mail address to"
        " which the invitation was sent."
    )


class SecondFactorRequired(Forbidden):
    code = "second_factor_required"
    sentence = (
        "This request needs your second factor. Log in again, and send a code from your"
        " authenticator app or a backup code as `code`."
    )


class WrongCode(Invalid):
    code = "wrong_code"
    sentence = "This code is wrong or was already used. Wait for the next code."


class FactorOutdated(Conflict):
    code = "factor_outdated"
    sentence = (
        "Nothing was changed, because your second factor has changed since you opened the page."
        " Check the page, then try again."
    )


@dataclass(frozen=True, kw_only=True)
class Rights:
    """The permissions of a user. A superuser has all."""

    permissions: frozenset[str]
    is_superuser: bool = False

    def cover(self, others: "Rights") -> bool:
        """Return whether these rights include all the others."""
        return self.is_superuser or (not others.is_superuser and others.permissions <= self.permissions)


def check_change(*, actor_id: int, rights: Rights, user_id: int, theirs: Rights) -> None:
    """Raise NotYourself for the actor's own rights, and RightsBeyondYours if the actor lacks a right of the person.

    `rights` are those of the actor, and `theirs` those of the person `user_id`. Only staff with the right to manage
    staff can take this right from others, and nobody can take it from themselves. So there is always somebody who
    can manage staff.
    """
    if actor_id == user_id:
        raise NotYourself()
    if not rights.cover(theirs):
        raise RightsBeyondYours()
