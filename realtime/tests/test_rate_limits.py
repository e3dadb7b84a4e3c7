from realtime.rate_limits import Throttle


def test_the_first_frame_goes_at_once_and_the_next_after_the_interval() -> None:
    throttle = Throttle(interval=0.125)
    assert throttle.wait(now=50.0) == 0.0
    throttle.record(now=50.0)
    assert abs(throttle.wait(now=50.04) - 0.085) < 1e-9
    assert throttle.wait(now=50.125) < 1e-9
    assert throttle.wait(now=99.0) == 0.0


def test_a_pause_does_not_allow_a_burst_afterwards() -> None:
    throttle = Throttle(interval=0.125)
    throttle.record(now=10.0)
    throttle.record(now=99.0)
    assert throttle.wait(now=99.0) == 0.125


def test_after_a_rest_a_burst_goes_at_once_and_then_one_each_interval() -> None:
    throttle = Throttle(interval=1.0, burst=3)
    waits = []
    now = 100.0
    for _ in range(6):
        waits.append(throttle.wait(now=now))
        now += waits[-1]
        throttle.record(now=now)
    assert waits == [0, 0, 0, 1, 1, 1]
    assert throttle.wait(now=now + 1.5) == 0
