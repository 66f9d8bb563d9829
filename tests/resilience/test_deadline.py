"""The moment at which a question is over stays where it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb.ports import Timeouts
from osaurus_nb.resilience.deadline import Deadline

TIMES = st.floats(0, 1e6)
SPANS = st.none() | st.floats(0, 1e4)


def test_a_question_without_a_deadline_has_all_the_time() -> None:
    """Its spans stay as they are."""
    spans, forever = Timeouts(), Deadline.after(None, 5.0)

    assert forever.within(spans, 1e9, 3) is spans
    assert not forever.passed(1e9)


def test_attempts_share_what_is_left() -> None:
    """Of nine seconds the first of three gets three; what it does not use goes to those behind it."""
    deadline = Deadline.after(9.0, 100.0)

    assert deadline.share(100.0, 2).left(100.0) == 3.0
    assert deadline.share(101.0, 1).left(101.0) == 4.0
    assert deadline.share(105.0, 0).left(105.0) == 4.0


def test_only_the_first_word_is_due_within_the_share() -> None:
    """Once words are shown nobody else will be asked, so the rest of the time is the answer's."""
    spans = Deadline.after(10.0, 0.0).within(Timeouts(), 0.0, behind=1)

    assert spans == Timeouts(connect=5.0, first_token=5.0, between_tokens=10.0, total=10.0)


def test_a_deadline_that_passed_leaves_nothing() -> None:
    """It is over at its moment, and nothing fits into it any more."""
    deadline = Deadline.after(-3.0, 7.0)

    assert deadline.passed(7.0)
    assert (deadline.left(8.0), deadline.fits(0.0, 7.0)) == (0.0, False)


@given(TIMES, st.floats(0, 1e4), st.lists(st.floats(0, 100), max_size=50))
def test_nothing_that_trickles_in_moves_it(now: float, seconds: float, gaps: list[float]) -> None:
    """However many bytes come and however late: what is left only gets less, and is gone at the moment."""
    deadline, left = Deadline.after(seconds, now), float("inf")

    for gap in gaps:
        now += gap
        assert deadline.left(now) <= left
        left = deadline.left(now)
        assert now + deadline.within(Timeouts(), now).total <= max(deadline.at, now) + 1e-6  # type: ignore[operator]

    assert deadline.passed(deadline.at)


@given(TIMES, st.floats(0, 1e4), st.integers(0, 9), st.builds(Timeouts, SPANS, SPANS, SPANS, SPANS))
def test_no_span_is_longer_than_what_is_left_or_what_was_set(
    now: float, seconds: float, behind: int, spans: Timeouts
) -> None:
    """Both bounds hold at once, and a lifted span is bounded by the deadline alone."""
    deadline = Deadline.after(seconds, now)

    given_out = deadline.within(spans, now, behind)

    for name in ("connect", "first_token", "between_tokens", "total"):
        cut, own = getattr(given_out, name), getattr(spans, name)
        assert cut is not None
        assert cut <= deadline.left(now)
        assert own is None or cut <= own
