"""What a process knows about its synchronous standby, and how it reads PostgreSQL's warnings."""

from contextlib import nullcontext

import pytest

from overlord.kernel import db
from overlord.kernel.postgresql.standby import RETRY_SECONDS, Notices, Standby, StandbyAway
from overlord.kernel.postgresql.standby import standby as the_standby


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Vain(Exception):
    """A probe did not reach the standby."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def standby(clock: Clock) -> Standby:
    return Standby(clock=clock)


def fail() -> None:
    raise Vain


def never() -> None:
    raise AssertionError("nobody probes")


def test_nothing_is_probed_while_commits_reach_the_standby(standby: Standby) -> None:
    standby.check(never)
    assert not standby.is_away


def test_after_a_commit_in_vain_nothing_is_tried_for_a_while(standby: Standby) -> None:
    standby.missed()
    with pytest.raises(StandbyAway):
        standby.check(never)
    assert standby.is_away


def test_after_the_pause_one_probes_and_the_others_fail_at_once(standby: Standby, clock: Clock) -> None:
    standby.missed()
    clock.now += RETRY_SECONDS

    def probe() -> None:
        with pytest.raises(StandbyAway):
            standby.check(never)

    standby.check(probe)
    assert not standby.is_away
    standby.check(never)


def test_a_probe_in_vain_starts_the_pause_again(standby: Standby, clock: Clock) -> None:
    standby.missed()
    clock.now += RETRY_SECONDS
    with pytest.raises(Vain):
        standby.check(fail)
    with pytest.raises(StandbyAway):
        standby.check(never)
    clock.now += RETRY_SECONDS
    standby.check(lambda: None)
    assert not standby.is_away


@pytest.mark.parametrize(
    ("text", "is_warning"),
    [
        ("WARNING:  canceling wait for synchronous replication due to user request\nDETAIL:  ...\n", True),
        ("WARNUNG:  storniere Warten auf synchrone Replikation wegen Benutzeraufforderung\n", True),
        ("NOTICE:  table does not exist, skipping\n", False),
        ("INFO:  vacuuming\n", False),
    ],
)
def test_only_warnings_about_the_standby_make_a_commit_unknown(text: str, is_warning: bool) -> None:
    notices = Notices()
    notices.append(text)
    assert bool(notices.warning) is is_warning
    notices.forget()
    assert not notices.warning


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_warning_about_something_else_makes_no_commit_unknown(in_transaction: bool) -> None:
    # PostgreSQL warns that this process does not exist.
    nobody = "SELECT pg_cancel_backend(2147483647) AS found"
    with db.transaction() if in_transaction else nullcontext():
        assert db.rows(nobody) == [{"found": False}]
    assert db.rows("SELECT 1 AS found") == [{"found": 1}]
    assert not the_standby.is_away
