"""The use cases of staff: invite people to work here, change their roles, and end their access."""

from collections.abc import Collection
from datetime import datetime

from django.core.mail import EmailMessage
from django.db.models import F
from django.template.loader import render_to_string

from overlord.accounts import limits, links, mails, operations, rules, selectors, services, token_cache
from overlord.accounts.models import StaffInvitation, User
from overlord.journal import operations as journal
from overlord.journal.actions import Action
from overlord.kernel import db
from overlord.kernel.errors import NotFound
from overlord.kernel.queues import enqueue
from overlord.shop import look
from overlord.shop.languages import spoken


# People --------------------------------------------------------------------------------------------------
def roles_change(
    *, actor_id: int, user_id: int, role_ids: Collection[int], before: str, now: datetime
) -> None:
    """Give a person these roles, and take all other roles away.

    `before` is the `access_version` that the actor saw. Raise NoRole, the errors of `staff_person_lock`, NotFound
    for a role that does not exist, and RightsBeyondYours for one that the actor may not give.
    """
    if not role_ids:
        raise rules.NoRole()
    with db.transaction():
        person = operations.staff_person_lock(actor_id=actor_id, user_id=user_id, before=before)
        _check_roles(actor_id, role_ids)
        person.groups.set(role_ids)
        journal.entry_add(
            actor_id=actor_id,
            action=Action.STAFF_ROLES_CHANGED,
            now=now,
            person_id=user_id,
            roles=list(person.groups.order_by("name").values_list("name", flat=True)),
        )
    token_cache.drop_user(user_id)


def access_end(*, actor_id: int, user_id: int, before: str, now: datetime) -> None:
    """End a person's access as staff, with all sessions, tokens and sockets. The account stays.

    The invitations that this person sent end too. Raise the errors of `staff_person_lock`.
    """
    with db.transaction():
        person = operations.staff_person_lock(actor_id=actor_id, user_id=user_id, before=before)
        User.objects.filter(pk=user_id).update(
            is_staff=False, is_superuser=False, login_epoch=F("login_epoch") + 1
        )
        person.groups.clear()
        person.user_permissions.clear()
        sent = StaffInvitation.objects.filter(StaffInvitation.OPEN, invited_by=user_id)
        sent.update(withdrawn_at=now)
        journal.entry_add(actor_id=actor_id, action=Action.STAFF_ACCESS_ENDED, now=now, person_id=user_id)
    token_cache.drop_user(user_id)


def _check_roles(actor_id: int, role_ids: Collection[int]) -> None:
    """Check that the actor may give these roles; raise NotFound or RightsBeyondYours."""
    known, rights = selectors.roles(), selectors.rights_of(user_id=actor_id)
    for role_id in role_ids:
        if role_id not in known:
            raise NotFound()
        if not rights.cover(known[role_id][1]):
            raise rules.RightsBeyondYours()


# Invitations ---------------------------------------------------------------------------------------------
def invitation_make(*, actor_id: int, email: str, role_id: int, now: datetime) -> None:
    """Invite a person by e-mail to a role.

    Raise AlreadyStaff, AlreadyInvited, TooMany, and Forbidden as `staff_lock` does; NotFound and RightsBeyondYours
    for the role.
    """
    limits.count_invitation(staff_id=actor_id)
    # No query looks for an open invitation to this address: the constraint refuses a second one.
    already_open = {"staff_invitation_one_open": rules.AlreadyInvited()}
    with db.constraint_errors(already_open), db.transaction():
        operations.staff_lock(actor_id=actor_id)
        _check_roles(actor_id, [role_id])
        account = selectors.account_of(email=email)
        if account is not None and account.is_staff:
            raise rules.AlreadyStaff()
        invitation = StaffInvitation(
            email=email,
            role_id=role_id,
            invited_by_id=actor_id,
            created_at=now,
            expires_at=now + rules.INVITATION_LIFETIME,
        )
        operations.expired_invitation_end(email=email, now=now)
        invitation.save()
        _record(actor_id, invitation, Action.STAFF_INVITED, now)
    _send_soon(invitation.pk)


def invitation_resend(*, actor_id: int, invitation_id: int, issue: int, now: datetime) -> None:
    """Send an invitation again, with a new link; the earlier link ends.

    Raise TooMany and the errors of `_open_locked`.
    """
    limits.count_invitation(staff_id=actor_id)
    with db.transaction():
        invitation = _open_locked(actor_id, invitation_id, issue)
        invitation.issue, invitation.sent_at = issue + 1, None
        invitation.invited_by_id, invitation.expires_at = actor_id, now + rules.INVITATION_LIFETIME
        invitation.save()
        _record(actor_id, invitation, Action.INVITATION_SENT_AGAIN, now)
    _send_soon(invitation_id)


def invitation_withdraw(*, actor_id: int, invitation_id: int, issue: int, now: datetime) -> None:
    """End an invitation, so that its link no longer works. Raise the errors of `_open_locked`."""
    with db.transaction():
        invitation = _open_locked(actor_id, invitation_id, issue)
        invitation.withdrawn_at = now
        invitation.save()
        _record(actor_id, invitation, Action.INVITATION_WITHDRAWN, now)


def _open_locked(actor_id: int, invitation_id: int, issue: int) -> StaffInvitation:
    """Lock and return an invitation that nobody has accepted or withdrawn.

    `issue` is the one that the actor saw. Raise PersonOutdated if the invitation was sent again since then. Raise
    InvitationEnded, RightsBeyondYours, and Forbidden as `staff_lock` does.
    """
    operations.staff_lock(actor_id=actor_id)
    found = StaffInvitation.objects.filter(StaffInvitation.OPEN, pk=invitation_id)
    invitation = found.select_for_update().first()
    if invitation is None:
        raise rules.InvitationEnded()
    if invitation.issue != issue:
        raise rules.PersonOutdated()
    _check_roles(actor_id, [invitation.role_id])
    return invitation


def _record(actor_id: int, invitation: StaffInvitation, action: Action, now: datetime) -> None:
    journal.entry_add(
        actor_id=actor_id,
        action=action,
        now=now,
        person_id=invitation.accepted_by_id,
        address=invitation.email,
        role=invitation.role.name,
    )


def _send_soon(invitation_id: int) -> None:
    """Enqueue the mail. If that fails, the list of invitations says that the mail was not sent."""
    enqueue("accounts.invitation_send", invitation_id=invitation_id)


def invitation_send(*, invitation_id: int, base_url: str, now: datetime) -> None:
    """Send the mail of an open invitation. Send nothing if it was sent already or the invitation has ended."""
    found = StaffInvitation.objects.filter(StaffInvitation.OPEN, pk=invitation_id, sent_at=None)
    invitation = found.select_related("role", "invited_by").first()
    if invitation is None:
        return
    link = links.InvitationLink(invitation_id=invitation.pk, issue=invitation.issue)
    facts = {"invitation": invitation, "base_url": base_url, "signed": links.link_sign(link)}
    account = selectors.account_of(email=invitation.email)
    with spoken((account or invitation.invited_by).language):
        subject = render_to_string("accounts/invitation_subject.txt", facts)
        body = render_to_string("accounts/invitation_mail.txt", facts)
    message = EmailMessage(subject=subject, body=body, to=[invitation.email], **look.envelope())
    if mails.send(message, what=str(invitation)):
        StaffInvitation.objects.filter(pk=invitation.pk, issue=invitation.issue).update(sent_at=now)


# Accepting -----------------------------------------------------------------------------------------------
def invitation_read(*, signed: str, now: datetime) -> StaffInvitation:
    """Return the invitation of a link.

    Raise InvitationEnded if the link is wrong or has ended, or if the sender may no longer give the role.
    """
    try:
        link = links.link_read(signed)
    except links.NotALink:
        raise rules.InvitationEnded() from None
    found = StaffInvitation.objects.filter(
        StaffInvitation.OPEN, pk=link.invitation_id, issue=link.issue, expires_at__gt=now
    )
    invitation = found.select_related("role", "invited_by").first()
    if invitation is None or not _may_invite(invitation):
        raise rules.InvitationEnded()
    return invitation


def _may_invite(invitation: StaffInvitation) -> bool:
    """Return whether the sender of an invitation may still give its role."""
    inviter = invitation.invited_by_id
    if not selectors.permitted(user_ids=[inviter], permission=rules.MANAGE_STAFF):
        return False
    _role, asked = selectors.roles()[invitation.role_id]
    return selectors.rights_of(user_id=inviter).cover(asked)


def invitation_accept(*, signed: str, user_id: int, now: datetime) -> None:
    """Let the account to which an invitation was sent accept it.

    Raise InvitationEnded, and InvitationOfAnother for any other account.
    """
    with db.transaction():
        invitation = _locked_by_link(signed, now)
        user = User.objects.get(pk=user_id)
        if user.is_guest or user.email_key != invitation.email_key:
            raise rules.InvitationOfAnother()
        _make_staff(invitation, user, now)
    token_cache.drop_user(user_id)


def invitation_accept_new(*, signed: str, password: str, language: str, now: datetime) -> User:
    """Make an account for an invited person who has none, let it accept the invitation, and return it.

    Raise InvitationEnded, and Invalid, by field, for a weak password or if an account has the address by now.
    """
    email = invitation_read(signed=signed, now=now).email

    def make(username: str) -> User:
        user = User(username=username, email=email, language=language)
        services.account_check(user, password)
        user.set_password(password)
        with db.constraint_errors(services.AT_ONCE), db.transaction():
            invitation = _locked_by_link(signed, now)
            user.save()
            _make_staff(invitation, user, now)
        return user

    return services.with_free_username(make, email=email)


def _locked_by_link(signed: str, now: datetime) -> StaffInvitation:
    """Lock and return the invitation of a link; raise InvitationEnded."""
    operations.staff_rows_lock()
    found = invitation_read(signed=signed, now=now)
    list(StaffInvitation.objects.filter(pk=found.pk).select_for_update())
    return invitation_read(signed=signed, now=now)  # read it again: it may have changed before it was locked


def _make_staff(invitation: StaffInvitation, user: User, now: datetime) -> None:
    User.objects.filter(pk=user.pk).update(is_staff=True)
    user.groups.add(invitation.role_id)
    invitation.accepted_at, invitation.accepted_by = now, user
    invitation.save()
    _record(user.pk, invitation, Action.INVITATION_ACCEPTED, now)
