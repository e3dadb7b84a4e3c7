"""A check of the usual roles, in the form of Django's system checks.

`manage.py migrate`, `manage.py doctor` and `manage.py check --database default` run it.
"""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Warning  # noqa: A004
from django.db import DatabaseError

from overlord.box_office import roles


def roles_check(*, databases: Sequence[str] | None = None, **_options: Any) -> list[CheckMessage]:
    """Return a warning for each usual role that lacks a permission of `roles.ROLES`."""
    try:
        lack = roles.roles_lack() if databases else {}
    except DatabaseError:  # before the first migration
        return []
    return [
        Warning(
            f"The role {name} lacks what this version gives it: {', '.join(missing)}.",
            hint="To add them, run `manage.py make_roles` or use the page People. The role may also stay as it is.",
            id="box_office.W001",
        )
        for name, missing in lack.items()
    ]
