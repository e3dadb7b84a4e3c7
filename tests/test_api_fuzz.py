"""The API against its own schema: for any input of any role, each answer is a documented one, and none is a 5xx.

Schemathesis makes requests that the schema allows and requests that it does not, the same ones in every run. Each
operation begins with a token of its own, because some end all tokens.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import Group
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis import Case, GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import positive_data_acceptance

from checkout.gateways import ledger
from checkout.tests.invariants import EMPTY_LEDGER, READINGS
from overlord.accounts.models import User
from overlord.box_office.roles import ROLES, roles_make
from overlord.kernel import db
from overlord.kernel.errors import Invalid
from overlord.wsgi import application
from tests.clients import api_of, token_of
from tickets import availability
from tickets.models import TicketType
from tickets.tests.reserving import reserve

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(900)]

# A request that the schema allows is accepted, or refused because of the shop's state, such as an ended hold.
CONFIG = SchemathesisConfig.from_dict(
    {
        "checks": {
            "positive_data_acceptance": {
                "expected-statuses": ["2xx", "3xx", "401", "403", "404", "409", "410", "412", "429"]
            }
        }
    }
)
# These answer 400 to values that no schema can rule out: a wrong password, a taken name, a cursor that was never
# issued, a message that nobody signed, pixels that are no picture.
KNOWN_BY_THE_SHOP = {
    "POST /register/", "POST /register/claim/", "POST /api-auth/login/", "POST /payment/webhooks/{gateway}/",
    "GET /event/events/", "GET /event/reservations/", "GET /payment/payments/", "POST /door/pictures/",
}  # fmt: skip
EXAMPLES = {"anonymous": 2, "guest": 1, "buyer": 3, "Organiser": 3, "Box office": 1, "Door": 1, "Viewer": 1}
NOTHING_TO_SPOIL = {  # operations for which the schema allows every request
    "POST /api-auth/logout/", "POST /api-auth/logout-all/", "POST /payment/webhooks/{gateway}/",
    "POST /register/guest/", "GET /stats/events/top_popular/", "GET /stats/events/top_profit/",
    "GET /stats/events/top_selling/", "GET /stats/tickets/", "GET /api-auth/tokens/",
}  # fmt: skip


def person(role: str, user_make: Callable[..., User]) -> User | None:
    """Make a user with a role; None for `anonymous`."""
    if role == "anonymous":
        return None
    if role == "guest":
        return User.objects.create(username="guest-of-the-fuzz", email="", is_guest=True)
    made = user_make(is_staff=role in ROLES)
    if role in ROLES:
        roles_make()
        made.groups.add(Group.objects.get(name=role))
    return made


def facts(user: User, ticket_type: TicketType) -> dict[str, Any]:
    """Return the ids of existing rows, by the names of path parameters."""
    api = api_of(user)
    held = reserve(api, ticket_type, 1).json()["id"]
    payment = api.post("/payment/payments/", {"reservation_id": held}, format="json").json()["id"]
    return {
        "event_id": ticket_type.event_id,
        "ticket_type": ticket_type.pk,
        "reservation_id": held,
        "payment_id": payment,
        "gateway": "sandbox",
    }


def strategies(operation: APIOperation, known: dict[str, Any]) -> Iterator[Any]:
    """Yield strategies for requests: allowed ones about rows that exist and that do not, and forbidden ones."""
    named = [each.name for each in operation.path_parameters]
    there = {name: known[name] for name in named if name in known}
    yield operation.as_strategy(generation_mode=GenerationMode.POSITIVE, path_parameters=there)
    if there:
        yield operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if operation.label not in NOTHING_TO_SPOIL:
        yield operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)


def tried(case: Case, headers: dict[str, str]) -> list[str]:
    """Send a request, and return the faults of the answer."""
    excluded = [positive_data_acceptance] if case.operation.label in KNOWN_BY_THE_SHOP else []
    try:
        case.call_and_validate(headers=headers, excluded_checks=excluded)
    except FailureGroup as failed:
        return [f"{case.operation.label}: {each}\n{case.as_curl_command()}" for each in failed.exceptions]
    except Failure as failed:
        return [f"{case.operation.label}: {failed}\n{case.as_curl_command()}"]
    return []


def sender(headers: dict[str, str], wrong: list[str]) -> Callable[[Case], None]:
    """Return the function that Hypothesis calls with each request."""

    def send(case: Case) -> None:
        wrong.extend(tried(case, headers))

    return send


def wrong_answers(
    operations: list[APIOperation], somebody: User | None, known: dict[str, Any], *, examples: int
) -> list[str]:
    """Send requests to each operation, and return the faults of the answers."""
    quietly = hypothesis_settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    wrong: list[str] = []
    for operation in operations:
        headers = {"Authorization": f"Token {token_of(somebody)}"} if somebody else {}
        for strategy in strategies(operation, known):
            quietly(given(strategy)(sender(headers, wrong)))()
    return wrong


def all_operations() -> list[APIOperation]:
    schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", application, config=CONFIG)
    return [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]


@pytest.mark.parametrize("role", EXAMPLES)
def test_every_answer_is_a_documented_one(
    role: str, user_make: Callable[..., User], buyer: User, ticket_type: TicketType
) -> None:
    with ledger.opened() as book:  # makes its tables, if no payment has done so yet
        book.rows(EMPTY_LEDGER)
    somebody = person(role, user_make)
    known = facts(somebody if somebody and role != "guest" else buyer, ticket_type)
    operations = all_operations()
    wrong = wrong_answers(operations, somebody, known, examples=EXAMPLES[role])

    assert len(operations) > 40
    assert wrong == [], "\n\n".join(wrong)
    assert {name: found for name, asked in READINGS.items() if (found := db.rows(asked))} == {}


def undocumented(**_facts: Any) -> dict[str, str]:
    return {"a field": "that no schema has"}


def broken(**_facts: Any) -> dict[str, str]:
    raise RuntimeError("a fault of ours")


def refused(**_facts: Any) -> dict[str, str]:
    raise Invalid()


@pytest.mark.parametrize("fault", [undocumented, broken, refused])
def test_a_wrong_answer_is_noticed(
    fault: Any, ticket_type: TicketType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability, "ticket_type_detail", fault)
    [operation] = [each for each in all_operations() if each.label == "GET /event/tickets/{ticket_type}/"]

    assert wrong_answers([operation], None, {"ticket_type": ticket_type.pk}, examples=2) != []
