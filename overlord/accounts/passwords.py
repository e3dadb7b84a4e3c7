"""The lengths of passwords. The API, the pages and the admin all use these limits."""

from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

MIN_LENGTH = 8
MAX_LENGTH = 128


class LengthValidator:
    """Refuse passwords that are too short or too long (one of AUTH_PASSWORD_VALIDATORS)."""

    def validate(self, password: str, user: Any = None) -> None:
        if len(password) < MIN_LENGTH:
            raise ValidationError(
                _("This password is too short. It must have at least %(n)s characters.") % {"n": MIN_LENGTH},
                code="password_too_short",
            )
        refuse_too_long(password)

    def get_help_text(self) -> str:
        return _("Your password must have %(min)s to %(max)s characters.") % {
            "min": MIN_LENGTH,
            "max": MAX_LENGTH,
        }


def refuse_too_long(password: str | None) -> None:
    """Raise ValidationError for a password that is longer than the log-in accepts."""
    if password is not None and len(password) > MAX_LENGTH:
        raise ValidationError(
            _("This password is too long. It may have at most %(n)s characters.") % {"n": MAX_LENGTH},
            code="password_too_long",
        )
