"""Permissions: each route, admin page, admin action and stream has a rule, and each rule is tried.

A rule is tried by an anonymous visitor, a buyer, staff without permissions, a user with only the permission that is
needed, a user with all others, and a superuser. A permission never takes anything away: if all others together open
nothing, no single one does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib import admin
from django.contrib.admin.sites import AdminSite
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from django.utils import timezone
from rest_framework.test import APIClient

from checkout.gateways import ledger
from checkout.models import Incident, Payment, Refund, UnmatchedCharge
from checkout.permissions import MOVES_MONEY
from checkout.permissions import Permission as MoneyPermission
from checkout.rules import Outcome
from overlord.accounts import second_factor
from overlord.accounts.models import User
from overlord.accounts.permissions import Permission as AccountsPermission
from overlord.journal.permissions import Permission as JournalPermission
from overlord.kernel import redis_client
from overlord.kernel.queues import Queue
from overlord.mailings.permissions import Permission as MailingsPermission
from overlord.shop.permissions import SUPERUSER
from overlord.shop.permissions import Permission as ShopPermission
from realtime import streams
from realtime.gateway.access import RefusedError, admit
from stats.permissions import Permission as StatsPermission
from tests.clients import api_of, permit, token_of
from tests.routes import address, routes
from tickets.admission.permissions import Permission as DoorPermission
from tickets.line.permissions import Permission as LinePermission
from tickets.models import Event, Inventory, Reservation, TicketType
from tickets.permissions import Permission as TicketsPermission
from tickets.tests.reserving import claim

pytestmark = pytest.mark.django_db(transaction=True)

PERMISSIONS: list[str] = [
    *TicketsPermission,
    *LinePermission,
    *DoorPermission,
    *MoneyPermission,
    *StatsPermission,
    *AccountsPermission,
    *ShopPermission,
    *JournalPermission,
    *MailingsPermission,
]
OTHERS = "all other permissions"

# Routes that ask for no permission: open to anyone, or showing each user what is the user's own.
ANYONE = {
    "",
    "imprint/",
    "terms/",
    "look/<str:named>.css",
    "look/current.css",
    "events/<id:event_id>/",
    "events/<id:event_id>/line/",
    "event/events/",
    "event/events/<id:event_id>/",
    "event/tickets/<id:ticket_type>/",
    "event/events/<id:event_id>/line/proof/",
    "door/keys/",
    "t/worker.js",
    "t/<str:signed>/",  # these three are open to anyone who has the link
    "t/<str:signed>.pdf",
    "t/<str:signed>.ics",
    "news/<str:signed>/",  # open to anyone who has the link of a mail
    "door/worker.js",
    "login/",
    "logout/",
    "signup/",
    "password-reset/",
    "password-reset/sent/",
    "password-reset/<uidb64>/<token>/",
    "translations/en.js",
    "translations/en-gb.js",
    "translations/de.js",
    "invitations/<str:signed>/",  # open to anyone who has the link of an invitation
    "translations/en.json",
    "translations/en-gb.json",
    "translations/de.json",
    "language/",
    "sitemap.xml",
    "robots.txt",
    "register/",
    "register/guest/",
    "api-auth/login/",
    "payment/webhooks/<slug:gateway>/",
    "api/schema/",
    "api/docs/",
    "api/asyncapi.yaml",
    "livez/",
    "readyz/",
    "readyz/self/",
    "metrics/",  # open with the token, or to a request past the front server: stats/tests/test_metrics.py
}
OWN = {
    "checkout/<id:reservation_id>/",
    "checkout/<id:reservation_id>/pay/",
    "checkout/<id:reservation_id>/amount/",
    "checkout/<id:reservation_id>/extend/",
    "checkout/<id:reservation_id>/release/",
    "me/",
    "me/orders/<id:reservation_id>/",
    "account/second-factor/",
    "account/tokens/",
    "account/tokens/<id:token_id>/end/",
    "api-auth/tokens/",
    "api-auth/tokens/<id:token_id>/",
    "register/claim/",
    "register/guest/email/",
    "register/guest/verify/",
    "api-auth/logout/",
    "api-auth/logout-all/",
    "event/reservations/",
    "event/reservations/<id:reservation_id>/",
    "event/reservations/batch/",
    "event/events/<id:event_id>/line/",
    "event/reservations/<id:reservation_id>/extend/",
    "event/reservations/<id:reservation_id>/tickets/",
    "event/reservations/<id:reservation_id>/tickets/<id:ticket_id>/",
    "event/reservations/<id:reservation_id>/tickets/<id:ticket_id>/hand-over/",
    "payment/payments/",
    "payment/payments/<id:payment_id>/",
    "payment/payments/<id:payment_id>/pay/",
}
# The pages and actions that the admin has besides Django's own, which need add, change, delete or view.
ADMIN_PAGES: dict[str, dict[str, str]] = {
    "checkout.payment": {"<int:payment_id>/refund/": MoneyPermission.REFUND},
    "tickets.reservation": {"<int:reservation_id>/return/": TicketsPermission.RETURN_TICKETS},
}
DJANGOS_OWN = {"accounts.user": {"<id>/password/"}}


# The rules -----------------------------------------------------------------------------------------------


def permissions_of(view: Any) -> tuple[str, ...]:
    """Return the permissions that open a view, each by itself: `permissions` of a page, `permission` of an API."""
    if not hasattr(view, "cls"):
        return getattr(view, "permissions", ())
    return tuple(filter(None, [getattr(view.cls, "permission", None)]))


def unruled(found: Iterator[tuple[str, Any]]) -> set[str]:
    """Return the routes that name no permission and are not known to need none."""
    return {place for place, view in found if not permissions_of(view)} - ANYONE - OWN


def admin_pages(site: AdminSite) -> dict[str, set[str]]:
    """Return the addresses that each model's admin adds to those of a plain ModelAdmin."""
    return {
        model._meta.label_lower: added
        for model, shown in site._registry.items()
        if (added := _places(shown) - _places(admin.ModelAdmin(model, site)))
    }


def _places(shown: admin.ModelAdmin) -> set[str]:
    return {str(each.pattern) for each in shown.get_urls()}


def admin_actions(site: AdminSite) -> dict[tuple[type[Model], str], list[str]]:
    """Return the actions that each model's admin has, with the names of the permissions that they need."""
    return {
        (model, name): list(getattr(function, "allowed_permissions", []))
        for model, shown in site._registry.items()
        for function, name, _ in shown._get_base_actions()  # type: ignore[attr-defined]
        if name != "delete_selected"
    }


class TestEachHasARule:
    def test_each_route_names_a_permission_or_is_known_to_need_none(self) -> None:
        assert unruled(routes()) == set(), "name a permission in the view, or add the route to ANYONE or OWN"
        assert {place for place, view in routes() if permissions_of(view)} & (ANYONE | OWN) == set()
        assert (ANYONE | OWN) - {place for place, _ in routes()} == set(), "these routes are gone"

    def test_a_route_without_a_rule_is_noticed(self) -> None:
        """Use a route without a permission, as a negative control."""
        assert unruled(iter([("give-away/", HttpResponse)])) == {"give-away/"}

    def test_each_page_of_the_admin_is_known(self) -> None:
        known = {name: set(pages) for name, pages in ADMIN_PAGES.items()} | DJANGOS_OWN
        assert admin_pages(admin.site) == known

    def test_each_action_of_the_admin_asks_for_a_permission(self) -> None:
        found = admin_actions(admin.site)
        assert {action for action, asked in found.items() if not asked} == set()
        assert found.keys() == {(deed.model, deed.action) for deed in DEEDS}, "each is tried below"

    def test_an_action_or_page_of_the_admin_without_a_rule_is_noticed(self) -> None:
        """Register a model with such an action and page, as a negative control."""

        class Careless(admin.ModelAdmin):
            actions = ("give_away",)

            def get_urls(self) -> list[Any]:
                return [path("give/", HttpResponse), *super().get_urls()]

            def give_away(self, request: Any, rows: Any) -> None: ...

        site = AdminSite()
        site.register(Event, Careless)
        assert admin_actions(site) == {(Event, "give_away"): []}
        assert admin_pages(site) == {"tickets.event": {"give/"}}

    def test_a_stream_for_staff_names_a_permission(self) -> None:
        for kind, definition in streams._definitions.items():
            assert (definition.access == streams.Access.STAFF) == (definition.permission is not None), kind

    def test_a_stream_for_staff_without_a_rule_is_refused(self) -> None:
        """Register a stream without a permission, as a negative control."""
        with pytest.raises(ValueError, match="needs a permission"):
            streams.register("give-away", access=streams.Access.STAFF, project=lambda ids, now: {})

    def test_each_permission_is_in_the_database(self, user_make: Callable[..., User]) -> None:
        assert permit(user_make(), *PERMISSIONS).get_all_permissions() == set(PERMISSIONS)


# Each role on each -----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Person:
    """A person with a role, by session in `browser` and by token in `api`."""

    role: str
    user: User | None

    @property
    def browser(self) -> Client:
        client = Client(headers={"accept": "text/html"})
        if self.user is not None:
            client.force_login(self.user)
        return client

    @property
    def api(self) -> APIClient:
        return api_of(self.user) if self.user is not None else APIClient()

    def may(self, permission: str, *or_one_of: str) -> bool:
        """Return whether the role has this permission, or one of others that open the same."""
        return self.role in (permission, SUPERUSER) or (self.role == OTHERS and bool(or_one_of))


People = Callable[[str], list[Person]]


@pytest.fixture
def people(user_make: Callable[..., User]) -> People:
    """Return a function that makes a person of each role that a permission is tried with."""

    def make(permission: str) -> list[Person]:
        others = [each for each in PERMISSIONS if each != permission]
        alone = [permission] if permission in PERMISSIONS else []  # some pages are for superusers
        return [
            Person("anonymous", None),
            Person("buyer", user_make()),
            Person("staff", user_make(is_staff=True)),
            *(Person(each, permit(user_make(), each)) for each in alone),
            Person(OTHERS, permit(user_make(), *others)),
            superuser(user_make),
        ]

    return make


def superuser(user_make: Callable[..., User]) -> Person:
    return Person(SUPERUSER, user_make(is_staff=True, is_superuser=True))


def guarded(*, of_api: bool) -> list[tuple[str, str]]:
    """Return each route that needs a permission with each permission that opens it: the API's, or the pages'."""
    found = [(place, permissions_of(view)) for place, view in routes() if hasattr(view, "cls") == of_api]
    return [(place, permission) for place, permissions in found for permission in permissions]


def opened_also_by(place: str, permission: str) -> set[str]:
    """Return the other permissions that open a page."""
    return {other for page, other in guarded(of_api=False) if page == place} - {permission}


@pytest.mark.parametrize(("place", "permission"), guarded(of_api=True))
def test_each_role_on_each_route_of_the_api(place: str, permission: str, people: People) -> None:
    for person in people(permission):
        api = person.api
        posted = api.post(address(place))
        status = posted.status_code if posted.status_code != 405 else api.get(address(place)).status_code
        refused = 401 if person.user is None else 403
        assert (status == refused) == (not person.may(permission)), (person.role, status)
        assert status in (200, 400, 404, refused), (person.role, status)


@pytest.mark.parametrize(("place", "permission"), guarded(of_api=False))
def test_each_role_on_each_page(place: str, permission: str, people: People) -> None:
    also = opened_also_by(place, permission)
    for person in people(permission):
        browser = person.browser
        for method in ("get", "post"):
            answer = getattr(browser, method)(address(place))
            log_in = answer.get("Location", "").startswith("/login/")
            assert log_in == (person.user is None and answer.status_code != 405), (person.role, method)
            if person.user is not None and answer.status_code != 405:
                refused = answer.status_code == 403
                assert refused == (not person.may(permission, *also)), (person.role, method)


@pytest.mark.parametrize("kind", [kind for kind, known in streams._definitions.items() if known.permission])
def test_each_role_on_each_stream_for_staff(kind: str, people: People) -> None:
    permission = streams.get(kind).permission or ""
    for person in people(permission):
        token = token_of(person.user) if person.user is not None else "wrong"
        scope = {"headers": [(b"host", b"x"), (b"authorization", f"Token {token}".encode())]}
        watch = partial(async_to_sync(admit), scope, kind=kind, stream_id=None)
        if person.may(permission):
            assert watch().stream == kind
            continue
        with pytest.raises(RefusedError) as refused:
            watch()
        assert refused.value.code == (4401 if person.user is None else 4403), person.role


@dataclass(frozen=True)
class Deed:
    """An action of the admin on one row that `make` makes; `is_done` reads the database."""

    model: type[Model]
    action: str
    permission: str
    make: Callable[[Reservation], Model]
    is_done: Callable[[Model], bool]


def event_on_sale(reservation: Reservation) -> Model:
    Inventory.objects.update(paused=False)
    return reservation.ticket_type.event


def event_paused(reservation: Reservation) -> Model:
    Inventory.objects.update(paused=True)
    return reservation.ticket_type.event


def payment_make(reservation: Reservation) -> Payment:
    return Payment.objects.get_or_create(
        reservation=reservation,
        defaults={
            "buyer": reservation.buyer,
            "amount_minor": 3000,
            "currency": "EUR",
            "gateway": "sandbox",
            "status": "SUCCESS",
            "created": timezone.now(),
        },
    )[0]


def refund_refused(reservation: Reservation) -> Model:
    Refund.objects.update(status="FAILURE")
    made = {"amount_minor": 100, "status": "FAILURE", "created": timezone.now()}
    return Refund.objects.get_or_create(payment=payment_make(reservation), defaults=made)[0]


def incident(reservation: Reservation) -> Model:
    Incident.objects.all().delete()
    payment = payment_make(reservation)
    return Incident.objects.create(payment=payment, cause="stuck", created=timezone.now())


def unmatched_charge(_: Reservation) -> Model:
    """Make a charge in the sandbox that no payment has."""
    UnmatchedCharge.objects.all().delete()
    with ledger.opened() as book:
        intent = book.intent_create(amount_minor=500, currency="EUR", payment=-1, token="ok")
        book.intent_conclude(intent, Outcome.SUCCEEDED)
    now = timezone.now()
    return UnmatchedCharge.objects.create(
        gateway="sandbox",
        gateway_reference=intent,
        payment_number=-1,
        amount_minor=500,
        currency="EUR",
        charged_at=now,
        found_at=now,
    )


DEEDS = [
    Deed(
        Event, "pause", TicketsPermission.PAUSE_SALE, event_on_sale, lambda _: Inventory.objects.get().paused
    ),
    Deed(
        Event,
        "resume",
        TicketsPermission.PAUSE_SALE,
        event_paused,
        lambda _: not Inventory.objects.get().paused,
    ),
    Deed(
        Refund,
        "try_again",
        MoneyPermission.RETRY_REFUND,
        refund_refused,
        lambda row: Refund.objects.get(pk=row.pk).status != "FAILURE",
    ),
    Deed(
        Incident,
        "close",
        MoneyPermission.CLOSE_INCIDENT,
        incident,
        lambda row: Incident.objects.get(pk=row.pk).closed_at is not None,
    ),
    Deed(
        UnmatchedCharge,
        "pay_back",
        MoneyPermission.REFUND,
        unmatched_charge,
        lambda _: bool(redis_client.broker().delete(Queue.PAYMENTS)),  # a worker has the task
    ),
    Deed(
        UnmatchedCharge,
        "close",
        MoneyPermission.REFUND,
        unmatched_charge,
        lambda row: UnmatchedCharge.objects.get(pk=row.pk).closed_at is not None,
    ),
]


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: f"{deed.model.__name__}-{deed.action}")
def test_each_role_on_each_action_of_the_admin(
    deed: Deed, people: People, buyer: User, ticket_type: TicketType
) -> None:
    claimed = claim(buyer.pk, ticket_type, 2).reservation["id"]
    for person in people(deed.permission):
        row = deed.make(Reservation.objects.get(pk=claimed))
        rows = f"/admin/{deed.model._meta.app_label}/{deed.model._meta.model_name}/"
        person.browser.post(rows, {"action": deed.action, "_selected_action": [row.pk]})
        assert deed.is_done(row) == person.may(deed.permission), person.role


@pytest.mark.parametrize(
    ("name", "place", "permission"),
    [(name, place, permission) for name, pages in ADMIN_PAGES.items() for place, permission in pages.items()],
)
def test_each_role_on_each_page_of_the_admin(name: str, place: str, permission: str, people: People) -> None:
    for person in people(permission):
        answer = person.browser.get(f"/admin/{name.replace('.', '/')}{address(place)}")
        may_log_in = person.user is not None and person.user.is_staff
        assert answer.get("Location", "").startswith("/admin/login/") == (not may_log_in), person.role
        if may_log_in:
            assert (answer.status_code == 403) == (not person.may(permission)), person.role


@pytest.mark.parametrize("mode", ["money", "staff"])
def test_each_way_to_staff_actions_asks_for_the_second_factor(
    mode: str, user_make: Callable[..., User], settings: Any
) -> None:
    """Let a superuser without it try: nothing that needs the second factor is done or shown."""
    settings.STAFF_SECOND_FACTOR = mode
    root = superuser(user_make)
    browser, api = root.browser, root.api
    asked = {permission for permission in PERMISSIONS if second_factor.is_asked(permission)}
    assert asked == ({*PERMISSIONS} if mode == "staff" else {*MOVES_MONEY, *AccountsPermission})
    for place, permission in guarded(of_api=False):
        sent_to = browser.get(address(place)).get("Location", "").partition("?")[0]
        needs_it = all(map(second_factor.is_asked, {permission, *opened_also_by(place, permission)}))
        assert (sent_to == "/account/second-factor/") == needs_it, place
    for place, permission in guarded(of_api=True):
        code = api.post(address(place)).json().get("code")
        assert (code == "second_factor_required") == second_factor.is_asked(permission), place
    for model in admin.site._registry:
        rows = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        assert browser.get(rows).get("Location", "").startswith("/account/second-factor/"), rows
    for kind, known in streams._definitions.items():
        if known.permission and second_factor.is_asked(known.permission):
            scope = {"headers": [(b"authorization", f"Token {token_of(root.user)}".encode())]}
            with pytest.raises(RefusedError):
                async_to_sync(admit)(scope, kind=kind, stream_id=None)
