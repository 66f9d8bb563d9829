"""Turns the text of one choice into events: parts that open and close in order, tool calls only when whole. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import uuid4

from osaurus_nb.events import (
    Event,
    FinishReason,
    PartEnded,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStarted,
    Warned,
)
from osaurus_nb.local.text_stream import Marks, Piece, Splitter, State

#: Reads the text of a tool call; one object or several. Raises what it likes for text that is none.
ToolParser = Callable[[str], Any]
#: What the parsers of mlx_lm raise for text that they cannot read.
_UNREADABLE = (ValueError, KeyError, TypeError, IndexError, AttributeError, SyntaxError)


class AnswerWriter:
    """The events of one choice. `parse` is None when no tools were offered."""

    def __init__(
        self, marks: Marks, *, choice: int = 0, state: State = "text", parse: ToolParser | None = None, calls: int = 128
    ) -> None:
        self._splitter = Splitter(marks, state=state)
        self._choice = choice
        self._parse = parse
        self._calls_left = calls
        self._called = False
        self._index = -1
        self._open: State | None = None
        self._gap = ""
        self._tool_text = ""
        self._logprobs: list[TokenLogprob] = []

    @property
    def state(self) -> State:
        return self._splitter.state

    @property
    def stopped(self) -> str | None:
        """The stop string that was met, if one was."""
        return self._splitter.stopped

    @property
    def ended(self) -> bool:
        """Is there nothing more to say: a stop string, or the last call that is allowed?"""
        return self.stopped is not None or self._calls_left <= 0

    def feed(self, text: str, logprob: TokenLogprob | None = None) -> list[Event]:
        """The events that this text completes."""
        if logprob is not None and self.state == "text":
            self._logprobs.append(logprob)
        return self._write(self._splitter.feed(text))

    def finish(self, reason: FinishReason) -> tuple[list[Event], FinishReason]:
        """The last events, and the finish reason in the light of what was said."""
        events = [] if self.ended else self._write(self._splitter.finish())
        if self._tool_text:
            events += self._call(whole=reason == "stop")
        events += self._close()
        return events, "tool_calls" if self._called and reason == "stop" else reason

    def _write(self, pieces: Iterable[Piece]) -> list[Event]:
        events: list[Event] = []
        for piece in pieces:
            if self._calls_left <= 0:
                break
            match piece.state:
                case "tool":
                    events += self._tool(piece)
                case "text":
                    events += self._text(piece)
                case "reasoning":
                    events += self._delta("reasoning", piece.text)
            if piece.closed and self.stopped is None:
                events += self._close()
        return events

    def _text(self, piece: Piece) -> list[Event]:
        """Blank text between thoughts, calls and the answer is layout, not something said."""
        text = piece.text
        if self._open != "text" and self._index >= 0:
            text = text.lstrip()
        return self._delta("text", text)

    def _delta(self, state: State, text: str) -> list[Event]:
        if not text:
            return []
        events = self._begin(state)
        if state == "reasoning":
            return [*events, ReasoningDelta(text, self._index, self._choice)]
        logprobs, self._logprobs = tuple(self._logprobs), []
        return [*events, TextDelta(text, self._index, self._choice, logprobs)]

    def _begin(self, state: State) -> list[Event]:
        if self._open == state:
            return []
        events = self._close()
        self._index += 1
        self._open = state
        return events

    def _close(self) -> list[Event]:
        if self._open is None:
            return []
        self._open = None
        self._logprobs.clear()
        return [PartEnded(self._index, self._choice)]

    def _tool(self, piece: Piece) -> list[Event]:
        self._tool_text += piece.text
        return self._call(whole=True) if piece.closed else []

    def _call(self, *, whole: bool) -> list[Event]:
        text, self._tool_text = self._tool_text, ""
        events = self._close()
        for name, arguments in (calls := self._calls(text) if whole else []):
            self._index += 1
            self._calls_left -= 1
            self._called = True
            events.append(ToolCallStarted(f"call_{uuid4().hex[:24]}", name, self._index, self._choice))
            events.append(ToolCallDelta(arguments, self._index, self._choice))
            events.append(PartEnded(self._index, self._choice))
        return events if calls else [*events, *self._spoilt(text)]

    def _calls(self, text: str) -> list[tuple[str, str]]:
        try:
            found = self._parse(text) if self._parse else []
            calls = [_call(item) for item in (found if isinstance(found, list) else [found])]
        except _UNREADABLE:
            return []
        return calls[: self._calls_left]

    def _spoilt(self, text: str) -> list[Event]:
        """A call that cannot be read is shown as it is: nothing that the model said is lost."""
        warning = Warned("tool_call_unreadable", "The model's tool call could not be read; it is shown as text.")
        return [warning, *self._delta("text", text), *self._close()]


def _call(found: Mapping[str, Any]) -> tuple[str, str]:
    name, arguments = found["name"], found.get("arguments", {})
    if not isinstance(name, str) or not name:
        raise ValueError("a call without a name")
    return name, arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
