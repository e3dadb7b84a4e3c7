"""Tests of one xdist group run in one worker."""

import pytest

GROUP = "systems"


@pytest.mark.xdist_group(GROUP)
def test_a_group_is_known_to_the_scheduler(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("loadgroup", default=False):
        pytest.skip("only pytest-xdist has groups")

    # The scheduler reads the group from the end of the name. A pytest that xdist does not know drops it silently.
    assert request.node.nodeid.endswith(f"@{GROUP}")
