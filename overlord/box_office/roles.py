"""The usual roles of staff: groups of Django, with their permissions.

Superusers can change these groups afterwards.
"""

from django.contrib.auth.models import Group
from django.contrib.auth.models import Permission as Row

from checkout.permissions import Permission as MoneyPermission
from overlord.accounts import selectors as accounts
from overlord.accounts.permissions import Permission as AccountsPermission
from overlord.accounts.rules import Rights
from overlord.journal import operations as journal
from overlord.journal.actions import Action
from overlord.journal.permissions import Permission as JournalPermission
from overlord.kernel import db
from overlord.mailings.permissions import Permission as MailingsPermission
from overlord.shop.permissions import Permission as ShopPermission
from stats.permissions import Permission as StatsPermission
from tickets.admission.permissions import Permission as DoorPermission
from tickets.line.permissions import Permission as LinePermission
from tickets.permissions import Permission as TicketsPermission

ROLES: dict[str, tuple[str, ...]] = {
    "Organiser": (
        *TicketsPermission,
        *LinePermission,
        *DoorPermission,
        *MoneyPermission,
        *StatsPermission,
        *AccountsPermission,
        *ShopPermission,
        *JournalPermission,
        *MailingsPermission,
    ),
    "Box office": (
        MoneyPermission.MANAGE_ORDERS,
        MoneyPermission.VIEW_ATTENDEES,
        MoneyPermission.REFUND,
        MoneyPermission.SELL,
        TicketsPermission.RETURN_TICKETS,
        DoorPermission.USE_DOOR,
    ),
    "Door": (DoorPermission.USE_DOOR,),
    "Viewer": (StatsPermission.VIEW_STATS, StatsPermission.VIEW_MONITOR),
}


def rights_of_all() -> Rights:
    """Return all permissions of the usual roles together."""
    return Rights(permissions=frozenset(str(each) for allowed in ROLES.values() for each in allowed))


def roles_lack() -> dict[str, list[str]]:
    """Return the permissions of ROLES that the usual roles lack, by the name of the role.

    After an update of the shop, a role lacks the new permissions until somebody makes the roles again. A role that
    does not exist is left out.
    """
    held = {role.name: has.permissions for role, has in accounts.roles().values()}
    lack = {name: sorted({*map(str, gives)} - held.get(name, {*gives})) for name, gives in ROLES.items()}
    return {name: missing for name, missing in lack.items() if missing}


def roles_make(*, actor_id: int | None = None) -> dict[str, int]:
    """Make the roles that are missing, and add the permissions that roles lack.

    Return how many permissions each role has now, by its name. A role keeps permissions that are not listed in
    ROLES. `actor_id` is None for a command on the server.
    """
    with db.transaction():
        found = {}
        for name, permissions in ROLES.items():
            group, _made = Group.objects.get_or_create(name=name)
            group.permissions.add(*[_row(each) for each in permissions])
            found[name] = group.permissions.count()
        journal.entry_add(actor_id=actor_id, action=Action.ROLES_MADE, now=db.now())
    return found


def _row(permission: str) -> Row:
    app, _dot, codename = permission.partition(".")
    return Row.objects.get(content_type__app_label=app, codename=codename)
