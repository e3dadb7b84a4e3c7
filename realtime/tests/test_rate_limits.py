from realtime.rate_limits import Pace


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


def test_after_a_rest_a_burst_goes_at_once_and_then_one_each_interval() -> None:
    pace = Pace(interval=1.0, burst=3)
    waits = []
    now = 100.0
    for _ in range(6):
        waits.append(pace.wait(now=now))
        now += waits[-1]
        pace.sent(now=now)
    assert waits == [0, 0, 0, 1, 1, 1]
    assert pace.wait(now=now + 1.5) == 0
