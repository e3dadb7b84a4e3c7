"""After the restore of a backup, the first read and the first frame already show the restored database."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from overlord.kernel import db
from realtime import publish, store, streams
from realtime.store import Frame
from realtime.worker.epoch import epoch_begin
from tickets import availability
from tickets.models import Inventory, TicketType

pytestmark = pytest.mark.django_db


@pytest.fixture
def later_sale(ticket_type: TicketType) -> TicketType:
    """Keep sales after the backup in Redis: as later versions that were read a moment ago."""
    epoch_begin()
    inventory = Inventory.objects.filter(ticket_type=ticket_type)
    [before] = inventory.values("sold", "version")
    inventory.update(sold=40, version=before["version"] + 1000)
    availability.refresh([ticket_type.event_id], now=timezone.now())
    stream = streams.event(ticket_type.event_id)
    store.frames_store([Frame(stream=stream, version=9_000_000_000_000_000, data='"later"', fingerprint="x")])
    inventory.update(**before)
    db.rows("UPDATE realtime_history SET history = 'of the backup'")
    return ticket_type


def sold(ticket_type: TicketType) -> int:
    shown = availability.event_detail(event_id=ticket_type.event_id, now=timezone.now())
    return int(shown["tickets"][0]["sold"])


def test_the_first_read_is_right_and_the_next_one_comes_from_the_cache(later_sale: TicketType) -> None:
    epoch_begin()
    assert sold(later_sale) == 0
    with CaptureQueriesContext(connection) as context:
        assert sold(later_sale) == 0
    assert len(context) == 0, (
        "reads would go past the cache until the versions of the lost history are reached"
    )


def test_no_frame_of_the_lost_history_is_shown(later_sale: TicketType) -> None:
    epoch_begin()
    assert publish.values_read(key=f"event:{later_sale.event_id}") == {}
    [outcome] = store.frames_store(
        [Frame(stream=streams.event(later_sale.event_id), version=1, data='"restored"', fingerprint="y")]
    )
    assert outcome == "new"


def test_control_without_the_deletion_reads_and_frames_are_wrong(
    later_sale: TicketType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leave the deletion out, as a negative control."""
    monkeypatch.setattr(store, "kept_delete", lambda: None)
    epoch_begin()
    assert sold(later_sale) == 40
