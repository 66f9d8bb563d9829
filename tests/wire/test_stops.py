"""A dialect without stop sequences: the answer is cut here, wherever the provider's words split."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb import events as ev
from osaurus_nb.wire._stops import Cutting

END = [ev.PartEnded(), ev.Finished("length")]


class Words:
    """A decoder that reads a letter for each byte."""

    def __init__(self) -> None:
        self.done = False

    def feed(self, data: bytes) -> list[ev.Event]:
        return [ev.TextDelta(data.decode())]

    def close(self) -> list[ev.Event]:
        return list(END)


def read(pieces: Iterable[str], *stops: str) -> list[ev.Event]:
    decoder, events = Cutting(Words(), stops), []
    for piece in pieces:
        events += decoder.feed(piece.encode())
        if decoder.done:
            break
    return [*events, *decoder.close()]


def text(events: Iterable[ev.Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, ev.TextDelta))


@pytest.mark.parametrize("pieces", [["Hello END there"], ["Hello E", "N", "D there"], list("Hello END")])
def test_the_answer_ends_before_the_stop_sequence(pieces: list[str]) -> None:
    """Whole in one piece or split over many: it is not shown, and named as the reason."""
    events = read(pieces, "STOP", "END")

    assert text(events) == "Hello "
    assert events[-2:] == [ev.PartEnded(), ev.Finished("stop", 0, "END")]


def test_what_only_began_like_one_is_shown() -> None:
    """Words that waited come when the next word shows that they were none, or when the part ends."""
    assert text(read(["ten EN", "ough"], "END")) == "ten ENough"
    assert read(["EN"], "END") == [ev.TextDelta("EN"), *END]


@given(st.lists(st.text("abX", max_size=4), max_size=8), st.lists(st.text("abX", min_size=1, max_size=3), min_size=1))
def test_it_cuts_as_if_it_had_come_in_one_piece(pieces: list[str], stops: list[str]) -> None:
    """However the words split, what is shown is what stands before the first stop sequence to be complete."""
    whole = "".join(pieces)

    shown = text(read([piece for piece in pieces if piece], *stops))

    ends = [(whole.find(stop) + len(stop), whole.find(stop)) for stop in stops if stop in whole]
    if not ends:
        assert shown == whole
    else:
        assert whole.startswith(shown)
        assert not any(stop in shown for stop in stops)
        assert any(whole.startswith(stop, len(shown)) for stop in stops)
