"""The codes of an authenticator app (RFC 6238), and the backup codes that can replace them.

Nothing here reads or writes rows.

What must stay true: a person who has only a copy of the database cannot compute a secret, and cannot find a backup
code by its hash. Both need SECRET_KEY, too.
"""

import re
import secrets
from base64 import b32encode

import pyotp
from django.utils.crypto import salted_hmac
from pyotp.exceptions import OTPVerificationError

STEPS_AROUND = 1  # a step is half a minute: the phone's clock may be one step early or late
BACKUP_CODES = 10
ISSUER = "Ticket Overlord"

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # no two of these characters look alike
_BACKUP_LENGTH = 12


def seed_make() -> str:
    """Return a random text. A secret is made from it and SECRET_KEY."""
    return secrets.token_hex(20)


def secret_of(seed: str) -> str:
    """Return the secret of a seed, in base32, as authenticator apps read it."""
    digest = salted_hmac("overlord.accounts.one_time_codes", seed, algorithm="sha256").digest()
    return b32encode(digest[:20]).decode()


def address_of(seed: str, *, name: str) -> str:
    """Return the address (otpauth://) that an app reads from a QR code. The app shows `name` with its codes."""
    return pyotp.TOTP(secret_of(seed)).provisioning_uri(name=name, issuer_name=ISSUER)


def step_of(code: str, seed: str, *, seconds: float, after: int) -> int | None:
    """Return the step (half minutes since 1970) of a code that is valid at a Unix time; else None.

    A code of step `after` or earlier is not valid.
    """
    app = pyotp.TOTP(secret_of(seed))
    try:
        step = app.verify_and_get_timecode(code, for_time=seconds, valid_window=STEPS_AROUND)
    except OTPVerificationError:
        return None
    return step if step > after else None


def is_code_of_app(text: str) -> bool:
    """Return whether a text, as `plain` returns it, is a code of an app and not a backup code."""
    return re.fullmatch("[0-9]{6}", text, re.ASCII) is not None


def plain(text: str) -> str:
    """Return a code in lower case, without the spaces and hyphens that people write."""
    return re.sub(r"[\s-]", "", text).lower()


def backup_code_make() -> str:
    """Return a backup code: three groups of four letters or digits, with hyphens between the groups."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_BACKUP_LENGTH))
    return "-".join(letters[at : at + 4] for at in range(0, _BACKUP_LENGTH, 4))


def backup_code_hash(code: str) -> str:
    """Return the hash of a backup code. Only the hash is kept."""
    return salted_hmac("overlord.accounts.backup_codes", plain(code), algorithm="sha256").hexdigest()
