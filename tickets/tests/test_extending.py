"""A hold can be extended: to five minutes from now, and to thirty minutes in all."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from rest_framework.test import APIClient

from overlord.accounts.models import User
from tests.clients import api_of
from tickets import projections, rules, services
from tickets.models import Inventory, Reservation, TicketType
from tickets.tests.reserving import claim

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def until(*, state: str = "held", age: timedelta, left: timedelta) -> timedelta:
    """Return the time that is left after extending a hold of this age with this time left."""
    extended = rules.extended_until(state=state, created=NOON - age, expires_at=NOON + left, now=NOON)
    return extended - NOON


class TestTheRule:
    def test_a_hold_is_extended_to_five_minutes_from_now(self) -> None:
        assert until(age=14 * MINUTE, left=MINUTE) == 5 * MINUTE

    def test_at_most_thirty_minutes_in_all(self) -> None:
        assert until(age=27 * MINUTE, left=MINUTE) == 3 * MINUTE

    def test_a_hold_never_gets_shorter(self) -> None:
        assert until(age=MINUTE, left=14 * MINUTE) == 14 * MINUTE

    @pytest.mark.parametrize("state", ["paying", "validated", "expired", "released"])
    def test_only_a_hold_can_be_extended(self, state: str) -> None:
        with pytest.raises(rules.NotExtendable):
            until(state=state, age=MINUTE, left=MINUTE)

    @pytest.mark.parametrize(("age", "left"), [(15 * MINUTE, 0 * MINUTE), (25 * MINUTE, 5 * MINUTE)])
    def test_neither_a_due_hold_nor_one_at_its_limit_is_extended(
        self, age: timedelta, left: timedelta
    ) -> None:
        with pytest.raises(rules.NotExtendable):
            until(age=age, left=left)


@pytest.mark.django_db(transaction=True)
class TestTheAPI:
    def test_the_api_extends_a_hold_near_its_end(
        self, api: APIClient, buyer: User, ticket_type: TicketType
    ) -> None:
        held = claim(buyer.pk, ticket_type).reservation
        Reservation.objects.filter(pk=held["id"]).update(expires_at=held["created"] + MINUTE)
        before = Inventory.objects.get(pk=ticket_type.pk).version
        answer = api.post(f"/event/reservations/{held['id']}/extend/")
        assert answer.status_code == 200
        assert 200 < answer.json()["expires_in"] <= 300
        assert Inventory.objects.get(pk=ticket_type.pk).version == before + 1

    def test_the_api_refuses_an_ended_hold_and_one_of_another_buyer(
        self, api: APIClient, buyer: User, ticket_type: TicketType, user_make: Callable[..., User]
    ) -> None:
        held = claim(buyer.pk, ticket_type).reservation
        path = f"/event/reservations/{held['id']}/extend/"
        assert api_of(user_make()).post(path).status_code == 404
        services.reservation_release(buyer_id=buyer.pk, reservation_id=held["id"])
        refused = api.post(path)
        assert (refused.status_code, refused.json()["code"]) == (409, "not_extendable")

    @pytest.mark.parametrize("change", ["extend", "resize"])
    def test_a_change_is_answered_as_done_although_the_hold_ends_right_after_it(
        self,
        api: APIClient,
        buyer: User,
        ticket_type: TicketType,
        monkeypatch: pytest.MonkeyPatch,
        change: str,
    ) -> None:
        held = claim(buyer.pk, ticket_type).reservation
        mine = Reservation.objects.filter(pk=held["id"])
        mine.update(expires_at=held["created"] + MINUTE)

        def ends_meanwhile(**_: object) -> None:
            monkeypatch.undo()
            mine.update(created=held["created"] - 20 * MINUTE, expires_at=held["created"] - MINUTE)
            services.due_holds_release(ticket_type=ticket_type.pk)

        monkeypatch.setattr(projections, "announce", ends_meanwhile)
        path = f"/event/reservations/{held['id']}/"
        answer = (
            api.post(f"{path}extend/")
            if change == "extend"
            else api.patch(path, {"amount": 2}, format="json")
        )
        assert answer.status_code == 200
        assert answer.json()["state"] == "expired"
        assert answer.json()["amount"] == mine.get().quantity
        assert api.get(path).status_code == 410
