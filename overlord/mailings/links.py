"""The signed link with which a reader stops news. It contains the hash of the reader's e-mail address.

No link is stored. Each link works as long as the shop keeps its SECRET_KEY.
"""

from django.core.signing import BadSignature, Signer


class NotALink(ValueError):
    """The text is not a link: its signature is wrong."""


def link_sign(address_hash: str) -> str:
    """Return the text of a link for the hash of an e-mail address."""
    return _signer().sign(address_hash)


def link_read(text: str) -> str:
    """Return the hash in a link; raise NotALink."""
    try:
        return _signer().unsign(text)
    except BadSignature:
        raise NotALink from None


def _signer() -> Signer:
    return Signer(salt="overlord.mailings.links", sep=".")
