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
from tests.clients import permit
from tickets.models import Event, Inventory, TicketType

pytestmark = pytest.mark.django_db(transaction=True)


def pages() -> dict[str, tuple[str, ...]]:
    """Return the address of each page of `urls` for staff, with the permissions that open it: one is enough."""
    return {
        "/" + re.sub(r"<[^>]*>", "999999", str(page.pattern)): page.callback.permissions
        for page in urls.pages
        if hasattr(page.callback, "permissions")
    }


def test_the_organiser_has_the_permission_of_each_page_for_staff() -> None:
    assert {each for asked in pages().values() for each in asked} - {SUPERUSER} <= set(ROLES["Organiser"])
    assert all(set(permissions) <= set(ROLES["Organiser"]) for permissions in ROLES.values())


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_only_the_pages_of_its_permissions(role: str, user_make: Callable[..., User]) -> None:
    call_command("make_roles")
    user = user_make(is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client(headers={"accept": "text/html"})
    client.force_login(user)
    for place, permissions in pages().items():
        answer = client.get(place)
        if answer.status_code != 405:
            assert (answer.status_code == 403) == (not {*permissions} & {*ROLES[role]}), place


@pytest.mark.parametrize(
    ("role", "address"),
    [("Organiser", "/office/"), ("Box office", "/office/"), ("Door", "/door/"), ("Viewer", "/monitor/")],
)
def test_staff_come_to_their_work_when_they_log_in(
    role: str, address: str, user_make: Callable[..., User]
) -> None:
    call_command("make_roles")
    user = user_make(is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client(headers={"accept": "text/html"})
    form = {"username": user.username, "password": "correct horse"}
    assert client.post("/login/", {**form, "next": "/me/"})["Location"] == "/me/"
    client.logout()
    assert client.post("/login/", form)["Location"] == address
    assert f'href="{address}"' in client.get("/").content.decode(), "the menu leads there from each page"
    assert client.get("/login/")["Location"] == address, "logged in already"


def test_the_box_office_finds_events_and_actions_but_neither_drafts_nor_figures(
    user_make: Callable[..., User], ticket_type_make: Callable[..., TicketType]
) -> None:
    call_command("make_roles")
    user, event, draft = user_make(is_staff=True), ticket_type_make().event, ticket_type_make().event
    Inventory.objects.filter(ticket_type__event=draft).update(paused=True)
    Event.objects.filter(pk=draft.pk).update(status=Event.Status.DRAFT, name="Not public yet")
    user.groups.add(Group.objects.get(name="Box office"))
    permit(user, "mailings.send_messages", "checkout.cancel_event")
    client = Client(headers={"accept": "text/html"})
    client.force_login(user)
    page = client.get("/office/").content.decode()
    for leads in (f"/office/events/{event.pk}/sell/", f"/office/events/{event.pk}/attendees/"):
        assert f'href="{leads}"' in page
        assert 'href="/office/"' in client.get(leads).content.decode(), "and back"
    for hidden in ("Not public yet", "/office/events/new/", "Capacity", f'href="/office/events/{event.pk}/"'):
        assert hidden not in page
    work = (
        "sell/",
        "attendees/",
        "attendees.csv/",
        "attendees.xlsx/",
        "attendees/print/",
        "messages/",
        "cancel/",
    )
    for place in (f"/office/events/{{}}/{rest}" for rest in work):
        shown = client.get(place.format(event.pk))
        assert shown.status_code == 200, place
        shown.close()  # the spreadsheet is a file
        assert client.get(place.format(draft.pk)).status_code == 404, place
    assert client.get(f"/door/?event={event.pk}&gate=North").status_code == 200
    door = client.get(f"/door/?event={draft.pk}&gate=North")
    assert (door.status_code, "Not public yet" in door.content.decode()) == (400, False)


def test_making_roles_again_keeps_added_permissions(user_make: Callable[..., User]) -> None:
    call_command("make_roles")
    door, viewer = Group.objects.get(name="Door"), Group.objects.get(name="Viewer")
    door.permissions.add(*viewer.permissions.all())
    call_command("make_roles")
    assert door.permissions.count() == len(ROLES["Door"]) + len(ROLES["Viewer"])
    assert Group.objects.count() == len(ROLES)
