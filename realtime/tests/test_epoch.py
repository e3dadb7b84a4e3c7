import time

import pytest
from django.core.management import call_command

from overlord.kernel import redis_client
from overlord.kernel.db import rows
from realtime import publish, store
from realtime.store import Frame
from realtime.worker import epoch
from realtime.worker.epoch import epoch_begin
from realtime.worker.flush import draw_version

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


def test_versions_of_a_restored_database_are_above_those_shown_before() -> None:
    before = epoch_begin()
    shown = max(draw_version() for _ in range(50))
    rows("SELECT setval('realtime_version', %s)", [before - 10_000_000])
    assert epoch_begin() > shown


def next_id() -> int:
    return int(rows("SELECT nextval('accounts_user_id_seq') AS id")[0]["id"])


def keep_something() -> None:
    store.frames_store([Frame(stream="events", version=1, data="{}", fingerprint="")])
    publish.values_keep(values=[publish.VersionedValue(key="event:1", field="static", version=1, value={})])


def kept() -> list[str]:
    keys = redis_client.connection().keys("live:*")
    return sorted(key for key in keys if key.startswith(("live:frame:", "live:entry:")))


def test_ids_of_a_database_with_another_history_were_never_given_before() -> None:
    epoch_begin()
    given = next_id()
    epoch_begin()
    assert next_id() == given + 1, "the same history goes on"

    rows("UPDATE realtime_history SET history = 'of the backup'")
    epoch_begin()

    lifted = next_id()
    assert lifted == given + 1 + epoch.IDS_LIFTED_BY + 1
    epoch_begin()
    assert next_id() == lifted + 1, "it is lifted once"


def test_stored_frames_of_another_history_are_deleted() -> None:
    epoch_begin()
    keep_something()
    epoch_begin()
    assert kept() == ["live:entry:event:1", "live:frame:events"]

    rows("UPDATE realtime_history SET history = 'of the backup'")
    epoch_begin()

    assert kept() == []
