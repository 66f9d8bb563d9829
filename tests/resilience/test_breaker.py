"""The state machine of one breaker, and all that can happen to it in any order."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from osaurus_nb.resilience.breaker import DEFAULT, Breaker, Limits


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(DEFAULT.in_a_row):
        breaker.failed(entered(breaker, now), now, "down")
    return breaker


def entered(breaker: Breaker, now: float) -> int:
    era = breaker.enter(now)
    assert era is not None
    return era


def test_five_failures_in_a_row_open_it() -> None:
    """Four do not, and one answer among them begins the row anew."""
    breaker = Breaker()

    for good in (False, False, False, False, True, False, False, False, False):
        era = entered(breaker, 0.0)
        if good:
            breaker.succeeded(era, 0.0)
        else:
            breaker.failed(era, 0.0, "down")

    assert breaker.state == "closed"
    breaker.failed(entered(breaker, 0.0), 0.0, "down")
    assert (breaker.state, breaker.until, breaker.last) == ("open", 30.0, "down")
    assert breaker.enter(29.9) is None


def test_half_of_ten_calls_open_it() -> None:
    """Failing every second time is failing, once there were enough calls to say so."""
    breaker = Breaker()

    states = []
    for number in range(10):
        era = entered(breaker, number)
        if number % 2 == 0:
            breaker.succeeded(era, number)
        else:
            breaker.failed(era, number, "down")
        states.append(breaker.state)

    assert states == ["closed"] * 9 + ["open"]


def test_what_is_older_than_the_window_does_not_count() -> None:
    """Half of ten over minutes is no outage."""
    breaker = Breaker()

    for number in range(40):
        now = number * 4.0
        era = entered(breaker, now)
        if number % 2 == 0:
            breaker.succeeded(era, now)
        else:
            breaker.failed(era, now, "down")

    assert breaker.state == "closed"


def test_it_stays_open_twice_as_long_after_each_failed_probe() -> None:
    """From half a minute to ten minutes and no longer; the first good probe takes it all back."""
    breaker, now = opened(), 0.0

    spans = []
    for _ in range(7):
        spans.append((breaker.until or 0.0) - now)
        now = breaker.until or 0.0
        breaker.failed(entered(breaker, now), now, "down")

    assert spans == [30, 60, 120, 240, 480, 600, 600]
    now = breaker.until or 0.0
    breaker.succeeded(entered(breaker, now), now)
    assert (breaker.state, breaker.until) == ("closed", None)
    for _ in range(DEFAULT.in_a_row):
        breaker.failed(entered(breaker, now), now, "down")
    assert breaker.until == now + 30


def test_a_cancelled_probe_gives_its_place_back() -> None:
    """The next who asks is the probe, at once; nothing was learnt and nothing is held against anybody."""
    breaker = opened()
    first = entered(breaker, 30.0)
    assert breaker.enter(30.0) is None

    breaker.cancelled(first)

    second = entered(breaker, 30.0)
    breaker.failed(first, 30.0, "late word of the cancelled one")
    assert (breaker.state, breaker.last) == ("half-open", "down")
    breaker.succeeded(second, 30.0)
    assert breaker.state == "closed"


def test_a_probe_that_shows_a_word_lets_all_others_in() -> None:
    """A long answer keeps nobody waiting for its end, and if it breaks off later that counts once more."""
    breaker = opened()
    probe = entered(breaker, 30.0)

    probe = breaker.answering(probe)

    assert breaker.state == "closed"
    breaker.failed(probe, 40.0, "cut")
    assert (breaker.state, breaker.last) == ("closed", "cut")


def test_what_was_before_a_good_probe_is_forgotten() -> None:
    """Old failures and a single new one are no outage, however short it was open."""
    breaker = Breaker(Limits(first=1.0))
    for _ in range(5):
        breaker.failed(entered(breaker, 0.0), 0.0, "down")
    breaker.succeeded(entered(breaker, 1.0), 1.0)

    for number in range(9):
        era = entered(breaker, 2.0)
        if number % 3 == 0:
            breaker.failed(era, 2.0, "down")
        else:
            breaker.succeeded(era, 2.0)

    assert breaker.state == "closed"


@pytest.mark.parametrize("late", ["succeeded", "failed", "cancelled", "answering"])
def test_who_began_before_it_opened_changes_nothing(late: str) -> None:
    """What was sent before an outage neither ends nor prolongs it."""
    breaker = Breaker()
    early = entered(breaker, 0.0)
    for _ in range(DEFAULT.in_a_row):
        breaker.failed(entered(breaker, 0.0), 0.0, "down")
    tell = {
        "succeeded": lambda: breaker.succeeded(early, 10.0),
        "failed": lambda: breaker.failed(early, 10.0, "late"),
        "cancelled": lambda: breaker.cancelled(early),
        "answering": lambda: breaker.answering(early),
    }[late]

    tell()
    assert (breaker.state, breaker.until, breaker.last) == ("open", 30.0, "down")
    probe = entered(breaker, 30.0)
    tell()
    assert breaker.state == "half-open"
    breaker.succeeded(probe, 30.0)
    assert breaker.state == "closed"


class AnyOrder(RuleBasedStateMachine):
    """Calls begin, end in every way and in any order, and time goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now = 0.0
        self.running: list[int] = []
        self.probe: int | None = None
        self.failures: list[float] = []
        self.in_a_row = 0

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 5.0, 29.0, 30.0, 31.0, 600.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def somebody_asks(self) -> None:
        before = self.breaker.state
        era = self.breaker.enter(self.now)
        if before == "half-open":
            assert era is None, "a second probe"
        if before == "closed":
            assert era is not None, "refused without cause"
        if era is None:
            return
        if before == "open":
            assert self.breaker.until is not None
            assert self.now >= self.breaker.until
            assert self.probe is None
            self.probe = era
        self.running.append(era)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), how=st.sampled_from(["succeeded", "failed", "failed", "cancelled", "answering"]))
    def one_is_told(self, data: st.DataObject, how: str) -> None:
        era = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        before, failures = self.breaker.state, self.breaker.last
        match how:
            case "succeeded":
                self.breaker.succeeded(era, self.now)
            case "failed":
                self.breaker.failed(era, self.now, "down")
            case "answering":
                self.running.append(self.breaker.answering(era))
            case _:
                self.breaker.cancelled(era)
        after = self.breaker.state
        if before == "closed" and after == "open":
            assert how == "failed", f"opened by one that {how}"
        if before == "half-open":
            assert (after != before) == (era == self.probe), "another than the probe decided"
            assert after == {"failed": "open", "cancelled": "open"}.get(how, "closed") or era != self.probe
        if before == "open":
            assert after == "open", "closed without a probe"
        if how != "failed":
            assert self.breaker.last == failures
        if after != "half-open":
            self.probe = None

    @invariant()
    def it_never_stays_open_for_more_than_ten_minutes(self) -> None:
        if self.breaker.state == "open":
            assert self.breaker.until is not None
            assert self.breaker.until - self.now <= DEFAULT.longest

    @invariant()
    def who_looks_is_told_what_who_asks_finds(self) -> None:
        wait = self.breaker.wait(self.now)
        assert (wait is None) == (
            self.breaker.state == "closed" or (self.breaker.state == "open" and self.now >= (self.breaker.until or 0.0))
        )

    def teardown(self) -> None:
        """Whatever happened: one good probe, and all is as it was."""
        if self.probe is not None:
            self.breaker.cancelled(self.probe)
        self.now += DEFAULT.longest
        self.breaker.succeeded(entered(self.breaker, self.now), self.now)
        assert self.breaker.state == "closed"


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
