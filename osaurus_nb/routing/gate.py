"""Holds a candidate's events back until it commits, and says what an answer without a word was. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from osaurus_nb import money
from osaurus_nb.errors import EmptyAnswer
from osaurus_nb.events import (
    CostReported,
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    Relayed,
    UsageReported,
    Warned,
    is_token,
    is_visible,
)
from osaurus_nb.models import Charge, ModelCard, Usage
from osaurus_nb.spending import Cost

#: Events held back before the commit point; a preamble longer than this is a failure, not an answer.
MAX_HELD = 10_000


class Gate:
    """For one candidate. With nobody behind it, it lets all pass at once.

    A `whole` answer is held until its end, for its caller sees nothing of it before.
    """

    def __init__(self, card: ModelCard, *, hold: bool, opening: Sequence[Event], whole: bool = False) -> None:
        self.committed = False
        #: Something of the answer was let through, if only a thought.
        self.begun = False
        self._card = card
        self._hold = hold
        self._whole = whole and hold
        self._spoke = False
        self._bill = _Bill()
        self._thought = False
        self._noticed = False  # with several choices each has its own end
        self._before: list[Event] = list(opening)

    def admit(self, event: Event) -> Sequence[Event]:
        """The events that may be shown now that this one came."""
        if self.committed:
            return (event,)
        self._spoke = self._spoke or is_visible(event)
        self.committed = self._spoke and (not self._whole or len(self._before) >= MAX_HELD)
        self.begun |= not self._hold and is_token(event)
        self._bill.note(event)
        self._thought = self._thought or _is_thought(event)
        if isinstance(event, Finished) and not self._hold and not self._noticed:
            self._noticed = True
            self._before.append(self._notice(event))
        self._before.append(event)
        if self._hold and not self.committed:
            if len(self._before) > MAX_HELD:
                raise self._empty("it reasons without end")
            return ()
        ready, self._before = self._before, []
        return ready

    def finish(self) -> Sequence[Event]:
        """What was held, as the candidate ended by itself. Raises EmptyAnswer if it said nothing and another may."""
        if not self._spoke and self._hold:
            raise self._empty("it finished without a word")
        ready, self._before = self._before, []
        return ready

    def _notice(self, event: Finished) -> Warned:
        why = _why(event.finish_reason, thought=self._thought or self._bill.usage.reasoning_output_tokens > 0)
        return Warned("empty_answer", f"The model returned no visible text: {why}.{self._bill}")

    def _empty(self, why: str) -> EmptyAnswer:
        said = f"'{self._card.name}' gave no answer: {why}.{self._bill}"
        error = EmptyAnswer(said, provider=self._card.provider)
        error.charge = self._bill.charge
        return error


class _Bill:
    """What was taken for it, as a sentence: by the provider's word, else by the price."""

    def __init__(self) -> None:
        self.charge: Charge | None = None
        self.usage = Usage()
        self.cost: Cost | None = None

    def note(self, event: Event) -> None:
        if isinstance(event, UsageReported):
            self.usage, self.charge = event.usage, event.charge
        elif isinstance(event, CostReported):
            self.cost = event.cost

    def __str__(self) -> str:
        if self.charge is not None:
            return f" {money.charged(self.charge)}"
        if self.cost is None or not self.cost.micro:
            return ""
        tokens = f" for {self.usage.total} tokens" if self.usage.total else ""
        return f" It cost {'about ' if self.cost.estimated else ''}{money.row(self.cost.micro)}{tokens}."


def _is_thought(event: Event) -> bool:
    return isinstance(event, ReasoningDelta) or (isinstance(event, Relayed) and event.token)


def _why(reason: FinishReason, *, thought: bool) -> str:
    match reason:
        case "length":
            cause = "reasoning used up the token limit" if thought else "the token limit was used up before a word"
            return f"{cause}; raise max_tokens"
        case "content_filter":
            return "the provider's filter withheld it"
        case "stop":
            return "it stopped after its reasoning" if thought else "it stopped at once"
        case _:
            return "it gave no reason"
