"""Counts what happens in streams: who was asked, what came of it, how long it took, what it used. Not what was said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from osaurus_nb.errors import Cancelled, OsaurusError
from osaurus_nb.events import (
    AttemptFailed,
    AttemptStarted,
    CostReported,
    Event,
    Failed,
    Finished,
    PanelReported,
    Substituted,
    UsageReported,
    is_token,
)
from osaurus_nb.models import Usage
from osaurus_nb.ports import Observation
from osaurus_nb.telemetry.prometheus import Counter, Histogram

#: Streams that are followed at once; the oldest is given up for a new one, and not counted as answered.
MOST = 10_000


@dataclass(slots=True)
class _Open:
    """A stream on its way. Who is asked, since when, and what it reported last.

    `attempting` are the calls under way, by number: a panel has several.
    """

    began: float
    provider: str = ""
    model: str = ""
    asked: float = 0.0
    attempting: dict[int, tuple[str, str]] = field(default_factory=dict)
    spoke: bool = False
    usage: Usage | None = None
    cost: int = 0


class Metrics:
    """One for each server. Questions under faults made on purpose count like all others, under `chaos`."""

    pieces = False

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        who = ("provider", "model")
        self.requests = Counter("osaurus_requests_total", "Questions that came to an end.", "outcome", "chaos")
        self.attempts = Counter("osaurus_attempts_total", "Calls of models, retries included.", *who, "outcome")
        self.failovers = Counter("osaurus_failovers_total", "Questions that another model answered.")
        self.tokens = Counter("osaurus_tokens_total", "Tokens of answers that ended.", *who, "direction")
        self.cost = Counter("osaurus_cost_micro_usd_total", "What answers cost, in millionths of a US dollar.", *who)
        self.first = Histogram("osaurus_first_token_seconds", "From a call to its first token.", "provider")
        self.whole = Histogram("osaurus_duration_seconds", "From a question to its end.", "provider", "outcome")

    def observe(self, note: Observation) -> None:
        event = note.event
        found = self._open.get(note.step.id)
        if found is None:
            if isinstance(event, Finished):
                return  # of several answers the first end was counted
            found = self._begin(note)
        match event:
            case AttemptStarted(provider=provider, model=model):
                found.provider, found.model, found.asked = provider, model, note.at
                found.attempting[event.number], found.spoke = (provider, model), False
            case AttemptFailed(error=error):
                self._attempted(found, event.number, error.code)
            case PanelReported(panel=panel):
                for number, one in enumerate(panel.panelists, 1):
                    self._attempted(found, number, "ok" if one.outcome == "answered" else one.outcome)
            case Substituted():
                self.failovers.add()
            case UsageReported(usage=usage):
                found.usage = usage
            case CostReported(cost=cost):
                found.cost = cost.micro or 0
            case Finished():
                self._end(note, found, "ok")
            case Failed(error=error):
                self._end(note, found, _outcome(error))
            case _:
                self._spoke(note, found, event)

    def lines(self) -> Iterator[str]:
        """All of it, as it is exposed."""
        families = (self.requests, self.attempts, self.failovers, self.tokens, self.cost, self.first, self.whole)
        for family in families:
            yield from family.lines()

    def _begin(self, note: Observation) -> _Open:
        if len(self._open) >= MOST:
            del self._open[next(iter(self._open))]
        found = self._open[note.step.id] = _Open(note.step.started)
        return found

    def _spoke(self, note: Observation, found: _Open, event: Event) -> None:
        if not found.spoke and is_token(event):
            found.spoke = True
            self.first.add(found.provider, seconds=note.at - found.asked)

    def _attempted(self, found: _Open, number: int, outcome: str) -> None:
        if (who := found.attempting.pop(number, None)) is not None:
            self.attempts.add(*who, outcome)

    def _end(self, note: Observation, found: _Open, outcome: str) -> None:
        del self._open[note.step.id]
        for number in tuple(found.attempting):
            self._attempted(found, number, outcome)
        self.requests.add(outcome, "yes" if note.step.terms.chaos is not None else "no")
        self.whole.add(found.provider, "ok" if outcome == "ok" else "failed", seconds=note.at - found.began)
        if found.usage is not None:
            self.tokens.add(found.provider, found.model, "input", by=found.usage.total_input)
            self.tokens.add(found.provider, found.model, "output", by=found.usage.total_output)
        if found.cost:
            self.cost.add(found.provider, found.model, by=found.cost)


def _outcome(error: OsaurusError) -> str:
    return "cancelled" if isinstance(error, Cancelled) else error.code
