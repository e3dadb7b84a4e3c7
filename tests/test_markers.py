"""`bin/test --fast` finds out from marks and fixtures which tests need the database."""

import pytest

from overlord.accounts.models import User
from tests import servers


def test_a_test_that_asks_for_no_database_has_none(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("database") is None
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        User.objects.exists()


@pytest.mark.django_db
def test_a_test_that_is_marked_django_db_needs_the_database(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("database")
    assert not User.objects.exists()


@pytest.mark.parametrize("fixture", ["db", "transactional_db", "postgres"])
def test_a_test_that_has_a_fixture_of_the_database_needs_it(
    request: pytest.FixtureRequest, fixture: str
) -> None:
    known = [item for item in request.session.items if fixture in getattr(item, "fixturenames", ())]
    assert [item.nodeid for item in known if not servers.uses_database(item)] == []


def test_postgresql_is_not_started_for_tests_that_do_not_need_it(request: pytest.FixtureRequest) -> None:
    """Check only `bin/test --fast`: in the whole run, other tests need it."""
    items = request.session.items
    needed = any(
        item.get_closest_marker("database") or item.get_closest_marker("processes") for item in items
    )
    assert needed or "postgres" not in {child.program.name for child in servers._started}
