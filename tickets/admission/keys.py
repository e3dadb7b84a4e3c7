"""The private halves of the keys that sign codes: derived from SECRET_KEY and a key's salt, and stored nowhere.

A person who can read only the database cannot sign a code. When SECRET_KEY changes, the old keys can sign no more
codes. Codes that they signed stay valid, because the public halves are in the database.
"""

import os
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

SALT_BYTES = 16
PURPOSE = b"ticket-overlord: codes of tickets"


def salt_make() -> bytes:
    """Return a random salt for a new key."""
    return os.urandom(SALT_BYTES)


def private_key(salt: bytes) -> Ed25519PrivateKey:
    """Return the private key that belongs to a salt."""
    return _derive(settings.SECRET_KEY, salt)


def public_key(salt: bytes) -> bytes:
    """Return the public half, 32 bytes, of the key that belongs to a salt."""
    return private_key(salt).public_key().public_bytes_raw()


@lru_cache(maxsize=256)
def _derive(secret: str, salt: bytes) -> Ed25519PrivateKey:
    seed = HKDF(algorithm=SHA256(), length=32, salt=salt, info=PURPOSE).derive(secret.encode())
    return Ed25519PrivateKey.from_private_bytes(seed)
