"""Whoever keeps failing has to wait; nobody else does."""

from __future__ import annotations

from datetime import UTC, datetime

from osaurus_nb.gateway.throttle import Throttle


class Clock:
    """Stands still until told to move on."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


def test_after_the_burst_an_address_waits():
    """Three failures are free, then each costs its time; other addresses are not touched."""
    throttle = Throttle(burst=3, every=10.0, clock=Clock())

    waits = []
    for _ in range(4):
        waits.append(throttle.wait("a"))
        throttle.failed("a")

    assert waits == [0.0, 0.0, 0.0, 10.0]
    assert throttle.wait("b") == 0.0


def test_time_heals():
    """After the wait one more try is free, and after enough time all of them."""
    clock = Clock()
    throttle = Throttle(burst=2, every=10.0, clock=clock)
    for _ in range(2):
        throttle.failed("a")

    clock.seconds += 10
    one_more = throttle.wait("a")
    throttle.failed("a")
    again = throttle.wait("a")
    clock.seconds += 1000

    assert (one_more, again) == (0.0, 10.0)
    assert throttle.wait("a") == 0.0


def test_memory_is_bounded():
    """A flood of addresses makes the quietest ones forgotten, not the table large."""
    throttle = Throttle(burst=1, every=10.0, clock=Clock())

    for number in range(5000):
        throttle.failed(str(number))

    assert throttle.wait("0") == 0.0
    assert throttle.wait("4999") > 0.0
