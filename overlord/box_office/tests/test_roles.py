"""The usual roles: each may do what its work needs, and nothing else."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import Client

from overlord.accounts.models import User
from overlord.box_office.roles import ROLES
from tests.test_permissions import PERMISSIONS, address, guarded

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_organiser_has_each_permission_and_no_role_an_unknown_one() -> None:
    assert set(ROLES["Organiser"]) == set(PERMISSIONS)
    assert all(set(permissions) <= set(PERMISSIONS) for permissions in ROLES.values())


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_the_pages_of_its_permissions_alone(role: str, user_make: Callable[..., User]) -> None:
    call_command("make_roles")
    user = user_make(is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client(headers={"accept": "text/html"})
    client.force_login(user)
    for place, permission in guarded(of_api=False):
        answer = client.get(address(place))
        if answer.status_code != 405:
            assert (answer.status_code == 403) == (permission not in ROLES[role]), place


def test_making_them_again_keeps_what_was_added(user_make: Callable[..., User]) -> None:
    call_command("make_roles")
    door, viewer = Group.objects.get(name="Door"), Group.objects.get(name="Viewer")
    door.permissions.add(*viewer.permissions.all())
    call_command("make_roles")
    assert door.permissions.count() == len(ROLES["Door"]) + len(ROLES["Viewer"])
    assert Group.objects.count() == len(ROLES)
