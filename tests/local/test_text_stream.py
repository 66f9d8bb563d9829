"""Cutting text into answer, thinking, tool calls and stops."""

from __future__ import annotations

import random

import pytest

from osaurus_nb.events import PartEnded, ReasoningDelta, TextDelta, ToolCallDelta, ToolCallStarted, Warned
from osaurus_nb.local.answer import AnswerWriter
from osaurus_nb.local.text_stream import Marks, Splitter

MARKS = Marks("<think>", "</think>", "<tool_call>", "</tool_call>", ("Par", "is P", "aab"))


def run(marks: Marks, chunks: list[str], **options: object) -> tuple[str, str | None]:
    splitter = Splitter(marks, **options)  # type: ignore[arg-type]
    pieces = [piece for chunk in chunks for piece in splitter.feed(chunk)] + splitter.finish()
    return "|".join(f"{piece.state}:{piece.text}" for piece in pieces), splitter.stopped


@pytest.mark.parametrize(
    ("text", "shown", "stop"),
    [
        ("The capital is Paris.", "The capital ", "is P"),
        ("Paris", "", "Par"),
        ("aaab!", "a", "aab"),
        ("nothing Pa", "nothing Pa", None),
        ("is is is", "is is is", None),
    ],
)
def test_a_stop_string_ends_the_text_before_it(text: str, shown: str, stop: str | None):
    """However tokens cut it, no character of a stop string is shown, and none before it is lost."""
    for seed in range(30):
        dice = random.Random(seed)
        cuts = sorted(dice.sample(range(1, len(text)), min(len(text) - 1, dice.randint(0, 6))))
        chunks = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

        splitter = Splitter(MARKS)
        seen = "".join(piece.text for chunk in chunks for piece in splitter.feed(chunk))
        seen += "".join(piece.text for piece in splitter.finish())

        assert (seen, splitter.stopped) == (shown, stop)


def test_text_that_is_certain_is_not_held_back():
    """Only what may still become a marker waits."""
    splitter = Splitter(Marks(stops=("STOP",)))

    assert [piece.text for piece in splitter.feed("hello ST")] == ["hello "]
    assert [piece.text for piece in splitter.feed("AY")] == ["STAY"]


def test_a_stop_string_inside_thinking_does_not_stop():
    """Stop strings are about what is shown; thinking and tool calls may hold them."""
    assert run(MARKS, ["<think>Par</think>ok"]) == ("text:|reasoning:Par|text:ok", None)


def test_thinking_and_answer_are_parts_of_their_own():
    """Thinking comes out as reasoning, the answer as text, without the markers and the blank lines between."""
    writer = AnswerWriter(MARKS)

    events = [event for letter in "<think>hm</think>\n\nYes." for event in writer.feed(letter)]
    last, reason = writer.finish("stop")

    assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == "hm"
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "Yes."
    assert [event for event in [*events, *last] if isinstance(event, PartEnded)] == [PartEnded(0), PartEnded(1)]
    assert reason == "stop"


def test_a_prompt_may_have_opened_the_thinking():
    """When the template has opened the thinking, the first words are thoughts."""
    writer = AnswerWriter(MARKS, state="reasoning")

    events = writer.feed("hm</think>Yes")

    assert events == [ReasoningDelta("hm", 0), PartEnded(0), TextDelta("Yes", 1)]


def parse(text: str) -> object:
    import json

    return json.loads(text)


def test_tool_calls_come_out_whole():
    """A call is told once its end is seen, with its arguments as JSON; the finish reason says so."""
    writer = AnswerWriter(MARKS, parse=parse)

    events = [
        event
        for letter in 'Let me look.<tool_call>{"name": "f", "arguments": {"a": "ü"}}</tool_call>\n'
        for event in writer.feed(letter)
    ]
    last, reason = writer.finish("stop")

    started = next(event for event in events if isinstance(event, ToolCallStarted))
    assert (started.name, started.index) == ("f", 1)
    assert ToolCallDelta('{"a": "ü"}', 1) in events
    assert events[-1] == PartEnded(1)
    assert (last, reason) == ([], "tool_calls")


@pytest.mark.parametrize("body", ['{"name": "f"', "[]", '{"arguments": {}}', "null", '{"name": 3}'])
def test_a_call_that_cannot_be_read_is_shown(body: str):
    """Nothing that the model said is lost: an unreadable call becomes text, with a warning."""
    writer = AnswerWriter(MARKS, parse=parse)

    events = writer.feed(f"<tool_call>{body}</tool_call>")
    last, reason = writer.finish("stop")

    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == body
    assert any(isinstance(event, Warned) for event in events)
    assert (last, reason) == ([], "stop")


def test_a_call_that_was_cut_is_never_made():
    """An answer that ends by length inside a call shows the call's text; no call is told."""
    writer = AnswerWriter(MARKS, parse=parse)

    events = writer.feed('<tool_call>{"name": "f", "arguments": {}}')
    last, reason = writer.finish("length")

    assert not any(isinstance(event, ToolCallStarted) for event in [*events, *last])
    assert reason == "length"


def test_one_call_when_one_is_allowed():
    """Without parallel calls the answer ends with the first one."""
    writer = AnswerWriter(MARKS, parse=parse, calls=1)

    events = writer.feed('<tool_call>{"name": "f"}</tool_call><tool_call>{"name": "g"}</tool_call>')

    assert writer.ended
    assert [event.name for event in events if isinstance(event, ToolCallStarted)] == ["f"]
    assert writer.finish("stop") == ([], "tool_calls")
