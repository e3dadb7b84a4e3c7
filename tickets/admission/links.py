"""The signed links to tickets: whoever has one sees the tickets, without a log-in. Plain functions.

A link says what it is for and a number. It works while that number is the present one, so that raising the number
revokes it; nothing is stored for a link that was never revoked.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from django.core.signing import BadSignature, Signer

from overlord.kernel.numbers import LARGEST_ID

_FORM = re.compile(r"([ok])([1-9][0-9]{0,18})-([1-9][0-9]{0,9})-([A-Za-z0-9_-]{43})", re.ASCII)


class Subject(StrEnum):
    """What a link is for: all tickets of an order, or one that was handed over, whose number is its issue."""

    ORDER = "o"
    TICKET = "k"


class NotALink(ValueError):
    """A text is no link: its form or its signature is wrong."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """What a link says: its subject, the subject's id, and the number that makes it revocable."""

    subject: Subject
    id: int
    number: int


def link_sign(link: Link) -> str:
    """Return the text of a link, for an address."""
    said = f"{link.subject}{link.id}-{link.number}"
    return f"{said}-{_signer().signature(said)}"


def link_read(text: str) -> Link:
    """Return what a link says; raise NotALink."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise NotALink
    subject, pk, number, signature = found.groups()
    try:
        _signer().unsign(f"{subject}{pk}-{number}:{signature}")
    except BadSignature:
        raise NotALink from None
    if int(pk) > LARGEST_ID:
        raise NotALink
    return Link(subject=Subject(subject), id=int(pk), number=int(number))


def _signer() -> Signer:
    return Signer(salt="tickets.admission.links")
