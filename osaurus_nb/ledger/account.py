"""One call while it is metered: what was seen of it, and the line that it ends in. Nothing here waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from osaurus_nb.errors import (
    BadAnswer,
    Cancelled,
    EmptyAnswer,
    OsaurusError,
    ProviderError,
    StreamCut,
    TooSlow,
    Unreachable,
    WorkerDied,
)
from osaurus_nb.events import (
    Event,
    Finished,
    ReasoningDelta,
    Relayed,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
    is_visible,
)
from osaurus_nb.models import Charge, Usage
from osaurus_nb.ports import Clock
from osaurus_nb.spending import FREE, NOTHING, UNKNOWN, Cost, Entry, Outcome, Tariff, TokenSource

#: Characters of an answer in one token, where nobody counted.
_PER_TOKEN = 4
#: After these the provider may have worked all the same; after all others it was never asked, or refused.
_WORKED = (BadAnswer, Cancelled, EmptyAnswer, StreamCut, TooSlow, WorkerDied)
_GATEWAY_TIMEOUT = 504


@dataclass(frozen=True, slots=True)
class Opened:
    """How a call began. `billable`: there is an open line, which has to be ended. `energy` reads joules, or None."""

    entry: Entry
    tariff: Tariff | None
    billable: bool
    size: Callable[[], tuple[int, int | None]]
    room: int | None = None
    energy: Callable[[], float | None] = lambda: None


class OpenAccount:
    """Ends in one line, whatever becomes of the call."""

    def __init__(self, opened: Opened, clock: Clock, write: Callable[[Entry], None]) -> None:
        self.room = opened.room
        self._opened = opened
        self._clock = clock
        self._write = write
        self._began = clock.monotonic()
        self._energy = opened.energy()
        self._first: float | None = None
        self._words = self._thought = self._calls = 0  # characters, characters, calls
        self._frames = self._shown = 0  # of what was relayed unread: pieces of the answer, and those that are shown
        self._visible = False
        self._usage: Usage | None = None
        self._charge: Charge | None = None
        self._answered: str | None = None
        self._finish: str | None = None
        self._closed = False

    def saw(self, event: Event) -> None:
        kind = type(event)
        if kind is Relayed or kind is TextDelta or kind is ReasoningDelta:
            if self._first is None:
                self._first = self._clock.monotonic()
            if kind is TextDelta:
                self._words += len(event.text)  # type: ignore[union-attr]  # its type was just looked at
                self._visible = self._visible or is_visible(event)
            elif kind is ReasoningDelta:
                self._thought += len(event.text)  # type: ignore[union-attr]
            else:
                self._relayed(event)  # type: ignore[arg-type]
        else:
            self._noted(event)

    def used(self, usage: Usage) -> None:
        self._usage = usage
        self._finish = "stop"
        self._shown = 1

    def cost(self) -> Cost:
        if self._charge is not None:
            return Cost(self._charge.cost_micro, "provider")
        tariff = self._opened.tariff
        if tariff is None:
            return UNKNOWN
        # What does not add up is kept as it was told, but no budget is spent by it.
        usage = self._own_count() if self._usage is not None and self._usage.absurd else self._known_usage()
        return tariff.cost(usage, self._clock.now())

    def close(self, error: OsaurusError | None = None) -> None:
        if self._closed:
            return
        self._closed = True
        fault = error if self._finish is None else None  # who left after the end missed nothing
        if isinstance(fault, ProviderError) and fault.charge is not None:
            self._charge = fault.charge
        self._end(fault)

    def void(self) -> None:
        if not self._closed:
            self._closed = True
            if self._opened.billable:
                self._write(replace(self._opened.entry, kind="void", at=self._clock.now().timestamp()))

    def _relayed(self, event: Relayed) -> None:
        self._frames += event.frames if event.token else 0
        self._shown += event.visible

    def _noted(self, event: Event) -> None:
        match event:
            case UsageReported(usage=usage, charge=charge):
                self._usage, self._charge = usage, charge
            case Started(model=model):
                self._answered = model
            case Finished(finish_reason=reason):
                self._finish = reason
            case ToolCallStarted():
                self._calls += 1
                if self._first is None:
                    self._first = self._clock.monotonic()
            case ToolCallDelta(arguments=arguments):
                self._thought += len(arguments)
            case _:
                pass

    def _took(self, fault: OsaurusError) -> bool:
        """May it have cost something, though it failed?"""
        if self._charge is not None or self._usage is not None or self._first is not None:
            return True
        if isinstance(fault, ProviderError) and fault.reason in ("redirect", "crowded"):
            return False  # sent away, or never sent
        if isinstance(fault, Unreachable):
            return fault.reason in ("lost", "cut", "protocol")
        return isinstance(fault, _WORKED) or getattr(fault, "upstream_status", None) == _GATEWAY_TIMEOUT

    def _known_usage(self) -> Usage:
        return self._usage if self._usage is not None else self._own_count()

    def _own_count(self) -> Usage:
        given, _ = self._opened.size()
        made = -(-(self._words + self._thought) // _PER_TOKEN) + self._frames
        return Usage(given, made, estimated=True)

    def _end(self, fault: OsaurusError | None) -> None:
        took, entry = fault is None or self._took(fault), self._opened.entry
        self._write(
            replace(
                entry,
                kind="settle" if took or not self._opened.billable else "void",
                at=self._clock.now().timestamp(),
                request_id=self._charge.request_id if self._charge is not None else entry.request_id,
                answered=self._answered,
                usage=self._known_usage() if took else NOTHING,
                token_source=self._source(took),
                cost=self.cost() if took else FREE,
                first_token_ms=_ms(self._began, self._first),
                duration_ms=_ms(self._began, self._clock.monotonic()),
                finish_reason=self._finish,
                outcome=self._outcome(fault),
                energy_j=self._joules(),
            )
        )

    def _source(self, took: bool) -> TokenSource:
        if not took:
            return "none"
        if self._usage is None or self._usage.estimated:
            return "estimate"
        return "absurd" if self._usage.absurd else "provider"

    def _outcome(self, fault: OsaurusError | None) -> Outcome:
        if isinstance(fault, Cancelled):
            return "cancelled"
        if fault is not None:
            return "empty" if isinstance(fault, EmptyAnswer) else "error"
        if self._visible or self._shown > self._calls:
            return "rendered"
        if self._calls:
            return "tool_only"
        return "reasoning_only" if self._thought or self._frames else "empty"

    def _joules(self) -> float | None:
        if self._energy is None or (now := self._opened.energy()) is None:
            return None
        return now - self._energy


def _ms(begin: float, end: float | None) -> int | None:
    return None if end is None else round((end - begin) * 1000)
