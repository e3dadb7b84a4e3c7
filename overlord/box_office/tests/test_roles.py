"""The usual roles: each may do what its work needs, and nothing else."""

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import Client

from overlord import urls
from overlord.accounts.models import User
from overlord.box_office.roles import ROLES
from overlord.shop.permissions import SUPERUSER

pytestmark = pytest.mark.django_db(transaction=True)


def pages() -> dict[str, str]:
    """Return the address of each page of `urls` that asks for a permission, with that permission."""
    return {
        "/" + re.sub(r"<[^>]*>", "999999", str(page.pattern)): page.callback.permission
        for page in urls.pages
        if hasattr(page.callback, "permission")
    }


def test_the_organiser_may_do_what_any_page_for_staff_asks_for() -> None:
    assert set(pages().values()) - {SUPERUSER} <= set(ROLES["Organiser"])
    assert all(set(permissions) <= set(ROLES["Organiser"]) for permissions in ROLES.values())


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_the_pages_of_its_permissions_alone(role: str, user_make: Callable[..., User]) -> None:
    call_command("make_roles")
    user = user_make(is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client(headers={"accept": "text/html"})
    client.force_login(user)
    for place, permission in pages().items():
        answer = client.get(place)
        if answer.status_code != 405:
            assert (answer.status_code == 403) == (permission not in ROLES[role]), place


def test_making_them_again_keeps_what_was_added(user_make: Callable[..., User]) -> None:
    call_command("make_roles")
    door, viewer = Group.objects.get(name="Door"), Group.objects.get(name="Viewer")
    door.permissions.add(*viewer.permissions.all())
    call_command("make_roles")
    assert door.permissions.count() == len(ROLES["Door"]) + len(ROLES["Viewer"])
    assert Group.objects.count() == len(ROLES)
