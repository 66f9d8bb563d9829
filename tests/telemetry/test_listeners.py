"""What observers are told, and what it costs to have one."""

from __future__ import annotations

import time

import pytest

from osaurus_nb.events import Failed, Finished, TextDelta
from osaurus_nb.ports import Step, SystemClock
from osaurus_nb.telemetry.listeners import Listeners
from osaurus_nb.telemetry.metrics import Metrics
from osaurus_nb.telemetry.prometheus import MOST, Counter

STEP = Step("s", "r", "m", 0.0)


class Hearing:
    def __init__(self, *, pieces: bool) -> None:
        self.pieces = pieces
        self.heard = []

    def observe(self, note):
        self.heard.append(note.event)


@pytest.mark.parametrize(("pieces", "heard"), [(True, 5), (False, 3)])
def test_who_wants_no_pieces_hears_the_first(pieces, heard):
    """From an empty piece to the first token, and then only what is no piece."""
    observer = Hearing(pieces=pieces)

    with Listeners([observer], SystemClock()).to(STEP) as tell:
        for event in (TextDelta(""), TextDelta("a"), TextDelta("b"), TextDelta("c"), Finished("stop")):
            tell(event)

    assert len(observer.heard) == heard
    assert observer.heard[-1] == Finished("stop")


def test_who_leaves_early_is_told_as_that():
    """Once, and only where no end was told."""
    observer = Hearing(pieces=False)

    with Listeners([observer], SystemClock()).to(STEP) as tell:
        tell(TextDelta("a"))

    assert isinstance(observer.heard[-1], Failed)
    assert observer.heard[-1].error.code == "cancelled"


def test_a_piece_costs_next_to_nothing_with_metrics_on():
    """A thousand pieces take well under a millisecond: the bound is ten times what was measured."""
    piece = TextDelta("word ")
    with Listeners([Metrics()], SystemClock()).to(STEP) as tell:
        tell(piece)
        began = time.perf_counter()
        for _ in range(10_000):
            tell(piece)
        took = time.perf_counter() - began

    assert took / 10_000 < 2e-6


def test_series_are_bounded():
    """However many models there are, a family has so many series; the rest is counted together."""
    counter = Counter("c_total", "Help.", "model")

    for number in range(MOST + 50):
        counter.add(f"m{number}")

    lines = list(counter.lines())
    assert len(lines) == MOST + 3
    assert lines[-1] == 'c_total{model="other"} 50'


def test_labels_are_escaped():
    """A name from outside breaks no line."""
    counter = Counter("c_total", "Help.", "model")

    counter.add('a"b\\c\nd')

    assert list(counter.lines())[-1] == 'c_total{model="a\\"b\\\\c\\nd"} 1'
