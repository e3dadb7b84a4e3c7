"""Sign and read the links to tickets. A person who has a link sees the tickets without a log-in.

A link contains its subject and a number. It works only while this number is the present number of its subject. To
revoke a link, the number is raised. Nothing is stored for a link that was never revoked.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from django.core.signing import BadSignature, Signer

from overlord.kernel.numbers import LARGEST_ID

_CONTENT = re.compile(r"([ok])([1-9][0-9]{0,18})-([1-9][0-9]{0,9})", re.ASCII)
_SIGNATURE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class Subject(StrEnum):
    """The subject of a link: all tickets of an order, or one ticket that was handed over.

    The number of a ticket's link is the ticket's issue.
    """

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
    def content(self) -> str:
        """Return the text of the link without its signature: subject, id and number."""
        return f"{self.subject}{self.id}-{self.number}"


def link_sign(link: Link) -> str:
    """Return the signed text of a link, as a part of an address."""
    return f"{link.content}-{_signer().signature(link.content)}"


def link_read(text: str) -> Link:
    """Return the link that has this signed text; raise NotALink."""
    content, signature = text[:-44], text[-43:]
    if text[-44:-43] != "-" or _SIGNATURE.fullmatch(signature) is None:
        raise NotALink
    link = content_read(content)
    try:
        _signer().unsign(f"{content}:{signature}")
    except BadSignature:
        raise NotALink from None
    return link


def content_read(content: str) -> Link:
    """Return the link that has this content, without a signature; raise NotALink."""
    found = _CONTENT.fullmatch(content)
    if found is None or int(found[2]) > LARGEST_ID:
        raise NotALink
    return Link(subject=Subject(found[1]), id=int(found[2]), number=int(found[3]))


def stream_read(text: str) -> str | None:
    """Return the id of the live stream that a link opens, or None if the text is not a link."""
    try:
        return link_read(text).content
    except NotALink:
        return None


def _signer() -> Signer:
    return Signer(salt="tickets.admission.links")
