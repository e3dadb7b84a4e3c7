"""The running system, for the tests that need every process."""

from collections.abc import Generator, Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests import whole_system
from tests.system import System

USERS_END = pytest.StashKey[bool]()  # whether the next test does not use the running system


def uses_the_system(item: pytest.Item | None) -> bool:
    return "system" in getattr(item, "fixturenames", ())


def place(item: pytest.Item) -> int:
    """Return the order of a test: first those on the shared system, then those on their own, then all others."""
    if not uses_the_system(item):
        return 2
    return 1 if item.get_closest_marker("own_system") else 0


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, object, object]:
    """Put the tests on the running system one after the other, and into one worker of pytest-xdist."""
    # This hook is a wrapper because pytest-xdist reads the marks before a plain hook here would run.
    for item in filter(uses_the_system, items):
        item.add_marker(pytest.mark.xdist_group("systems"))
    result = yield
    items.sort(key=place)
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    item.stash[USERS_END] = not uses_the_system(nextitem)


@pytest.fixture
def system(
    request: pytest.FixtureRequest,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[System]:
    """Return the running system, with access to its database. Close the test's connections at its end.

    Such a test is not marked `django_db`, since emptying tables while workers use them would be a deadlock. Each
    test makes its own rows and leaves them. The tables are emptied once the processes have stopped.
    """
    own = request.node.get_closest_marker("own_system") is not None
    with django_db_blocker.unblock():
        if own:
            whole_system.stop()
        shared = whole_system.shared(tmp_path_factory.mktemp("system"))
        with shared.opened:
            yield shared
        if own or request.node.stash[USERS_END]:
            whole_system.stop()
