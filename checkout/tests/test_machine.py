"""The invariants hold after any use cases in any order: stateful tests.

By default 100 runs of 40 steps, always the same. `bin/test checkout/tests/test_machine.py --machine 1000x60` makes
1,000 runs of 60 steps, different ones each time.
"""

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from checkout.tests.machine import Shop

pytestmark = pytest.mark.django_db(transaction=True)

DEFAULT = "100x40"


@pytest.mark.timeout(0)  # it expires
def test_any_sequence_keeps_the_invariants(request: pytest.FixtureRequest) -> None:
    asked = request.config.getoption("--machine")
    runs, steps = (int(number) for number in (asked or DEFAULT).split("x"))
    run_state_machine_as_test(
        Shop,
        settings=hypothesis_settings(
            max_examples=runs,
            stateful_step_count=steps,
            derandomize=not asked,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
