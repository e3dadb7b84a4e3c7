"""Tests of one xdist group run in one worker, and all tests on the running system are in one group."""

import pytest

GROUP = "systems"


@pytest.mark.xdist_group(GROUP)
def test_a_group_is_known_to_the_scheduler(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("loadgroup", default=False):
        pytest.skip("only pytest-xdist has groups")

    # The scheduler reads the group from the end of a test's name. A new version of pytest may drop it silently.
    assert request.node.nodeid.endswith(f"@{GROUP}")


def test_all_tests_on_the_running_system_are_one_group(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("loadgroup", default=False):
        pytest.skip("only pytest-xdist has groups")

    users = [item for item in request.session.items if "system" in getattr(item, "fixturenames", ())]
    assert {item.nodeid for item in users if not item.nodeid.endswith(f"@{GROUP}")} == set()


def test_the_system_is_started_once_for_all_that_share_it(request: pytest.FixtureRequest) -> None:
    """Check that tests on their own system come last. In between, the others would start theirs a second time."""
    users = [item for item in request.session.items if "system" in getattr(item, "fixturenames", ())]
    own = [item.get_closest_marker("own_system") is not None for item in users]
    assert own == sorted(own)
    assert request.session.items[: len(users)] == users
