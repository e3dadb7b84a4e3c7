"""What a process knows of its synchronous standby, and what PostgreSQL's warnings are taken for."""

import pytest

from overlord.kernel.postgresql.standby import RETRY_SECONDS, Notices, Standby, StandbyAway


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


def test_nothing_is_probed_as_long_as_commits_reach_it(standby: Standby) -> None:
    standby.admit(never)
    assert not standby.is_away


def test_after_one_that_did_not_nothing_is_tried_for_a_while(standby: Standby) -> None:
    standby.missed()
    with pytest.raises(StandbyAway):
        standby.admit(never)
    assert standby.is_away


def test_then_one_probes_and_the_others_fail_at_once(standby: Standby, clock: Clock) -> None:
    standby.missed()
    clock.now += RETRY_SECONDS

    def probe() -> None:
        with pytest.raises(StandbyAway):
            standby.admit(never)

    standby.admit(probe)
    assert not standby.is_away
    standby.admit(never)


def test_a_probe_in_vain_begins_the_pause_anew(standby: Standby, clock: Clock) -> None:
    standby.missed()
    clock.now += RETRY_SECONDS
    with pytest.raises(Vain):
        standby.admit(fail)
    with pytest.raises(StandbyAway):
        standby.admit(never)
    clock.now += RETRY_SECONDS
    standby.admit(lambda: None)
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
def test_what_is_no_harmless_notice_is_a_warning(text: str, is_warning: bool) -> None:
    notices = Notices()
    notices.append(text)
    assert bool(notices.warning) is is_warning
    notices.forget()
    assert not notices.warning
