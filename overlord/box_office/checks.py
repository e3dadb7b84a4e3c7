"""What Django's checks of the database say of the usual roles.

`manage.py migrate`, `manage.py doctor` and `manage.py check --database default` run them.
"""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Warning  # noqa: A004
from django.db import DatabaseError

from overlord.box_office import roles


def roles_check(*, databases: Sequence[str] | None = None, **_options: Any) -> list[CheckMessage]:
    """Warn of each usual role that lacks a permission which this version gives it."""
    try:
        lack = roles.roles_lack() if databases else {}
    except DatabaseError:  # before the first migration
        return []
    return [
        Warning(
            f"The role {name} lacks what this version gives it: {', '.join(missing)}.",
            hint="`manage.py make_roles` gives it, as does People in the box office. Or leave it so on purpose.",
            id="box_office.W001",
        )
        for name, missing in lack.items()
    ]
