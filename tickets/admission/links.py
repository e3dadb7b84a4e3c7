"""The signed links to tickets: anyone who has a link sees the tickets, without a log-in. Plain functions.

A link contains its subject and a number. It works while that number is the present one, so raising the number
revokes it. Nothing is stored for a link that was never revoked.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from django.core.signing import BadSignature, Signer

from overlord.kernel.numbers import LARGEST_ID

_SAID = re.compile(r"([ok])([1-9][0-9]{0,18})-([1-9][0-9]{0,9})", re.ASCII)
_SIGNATURE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class Subject(StrEnum):
    """The subject of a link: all tickets of an order, or one that was handed over, whose number is its issue."""

    ORDER = "o"
    TICKET = "k"


class NotALink(ValueError):
    """A text is not a link: its form or its signature is wrong."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """The content of a link: its subject, the subject's id, and the number that makes it revocable."""

    subject: Subject
    id: int
    number: int

    @property
    def said(self) -> str:
        """Return what the link says, without the signature that makes it a right."""
        return f"{self.subject}{self.id}-{self.number}"


def link_sign(link: Link) -> str:
    """Return the text of a link, for an address."""
    return f"{link.said}-{_signer().signature(link.said)}"


def link_read(text: str) -> Link:
    """Return what a link says; raise NotALink."""
    said, signature = text[:-44], text[-43:]
    if text[-44:-43] != "-" or _SIGNATURE.fullmatch(signature) is None:
        raise NotALink
    link = said_read(said)
    try:
        _signer().unsign(f"{said}:{signature}")
    except BadSignature:
        raise NotALink from None
    return link


def said_read(said: str) -> Link:
    """Return the link with this text, signed or not; raise NotALink for a text that is not a link."""
    found = _SAID.fullmatch(said)
    if found is None or int(found[2]) > LARGEST_ID:
        raise NotALink
    return Link(subject=Subject(found[1]), id=int(found[2]), number=int(found[3]))


def stream_read(text: str) -> str | None:
    """Return the id of the live stream that a link opens; None for a text that is not a link."""
    try:
        return link_read(text).said
    except NotALink:
        return None


def _signer() -> Signer:
    return Signer(salt="tickets.admission.links")
