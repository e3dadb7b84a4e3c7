"""Our messages equal Celery's, and a worker takes them."""

import base64
import json
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import current_app
from celery.beat import Scheduler
from celery.contrib.testing.worker import start_worker
from kombu.transport.redis import Channel
from kombu.transport.virtual import Message
from redis import ConnectionError as RedisConnectionError
from redis import RedisError
from redis.client import Pipeline

from overlord.celery import app
from overlord.kernel import queue_health, queues, redis_client
from overlord.kernel.queues import Queue
from overlord.worker_liveness import BeatScheduler
from tests.system import eventually

OWN = {"id", "root_id", "origin", "sent_at", "expires"}  # the fields that differ between messages
OWN_PROPERTIES = {"correlation_id", "reply_to", "delivery_tag"}


def taken() -> dict[str, Any]:
    """Return the one message of the queue, decoded."""
    [text] = redis_client.connection().lrange(Queue.UPKEEP, 0, -1)
    redis_client.connection().delete(Queue.UPKEEP)
    message = json.loads(text)
    return {**message, "body": json.loads(base64.b64decode(message["body"]))}


@pytest.mark.parametrize("expires", [None, 10, 2.5])
@pytest.mark.parametrize("ids", [{}, {"payment_id": 7}, {"a": 1, "b": 2**62}])
def test_our_message_equals_that_of_celery(ids: dict[str, int], expires: float | None) -> None:
    current_app.send_task(
        "some.task", kwargs=ids, queue=Queue.UPKEEP, expires=expires, retry=False, ignore_result=True
    )
    theirs = taken()
    assert queues.enqueue("some.task", Queue.UPKEEP, expires=expires, **ids)
    ours = taken()

    for message in (ours, theirs):
        assert (message["headers"]["expires"] is None) == (expires is None)
    assert alike(ours) == alike(theirs)


def alike(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message with the types of the fields that differ between messages."""
    headers, properties = message["headers"], message["properties"]
    assert headers["id"] == headers["root_id"] == properties["correlation_id"]
    for name in OWN:
        headers[name] = type(headers[name])
    for name in OWN_PROPERTIES:
        properties[name] = type(properties[name])
    return message


def test_beat_sends_such_a_message_and_looks_again_when_the_next_is_due() -> None:
    scheduler = BeatScheduler(app=app)
    scheduler.apply_async(scheduler.schedule["sample-stats"], advance=False)

    headers = taken()["headers"]
    assert headers["task"] == "stats.sample"
    assert headers["expires"] is not None
    assert scheduler.adjust(0.25) == 0.25
    assert Scheduler(app=app, lazy=True).adjust(0.25) < 0.25, "the control"


class NeverAnew(BeatScheduler):
    """Does what Celery's own scheduler does when the clock is set back."""

    def _set_all_to_now(self) -> None:
        pass


def test_each_task_of_ours_has_a_queue() -> None:
    app.loader.import_default_modules()
    ours = {name for name in app.tasks if not name.startswith(("celery.", "tests."))}
    assert ours - {queue_health.PROBE_TASK} == set(queues.ROUTES)


@pytest.mark.parametrize("task", queues.ROUTES)
def test_a_task_goes_to_its_queue(task: str) -> None:
    redis = redis_client.broker()
    before = {queue: redis.llen(queue) for queue in Queue}
    assert queues.enqueue(task)

    assert {queue for queue in Queue if redis.llen(queue) > before[queue]} == {queues.ROUTES[task]}
    redis.delete(*Queue)


def test_a_task_without_a_queue_is_refused() -> None:
    with pytest.raises(KeyError):
        queues.enqueue("some.task")


@pytest.mark.parametrize(("kind", "goes_on"), [(BeatScheduler, True), (NeverAnew, False)])
@pytest.mark.parametrize("back", [timedelta(seconds=30), timedelta(hours=2), timedelta(days=365)])
def test_beat_goes_on_when_the_clock_is_set_back(
    monkeypatch: pytest.MonkeyPatch, kind: type[BeatScheduler], goes_on: bool, back: timedelta
) -> None:
    instants = [datetime(2026, 11, 27, 12, tzinfo=UTC)]
    monkeypatch.setattr(app, "now", lambda: instants[-1])
    scheduler = kind(app=app)

    def sends(after: timedelta) -> bool:
        """Let the clock show another time, and return whether beat has sent what it sends each second."""
        instants.append(instants[-1] + after)
        while scheduler.tick() == 0:
            pass
        return bool(redis_client.broker().delete(Queue.LIVE))

    assert not sends(timedelta())
    assert sends(timedelta(seconds=2))
    assert not sends(-back)
    assert sends(timedelta(seconds=2)) == goes_on
    assert sends(back)


def test_each_message_has_its_own_id() -> None:
    made = [json.loads(queues.message("t", queue=Queue.UPKEEP, expires=None, ids={})) for _ in range(50)]
    assert len({message["headers"]["id"] for message in made}) == 50
    assert len({message["properties"]["delivery_tag"] for message in made}) == 50


def test_a_worker_takes_our_message_and_drops_one_that_waited_too_long() -> None:
    seen: list[int] = []

    @app.task(name="tests.seen")
    def note(number: int) -> None:
        seen.append(number)

    queues.enqueue("tests.seen", Queue.UPKEEP, expires=-1, number=1)
    queues.enqueue("tests.seen", Queue.UPKEEP, expires=60, number=2)
    queues.enqueue("tests.seen", Queue.UPKEEP, number=3)
    with start_worker(app, pool="solo", queues=[Queue.UPKEEP], perform_ping_check=False):
        eventually(lambda: len(seen) >= 2)
    assert seen == [2, 3]


def take(channel: Channel, *, times: int) -> list[Message]:
    """Send so many messages, and take each from the queue."""
    for _ in range(times):
        queues.enqueue("some.task", Queue.UPKEEP)
    return [channel.basic_get(Queue.UPKEEP) for _ in range(times)]


@pytest.mark.parametrize("in_redis", [False, True])
def test_an_acknowledgement_needs_no_redis_and_frees_its_place(
    monkeypatch: pytest.MonkeyPatch, in_redis: bool
) -> None:
    """Show as the control that acknowledgements in Redis that fail keep the worker from all further messages."""
    options = {**app.conf.broker_transport_options, **({"ack_emulation": True} if in_redis else {})}
    with app.connection_for_read(transport_options=options) as connection:
        channel = connection.channel()
        channel.basic_qos(0, 2, False)
        taken_messages = take(channel, times=2)
        assert not channel.qos.can_consume()
        monkeypatch.setattr(Pipeline, "execute", _fail)
        for message in taken_messages:
            with pytest.raises(RedisError) if in_redis else nullcontext():
                message.ack()
        monkeypatch.undo()
        assert channel.qos.can_consume() is not in_redis


def _fail(_: Pipeline, *_args: object) -> None:
    raise RedisConnectionError("Connection closed by server.")
