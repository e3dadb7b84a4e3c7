"""Sign, read and verify the code of a ticket. docs/tickets.md describes its format.

These are plain functions on given values. The same content and the same key always give the same code, so no code
is ever stored.
"""

import struct
from dataclasses import astuple, dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

VERSION = 1
LAYOUT = struct.Struct(">BIQQH")  # version, key, event, ticket, issue
SIGNATURE = 64
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"  # of alphanumeric QR codes, and of base45
LENGTH = (LAYOUT.size + SIGNATURE) // 2 * 3 + 2  # of a code's text


class NotACode(ValueError):
    """A text is not the code of a ticket: its length, its characters or its version are wrong."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """The content of a code. `issue` rises when a ticket gets a new code, so that the earlier one opens nothing."""

    key: int
    event: int
    ticket: int
    issue: int


def code_sign(content: Content, key: Ed25519PrivateKey) -> str:
    """Return the code with this content, signed by a key."""
    raw = LAYOUT.pack(VERSION, *astuple(content))
    return base45(raw + key.sign(raw))


def is_code(text: str) -> bool:
    """Return whether a text has the length of a code; any other text is a serial."""
    return len(text) == LENGTH


def code_read(code: str) -> tuple[Content, bytes]:
    """Return the content of a code, and all its bytes for `is_signed`; raise NotACode.

    Do not trust the content before the signature is checked.
    """
    if not is_code(code):
        raise NotACode
    raw = base45_read(code)
    version, key, event, ticket, issue = LAYOUT.unpack_from(raw)
    if version != VERSION:
        raise NotACode
    return Content(key=key, event=event, ticket=ticket, issue=issue), raw


def is_signed(raw: bytes, public_key: bytes) -> bool:
    """Return whether a code's bytes are signed by the key with this public half of 32 bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(raw[LAYOUT.size :], raw[: LAYOUT.size])
    except InvalidSignature:
        return False
    return True


def base45(raw: bytes) -> str:
    """Return bytes as base45 text (RFC 9285): three characters for two bytes, two for a single last byte."""
    text = []
    for at in range(0, len(raw), 2):
        pair = raw[at : at + 2]
        number = int.from_bytes(pair)
        for _ in range(len(pair) + 1):
            number, digit = divmod(number, 45)
            text.append(ALPHABET[digit])
    return "".join(text)


def base45_read(text: str) -> bytes:
    """Return the bytes of a base45 text; raise NotACode for any other text."""
    raw = bytearray()
    for at in range(0, len(text), 3):
        digits = [ALPHABET.find(character) for character in text[at : at + 3]]
        number = sum(digit * 45**place for place, digit in enumerate(digits))
        if -1 in digits or len(digits) == 1 or number >= 256 ** (len(digits) - 1):
            raise NotACode
        raw += number.to_bytes(len(digits) - 1)
    return bytes(raw)
