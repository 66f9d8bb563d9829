"""Cuts generated text into its parts: answer, thinking, tool calls, and where to stop. Pure, and on text only.

Markers are matched on text, not on tokens: a stop string may begin in the middle of one token and end in another.
Text that may still become a marker is held back, so that no part of a stop string is ever shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["text", "reasoning", "tool"]


@dataclass(frozen=True, slots=True)
class Marks:
    """The strings that lead from one state to another. An empty `tool_end` lasts to the end of the answer."""

    think_start: str | None = None
    think_end: str | None = None
    tool_start: str | None = None
    tool_end: str | None = None
    stops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of one state. `closed` says that a marker ended it."""

    state: State
    text: str
    closed: bool = False


class Splitter:
    """Feed it text as it is made; it gives back what is certain."""

    def __init__(self, marks: Marks, *, state: State = "text") -> None:
        self.state: State = state
        self.stopped: str | None = None
        self._edges = _edges(marks)
        self._held = ""

    def feed(self, text: str) -> list[Piece]:
        """The pieces that no later text can change. After a stop there are none."""
        if self.stopped is not None:
            return []
        self._held += text
        pieces = []
        while self.stopped is None and (found := _first(self._held, self._edges[self.state])):
            at, marker, after = found
            pieces.append(Piece(self.state, self._held[:at], closed=True))
            self._held = self._held[at + len(marker) :]
            if after is None:
                self.stopped, self._held = marker, ""
            else:
                self.state = after
        safe = len(self._held) - _overlap(self._held, self._edges[self.state])
        if safe:
            pieces.append(Piece(self.state, self._held[:safe]))
            self._held = self._held[safe:]
        return pieces

    def finish(self) -> list[Piece]:
        """The text is over: what was held back was no marker."""
        held, self._held = self._held, ""
        return [Piece(self.state, held)] if held else []


#: For each state: a marker and the state behind it, None for the end of the answer.
_Edges = Sequence[tuple[str, State | None]]


def _edges(marks: Marks) -> Mapping[State, _Edges]:
    text: list[tuple[str, State | None]] = [(stop, None) for stop in marks.stops if stop]
    reasoning: list[tuple[str, State | None]] = []
    if marks.think_start and marks.think_end:
        text.append((marks.think_start, "reasoning"))
        reasoning.append((marks.think_end, "text"))
    if marks.tool_start:
        text.append((marks.tool_start, "tool"))
        reasoning.append((marks.tool_start, "tool"))
    return {"text": text, "reasoning": reasoning, "tool": [(marks.tool_end, "text")] if marks.tool_end else []}


def _first(text: str, edges: _Edges) -> tuple[int, str, State | None] | None:
    """The marker that begins first, and of those the longest."""
    found = ((text.find(marker), -len(marker), marker, after) for marker, after in edges)
    best = min((hit for hit in found if hit[0] >= 0), key=lambda hit: hit[:2], default=None)
    return None if best is None else (best[0], best[2], best[3])


def _overlap(text: str, edges: _Edges) -> int:
    """How many characters at the end of `text` may be the beginning of a marker."""
    longest = min(len(text), max((len(marker) - 1 for marker, _ in edges), default=0))
    for length in range(longest, 0, -1):
        if any(marker.startswith(text[-length:]) for marker, _ in edges):
            return length
    return 0
