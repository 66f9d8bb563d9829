"""Who fails far more often than the others is asked last."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb import errors
from osaurus_nb.resilience.classify import classify
from osaurus_nb.resilience.outliers import MOST, Outliers
from osaurus_nb.testing.virtual_time import VirtualClock

FAILING = classify(errors.Unavailable("503", provider="lab", upstream_status=503), committed=False)
EMPTY = classify(errors.EmptyAnswer("nothing", provider="lab"), committed=False)
WRONG = classify(errors.Refused("400", provider="lab", upstream_status=400), committed=False)


def noted(rates: dict[str, tuple[int, int]], clock: VirtualClock | None = None) -> Outliers:
    """Good and bad calls of each."""
    outliers = Outliers(clock or VirtualClock())
    for name, (good, bad) in rates.items():
        for _ in range(good):
            outliers.note(name)
        for _ in range(bad):
            outliers.note(name, FAILING)
    return outliers


@pytest.mark.parametrize(
    ("rates", "out"),
    [
        ({"a": (20, 0), "b": (19, 1), "c": (8, 12)}, {"c"}),
        ({"a": (20, 0), "b": (12, 8)}, {"b"}),
        ({"a": (20, 0), "b": (14, 6)}, set()),
        ({"a": (0, 20), "b": (0, 20), "c": (0, 20)}, set()),
        ({"a": (20, 0), "b": (0, 9)}, set()),
        ({"a": (0, 20)}, set()),
        ({"a": (20, 0), "b": (20, 0), "c": (20, 0), "d": (5, 15), "e": (2, 18), "f": (1, 19)}, {"d", "e", "f"}),
        ({"a": (20, 0), "b": (20, 0), "c": (20, 0), "d": (8, 12), "e": (0, 20)}, {"d", "e"}),
        ({"a": (20, 0), "b": (20, 0), "c": (0, 20)}, {"c"}),
        ({"a": (20, 0), "b": (20, 0), "c": (3, 22), "d": (2, 18), "e": (0, 20)}, {"d", "e"}),
        ({}, set()),
    ],
)
def test_who_is_far_behind_the_others_is_put_out(rates: dict[str, tuple[int, int]], out: set[str]) -> None:
    """A bad day for all is nobody's fault, few calls prove nothing, and one alone has nobody to be compared with."""
    assert noted(rates).ejected(list(rates)) == out


def test_only_those_who_are_asked_about_are_put_out() -> None:
    """A pool in which one is missing is judged without losing any of the others, at most half of it."""
    outliers = noted({"a": (20, 0), "b": (20, 0), "c": (0, 20), "d": (0, 20)})

    assert outliers.ejected(["a", "b", "c"]) == {"c"}
    assert outliers.ejected(["c", "d"]) == set()
    assert outliers.ejected([]) == set()


def test_it_comes_back_as_its_failures_get_old() -> None:
    """Being put out is no life sentence: a minute later it is asked like the others."""
    clock = VirtualClock()
    outliers = noted({"a": (20, 0), "b": (0, 20)}, clock)
    assert outliers.ejected("ab") == {"b"}

    clock.pass_by(60)

    assert outliers.ejected("ab") == frozenset()
    assert (outliers.rate("a"), outliers.rate("b")) == (None, None)
    for _ in range(10):
        outliers.note("a", FAILING)
    assert outliers.rate("a") == 0.0


def test_empty_answers_lower_a_rate_and_wrong_requests_do_not() -> None:
    """What the caller did wrong is not held against a provider; having nothing to say is."""
    outliers = noted({"a": (10, 0)})

    for _ in range(10):
        outliers.note("a", WRONG)
    assert outliers.rate("a") == 1.0
    for _ in range(10):
        outliers.note("a", EMPTY)
    assert outliers.rate("a") == 0.5


def test_names_without_end_cost_no_memory_without_end() -> None:
    """Whoever was not heard of for long is forgotten."""
    outliers = noted({f"p{number}": (1, 0) for number in range(3 * MOST)})

    assert len(outliers._windows) == MOST


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(st.integers(0, 40), st.integers(0, 40))))
def test_never_more_than_half_are_put_out(rates: dict[str, tuple[int, int]]) -> None:
    """Somebody is always left to ask first, and nobody is put out for being better than one who stays."""
    outliers = noted(rates)

    out = outliers.ejected(list(rates))

    assert len(out) <= len(rates) / 2
    stay = [rate for name in rates if name not in out and (rate := outliers.rate(name)) is not None]
    assert all((outliers.rate(name) or 0.0) <= max(stay) for name in out)
