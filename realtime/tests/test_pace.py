from realtime.pace import Pace


def test_the_first_goes_at_once_and_the_next_after_the_interval() -> None:
    pace = Pace(interval=0.125)
    assert pace.wait(now=50.0) == 0.0
    pace.sent(now=50.0)
    assert abs(pace.wait(now=50.04) - 0.085) < 1e-9
    assert pace.wait(now=50.125) < 1e-9
    assert pace.wait(now=99.0) == 0.0


def test_a_pause_does_not_allow_a_burst_afterwards() -> None:
    pace = Pace(interval=0.125)
    pace.sent(now=10.0)
    pace.sent(now=99.0)
    assert pace.wait(now=99.0) == 0.125
