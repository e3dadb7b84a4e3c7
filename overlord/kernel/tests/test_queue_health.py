import time

import pytest
from celery import current_app

from overlord.celery import queue_probe
from overlord.kernel import queue_health, redis_client
from overlord.kernel.queues import Queue


@pytest.fixture(autouse=True)
def nothing_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin with a new second: a process records each queue once a second."""
    monkeypatch.setattr(queue_health, "_last_record", {})


def age(queue: Queue, seconds: int) -> None:
    """Make the record of a queue older."""
    key = f"queue_health:{queue}"
    redis_client.connection().pexpire(key, redis_client.connection().pttl(key) - seconds * 1000)


def test_a_queue_that_was_never_recorded_is_silent_and_its_wait_unknown() -> None:
    assert queue_health.silent_queues([Queue.LIVE]) == [Queue.LIVE]
    assert queue_health.waits() == dict.fromkeys(Queue)


def test_a_queue_is_silent_once_no_task_has_begun_for_ten_seconds() -> None:
    queue_health.task_record(queue=Queue.LIVE, sent_at=time.time())
    assert queue_health.silent_queues([Queue.LIVE]) == []

    age(Queue.LIVE, queue_health.SILENT_SECONDS + 1)

    assert queue_health.silent_queues([Queue.LIVE]) == [Queue.LIVE]


def test_a_wait_is_that_of_the_last_message() -> None:
    queue_health.task_record(queue=Queue.MAIL, sent_at=time.time() - 2)

    wait = queue_health.waits()[Queue.MAIL]

    assert wait is not None
    assert 2 <= wait < 10


def test_a_silent_queue_waits_for_as_long_as_it_is_silent() -> None:
    queue_health.task_record(queue=Queue.MAIL, sent_at=time.time())
    age(Queue.MAIL, 100)

    wait = queue_health.waits()[Queue.MAIL]

    assert wait is not None
    assert 100 <= wait < 200


def test_a_clock_that_is_behind_makes_no_wait_negative() -> None:
    queue_health.task_record(queue=Queue.MAIL, sent_at=time.time() + 30)

    assert queue_health.waits()[Queue.MAIL] == 0


def test_every_message_says_when_it_was_sent() -> None:
    before = time.time()
    queue_probe.apply_async(queue=Queue.MAIL)

    with current_app.connection_for_read() as connection:
        message = connection.SimpleQueue(Queue.MAIL).get_nowait()

    assert before <= message.headers["sent_at"] <= time.time()


def test_beat_probes_every_queue() -> None:
    entries = current_app.conf.beat_schedule.values()
    probed = {entry["options"]["queue"] for entry in entries if entry["task"] == queue_health.PROBE_TASK}

    assert probed == set(Queue)
