"""Whether and when one is asked again: pauses, the budget for repeats, and both under a deadline."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb import errors
from osaurus_nb.resilience.backoff import Backoff
from osaurus_nb.resilience.classify import Verdict, classify
from osaurus_nb.resilience.deadline import Deadline
from osaurus_nb.resilience.repeats import HURRY, PATIENCE, Repeats
from osaurus_nb.resilience.retry_budget import RetryBudget

FAILING = classify(errors.Unavailable("503", provider="lab", upstream_status=503), committed=False)
LIMITED = classify(errors.RateLimited("429", provider="lab", upstream_status=429), committed=False)
GONE = classify(errors.Unreachable("gone", provider="lab"), committed=False)


def repeats(chance: float = 1.0, *, ends: float | None = None) -> Repeats:
    return Repeats(RetryBudget(), Backoff(lambda: chance), Deadline.after(ends, 0.0))


def test_pauses_double_up_to_their_bound() -> None:
    """From 50 ms, or from a second for who is asked to slow down, to 20 seconds however often it was."""
    backoff = Backoff(lambda: 1.0)

    assert [backoff.wait(number) for number in (1, 2, 3)] == [0.05, 0.1, 0.2]
    assert [backoff.wait(number, throttled=True) for number in (1, 2, 6)] == [1.0, 2.0, 20.0]
    assert backoff.wait(10_000) == 20.0


@given(st.integers(1, 100), st.booleans(), st.integers())
def test_pauses_are_drawn_from_all_of_their_span(repeat: int, throttled: bool, seed: int) -> None:
    """Full jitter: none is longer than its bound, and those who failed together part."""
    chance = random.Random(seed).random
    bound = Backoff(lambda: 1.0).wait(repeat, throttled=throttled)

    drawn = [Backoff(chance).wait(repeat, throttled=throttled) for _ in range(20)]

    assert all(0 <= wait <= bound for wait in drawn)
    assert len(set(drawn)) > 10


@pytest.mark.parametrize("questions", [20, 50, 100, 1_000, 10_000])
@pytest.mark.parametrize("before", [0, 10_000])
def test_an_all_failing_burst_is_at_most_a_fifth_more_load(questions: int, before: int) -> None:
    """However good the times before it were, an outage is not answered with a flood."""
    budget = RetryBudget()
    for _ in range(before):
        budget.asked()
        budget.worked()

    sent = 0
    for _ in range(questions):
        budget.asked()
        sent += 1
        for _ in range(2):
            sent += budget.take()

    assert sent <= 1.2 * questions


def test_a_lone_question_may_be_sent_three_times() -> None:
    """A budget for floods takes nothing from who asks one thing now and then."""
    budget = RetryBudget()

    budget.asked()

    assert [budget.take() for _ in range(3)] == [True, True, False]


@given(st.lists(st.sampled_from(["asked", "take", "worked"]), max_size=400))
def test_the_budget_keeps_its_bound_in_any_order(order: list[str]) -> None:
    """Repeats are never more than two, a tenth of the questions and a fourteenth of the successes together."""
    budget, taken = RetryBudget(), 0

    for what in order:
        if what == "take":
            taken += budget.take()
        else:
            getattr(budget, what)()

    assert taken <= 2 + order.count("asked") / 10 + order.count("worked") / 14 + 1e-9
    assert 0 <= budget.left <= 2


def test_only_what_is_to_be_retried_is_asked_again() -> None:
    """A verdict to go on is gone on with, and the number of repeats is bounded."""
    assert repeats().wait(GONE, 1, 0.0, last=True) is None
    assert [repeats().wait(FAILING, number, 0.0, last=True) for number in (1, 2, 3)] == [0.05, 0.1, None]


@pytest.mark.parametrize(
    ("asked_for", "last", "wait"),
    [
        (None, True, 1.0),
        (None, False, None),
        (0.2, False, 0.25),
        (HURRY + 0.1, False, None),
        (15.0, True, 16.0),
        (PATIENCE + 0.1, True, None),
        (86_400.0, True, None),
    ],
)
def test_a_retry_after_is_sat_out_or_left_never_cut_short(
    asked_for: float | None, last: bool, wait: float | None
) -> None:
    """A short one is waited for in full, with nobody else to ask even a longer one; a huge one means elsewhere."""
    assert repeats().wait(LIMITED, 1, 0.0, retry_after=asked_for, last=last) == wait


def test_no_wait_goes_past_the_deadline() -> None:
    """What would come back too late is not waited for, and is not paid for either."""
    rule = repeats(ends=5.0)

    assert rule.wait(LIMITED, 1, 0.0, retry_after=5.0, last=True) is None
    assert rule.wait(LIMITED, 1, 4.5, last=True) is None
    assert rule.budget.left == 2
    assert rule.wait(LIMITED, 1, 3.0, last=True) == 1.0


@given(
    st.sampled_from([FAILING, LIMITED, GONE]),
    st.integers(1, 9),
    st.none() | st.floats(0, 1e9),
    st.booleans(),
    st.floats(0, 60),
)
def test_a_wait_always_fits(verdict: Verdict, repeat: int, asked_for: float | None, last: bool, now: float) -> None:
    """Whatever failed and whatever it asked for: a wait ends before the deadline, and never before what was asked."""
    wait = repeats(0.5, ends=30.0).wait(verdict, repeat, now, retry_after=asked_for, last=last)

    if wait is not None:
        assert now + wait < 30.0
        assert wait >= (asked_for or 0.0)
