"""What an answer without a visible word is taken for: never shown in silence, and asked elsewhere where it can be."""

from __future__ import annotations

import pytest

from osaurus_nb import events as ev
from osaurus_nb.errors import EmptyAnswer
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.routing.gate import Gate

CARD = ModelCard("m", "p")
HM = ev.ReasoningDelta("hm")
COUNTED = ev.UsageReported(Usage(3, 0, reasoning_output_tokens=9))
WHY = [
    ([HM], "length", "reasoning used up the token limit; raise max_tokens"),
    ([COUNTED], "length", "reasoning used up the token limit; raise max_tokens"),
    ([ev.Relayed(b"..", token=True)], "length", "reasoning used up the token limit; raise max_tokens"),
    ([], "length", "the token limit was used up before a word; raise max_tokens"),
    ([HM], "content_filter", "the provider's filter withheld it"),
    ([HM], "stop", "it stopped after its reasoning"),
    ([], "stop", "it stopped at once"),
    ([ev.TextDelta(" \n")], "stop", "it stopped at once"),
    ([], "tool_calls", "it gave no reason"),
]


def through(*events: ev.Event, hold: bool = False) -> list[ev.Event]:
    gate = Gate(CARD, hold=hold, opening=())
    ready = [ready for event in events for ready in gate.admit(event)]
    gate.finish()
    return ready


@pytest.mark.parametrize(("before", "reason", "why"), WHY)
def test_the_notice_says_why(before: list[ev.Event], reason: ev.FinishReason, why: str) -> None:
    """Each cause in its own words, right before the end."""
    *_, notice, end = through(*before, ev.Finished(reason))

    assert isinstance(notice, ev.Warned)
    assert (notice.code, notice.message) == ("empty_answer", f"The model returned no visible text: {why}.")
    assert end == ev.Finished(reason)


def test_several_empty_choices_have_one_notice() -> None:
    """The sentence is about the answer, whatever number of choices it has."""
    ends = [ev.Finished("length"), ev.Finished("length", choice=1)]

    events = through(*ends)

    assert [event for event in events if not isinstance(event, ev.Warned)] == ends
    assert len(events) == 3


@pytest.mark.parametrize("word", [ev.TextDelta("Hi"), ev.TextDelta(" .\n"), ev.ToolCallStarted("c", "look")])
def test_a_word_or_a_call_is_an_answer(word: ev.Event) -> None:
    """However little it is, there is no notice."""
    assert through(word, ev.Finished("stop")) == [word, ev.Finished("stop")]


def test_blanks_commit_nobody() -> None:
    """Nobody sees them: they wait for a word as thoughts do, and go first when it comes."""
    blank, word = ev.TextDelta("\n\n"), ev.TextDelta("Hi")

    assert through(blank, word, hold=True) == [blank, word]
    with pytest.raises(EmptyAnswer):
        through(blank, ev.Finished("stop"), hold=True)


def test_blanks_are_a_sign_of_life() -> None:
    """A model that writes them is not too slow for its first token."""
    assert ev.is_token(ev.TextDelta("\n"))
    assert not ev.is_token(ev.TextDelta(""))
