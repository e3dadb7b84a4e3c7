"""The signed links of invitations. A link contains the id of an invitation and its issue.

When an invitation is mailed again, its issue rises, and earlier links no longer work.
"""

import re
from dataclasses import dataclass

from django.core.signing import BadSignature, Signer

from overlord.kernel.numbers import LARGEST_ID

_LINK = re.compile(r"([1-9][0-9]{0,18})-([1-9][0-9]{0,8})-([A-Za-z0-9_-]{43})", re.ASCII)


class NotALink(ValueError):
    """The text is not a link: its form or its signature is wrong."""


@dataclass(frozen=True, kw_only=True)
class InvitationLink:
    """The content of a link."""

    invitation_id: int
    issue: int


def link_sign(link: InvitationLink) -> str:
    """Return the text of a link, for its URL."""
    content = f"{link.invitation_id}-{link.issue}"
    return f"{content}-{_signer().signature(content)}"


def link_read(text: str) -> InvitationLink:
    """Return the content of a link; raise NotALink."""
    found = _LINK.fullmatch(text)
    if found is None or int(found[1]) > LARGEST_ID:
        raise NotALink
    try:
        _signer().unsign(f"{found[1]}-{found[2]}:{found[3]}")
    except BadSignature:
        raise NotALink from None
    return InvitationLink(invitation_id=int(found[1]), issue=int(found[2]))


def _signer() -> Signer:
    return Signer(salt="overlord.accounts.links")
