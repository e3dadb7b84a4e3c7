"""The signed link by which somebody wants no more news: it says the hash of the address. Plain functions.

Nothing is stored for a link, and it works for as long as the shop's secret key.
"""

from django.core.signing import BadSignature, Signer


class NotALink(ValueError):
    """A text is no link: its signature is wrong."""


def link_sign(address_hash: str) -> str:
    """Return the text of a link, for an address."""
    return _signer().sign(address_hash)


def link_read(text: str) -> str:
    """Return the hash that a link says; raise NotALink."""
    try:
        return _signer().unsign(text)
    except BadSignature:
        raise NotALink from None


def _signer() -> Signer:
    return Signer(salt="overlord.mailings.links", sep=".")
