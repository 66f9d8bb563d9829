"""Where one model broke off and another goes on: opt-in, for plain text alone, and marked. Pure.

What was shown stays. The next model that can begin in the middle of an answer is given it, and says only the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from osaurus_nb.events import (
    Event,
    PartEnded,
    ReasoningDelta,
    Relayed,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    Warned,
)
from osaurus_nb.messages import Message, Text
from osaurus_nb.models import LOCAL, ModelCard
from osaurus_nb.request import ChatRequest
from osaurus_nb.routing.plan import Candidate

#: In these dialects a conversation may end with the beginning of the answer.
_BEGINS = frozenset({"anthropic", "gemini"})


class Seam:
    """Watches what is shown of one step."""

    def __init__(self) -> None:
        self._text = ""
        self._index: int | None = None
        self._theirs: int | None = None
        self._plain = True
        #: Somebody was to go on already.
        self.joined = False

    def let(self, event: Event) -> Event | None:
        """The event as it may be shown; None for what has no place behind the seam."""
        if isinstance(event, TextDelta):
            return self._words(event)
        if isinstance(event, ToolCallStarted | ToolCallDelta | Relayed):
            self._plain = False
        if not self.joined or not isinstance(event, PartEnded | ReasoningDelta | ToolCallStarted | ToolCallDelta):
            return event
        if isinstance(event, PartEnded) and event.index == self._theirs:
            return replace(event, index=self._index or 0)
        if isinstance(event, ToolCallStarted | ToolCallDelta):
            return replace(event, index=event.index + (self._index or 0) + 1)
        return None  # thoughts behind shown words, and the ends of parts that were not shown

    def onward(self, candidates: Sequence[Candidate], at: int) -> int | None:
        """Who may go on after candidate `at` broke off; None where nobody may."""
        if not self._plain or not self._text.strip():
            return None
        return next((n for n, each in enumerate(candidates) if n > at and _can_begin(each)), None)

    def join(self, request: ChatRequest) -> ChatRequest:
        """The question with the words that were shown as the beginning of its answer."""
        self.joined, self._theirs = True, None
        begun = Message("assistant", (Text(self._text.rstrip()),))  # some refuse one that ends with blanks
        return replace(request, messages=(*request.messages, begun))

    def mark(self, broken: ModelCard, following: ModelCard) -> Warned:
        words = len(self._text.split())
        said = f"'{broken.name}' broke off after {words} words; '{following.name}' goes on from there."
        return Warned("resumed", said)

    def _words(self, event: TextDelta) -> TextDelta | None:
        self._plain = self._plain and event.choice == 0
        if not self.joined:
            self._index = event.index if self._index is None else self._index
            self._text += event.text
            return event
        first, self._theirs = self._theirs is None, event.index
        text = event.text.lstrip() if first and self._text[-1:].isspace() else event.text
        self._text += text
        return replace(event, text=text, index=self._index or 0)


def _can_begin(candidate: Candidate) -> bool:
    spoken = getattr(candidate.adapter, "dialect", None)
    return candidate.card.provider == LOCAL or (spoken in _BEGINS and "no_prefill" not in candidate.card.quirks)
