"""The codes of an authenticator app (RFC 6238), and the backup codes that can replace them.

Nothing here reads or writes rows.

Neither a secret nor a backup code can be made from a copy of the database: both need SECRET_KEY too.
"""

import re
import secrets
from base64 import b32encode

import pyotp
from django.utils.crypto import salted_hmac
from pyotp.exceptions import OTPVerificationError

STEPS_AROUND = 1  # a clock may be half a minute early or late
BACKUP_CODES = 10
ISSUER = "Ticket Overlord"

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # no two that look alike
_BACKUP_LENGTH = 12


def seed_make() -> str:
    """Return a random text from which, with SECRET_KEY, a secret follows."""
    return secrets.token_hex(20)


def secret_of(seed: str) -> str:
    """Return the secret of a seed, in base32, as an app takes it."""
    digest = salted_hmac("overlord.accounts.one_time_codes", seed, algorithm="sha256").digest()
    return b32encode(digest[:20]).decode()


def address_of(seed: str, *, name: str) -> str:
    """Return the address (otpauth://) that an app reads from a QR code."""
    return pyotp.TOTP(secret_of(seed)).provisioning_uri(name=name, issuer_name=ISSUER)


def step_of(code: str, seed: str, *, seconds: float, after: int) -> int | None:
    """Return the half minute whose code this is, near a Unix time and later than `after`; None when it is none."""
    app = pyotp.TOTP(secret_of(seed))
    try:
        step = app.verify_and_get_timecode(code, for_time=seconds, valid_window=STEPS_AROUND)
    except OTPVerificationError:
        return None
    return step if step > after else None


def is_code_of_app(text: str) -> bool:
    """Return whether a text looks like a code of an app, and not like a backup code."""
    return re.fullmatch("[0-9]{6}", text, re.ASCII) is not None


def plain(text: str) -> str:
    """Return a code without the spaces and hyphens with which people write it."""
    return re.sub(r"[\s-]", "", text).lower()


def backup_code_make() -> str:
    """Return a backup code: three times four letters and digits."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_BACKUP_LENGTH))
    return "-".join(letters[at : at + 4] for at in range(0, _BACKUP_LENGTH, 4))


def backup_code_hash(code: str) -> str:
    """Return what is kept of a backup code."""
    return salted_hmac("overlord.accounts.backup_codes", plain(code), algorithm="sha256").hexdigest()
