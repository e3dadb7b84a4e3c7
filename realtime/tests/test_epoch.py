import time

import pytest
from django.core.management import call_command

from overlord.kernel.db import rows
from realtime.worker.flush import draw_version, epoch_begin

pytestmark = pytest.mark.django_db

LARGEST_EXACT_IN_JAVASCRIPT = 2**53 - 1


def test_versions_begin_at_the_present_microsecond_and_rise_by_one() -> None:
    call_command("live_epoch", verbosity=0)
    first = draw_version()
    assert abs(first / 1e6 - time.time()) < 60
    assert draw_version() == first + 1
    assert first < LARGEST_EXACT_IN_JAVASCRIPT


def test_a_version_that_is_higher_already_stays() -> None:
    rows("SELECT setval('realtime_version', %s)", [9_000_000_000_000_000])
    assert epoch_begin() == 9_000_000_000_000_000
    assert draw_version() == 9_000_000_000_000_001
    rows("SELECT setval('realtime_version', 1)")


def test_a_restored_database_is_above_what_was_shown_before() -> None:
    before = epoch_begin()
    shown = max(draw_version() for _ in range(50))
    rows("SELECT setval('realtime_version', %s)", [before - 10_000_000])
    assert epoch_begin() > shown
