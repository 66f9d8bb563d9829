"""What the inside needs from the outside: adapters, observers, secrets, time. Protocols only."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

from osaurus_nb.decisions import DecisionRequest, Decisions
from osaurus_nb.embeddings import EmbeddingRequest, Embeddings
from osaurus_nb.errors import OsaurusError
from osaurus_nb.events import Event
from osaurus_nb.models import ModelCard, TokenCount, Usage, Worker
from osaurus_nb.request import ChatRequest, Sent
from osaurus_nb.spending import (
    NOWHERE,
    BudgetState,
    By,
    Cap,
    Cost,
    Entry,
    LedgerStatus,
    Origin,
    Query,
    Tariff,
    Total,
)
from osaurus_nb.trouble import Rehearsal


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a question is asked, beside what it says.

    `request_id` is the id under which the caller is answered, `sent` what he wrote, where an adapter may use it,
    `idempotency_key` his own word for "this is the same question again". `spends`: may it cost Router credit?
    """

    request_id: str | None = None
    sent: Sent | None = None
    idempotency_key: str | None = None
    spends: bool = True
    origin: Origin = NOWHERE
    #: The caller gets the answer in one piece: until it is whole, another model may still answer instead.
    whole: bool = False
    #: Beside those that the user set for all: this call may spend no more than fits under each of them.
    caps: tuple[Cap, ...] = ()
    #: Nobody but this machine and its networks may hear of it, as with the mode `local-strict`.
    local_only: bool = False
    #: So many panels it is already a part of: who is asked by a panel opens none.
    fusion_depth: int = 0
    #: Faults on purpose, for whoever tries how well he is prepared.
    chaos: Rehearsal | None = None


#: Of whoever asks in this process itself.
PLAIN = Terms()


@dataclass(frozen=True, slots=True)
class Step:
    """The logical unit that is billed once: one question, whatever it takes to answer it.

    Its `terms` are the caller's. `within` is the id of the step that this one is a part of: they share its cap.
    """

    id: str
    request_id: str
    model: str
    started: float
    terms: Terms = PLAIN
    within: str | None = None

    @property
    def sent(self) -> Sent | None:
        return self.terms.sent


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. Each is total for its span: keep-alives and trickles do not extend it. None lifts it."""

    connect: float | None = 5.0
    first_token: float | None = 120.0
    between_tokens: float | None = 60.0
    total: float | None = 600.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of one candidate, inside one step. With `sent` the request is only its head."""

    step: Step
    number: int = 1
    timeouts: Timeouts = field(default_factory=Timeouts)
    idempotency_key: str | None = None
    sent: Sent | None = None


class Adapter(Protocol):
    """Our code for one provider. Shared between streams, so it keeps no state of any of them."""

    @property
    def provider(self) -> str:
        """The slug that its models are listed under."""

    async def models(self) -> Sequence[ModelCard]:
        """What it offers now. Raises ProviderError when it cannot be asked."""

    def stream(self, request: ChatRequest, card: ModelCard, attempt: Attempt, /) -> AsyncGenerator[Event, None]:
        """Events from `Started` to `Finished`. Raises OsaurusError for a fault; closing it stops the work."""

    async def aclose(self) -> None: ...


@runtime_checkable
class Confined(Protocol):
    """An adapter that can be held to this machine and its networks."""

    def confined(self) -> Adapter | None:
        """The same with the same keys and the same memory, but nothing it does dials any other address.

        None where it can never be local. Always the same object; who is none of these is taken for a stranger.
        """


@runtime_checkable
class Counter(Protocol):
    """An adapter that can count a prompt's tokens without answering it."""

    async def count_tokens(self, request: ChatRequest, card: ModelCard, timeouts: Timeouts, /) -> TokenCount | None:
        """The count; None where nobody counts for this model."""


@runtime_checkable
class SentCounter(Protocol):
    """An adapter that can have the very words counted which a caller of its dialect wrote."""

    @property
    def dialect(self) -> str: ...

    async def count_sent(
        self, sent: Sent, request: ChatRequest, card: ModelCard, timeouts: Timeouts, /
    ) -> TokenCount | None:
        """The count; None where they have to be translated. `request` is only their head."""


@runtime_checkable
class Embedder(Protocol):
    """An adapter that turns texts into vectors. Raises Unsupported where this model or dialect has none."""

    async def embed(self, request: EmbeddingRequest, card: ModelCard, timeouts: Timeouts, /) -> Embeddings: ...


@runtime_checkable
class Decider(Protocol):
    """An adapter that weighs options in a way of its own, better than a chat about them."""

    async def decide(self, request: DecisionRequest, card: ModelCard, timeouts: Timeouts, /) -> Decisions | None:
        """The verdicts; None where this model or its provider has no such way, so that it is asked by chat."""


@runtime_checkable
class Priced(Protocol):
    """An adapter whose models cost something that is known."""

    def tariff(self, card: ModelCard, /) -> Tariff | None:
        """What it takes. May read a table the first time: not on an event loop."""


@runtime_checkable
class Employer(Protocol):
    """An adapter whose models are in processes of this machine."""

    async def workers(self) -> Sequence[Worker]:
        """Those that run now."""


@dataclass(frozen=True, slots=True)
class Bid:
    """One call that is about to be made, for who meters it.

    `size` estimates it, when it is asked to: the prompt's tokens, and the caller's own limit for all answers together.
    """

    step: Step
    number: int
    card: ModelCard
    adapter: Adapter
    size: Callable[[], tuple[int, int | None]]
    profile: str | None = None
    max_cost_micro: int | None = None


class Account(Protocol):
    """One call while it is metered. Nothing here waits."""

    @property
    def room(self) -> int | None:
        """So many tokens of output a cap leaves, where it demands a limit and the caller set none."""

    def saw(self, event: Event, /) -> None:
        """This came from the candidate."""

    def used(self, usage: Usage, /) -> None:
        """This much it took; for calls that are no stream."""

    def cost(self) -> Cost | None:
        """What it cost, as far as is known now; None where nobody meters."""

    def close(self, error: OsaurusError | None = None, /) -> None:
        """It is over; `error` is why it broke off. Only the first call of this and of `void` counts."""

    def void(self) -> None:
        """Nothing was sent after all."""


class Meter(Protocol):
    """Who writes down what is spent, and keeps it under the caps."""

    async def open(self, bid: Bid, /) -> Account:
        """To be awaited before anything is sent. Raises BudgetExceeded; no other fault of its own stops an answer."""


class Unmetered:
    """Nobody counts. An account too: its own, for every call."""

    room = None

    async def open(self, bid: Bid, /) -> Account:
        return self

    def saw(self, event: Event, /) -> None: ...

    def used(self, usage: Usage, /) -> None: ...

    def cost(self) -> Cost | None:
        return None

    def close(self, error: OsaurusError | None = None, /) -> None: ...

    def void(self) -> None: ...


class Books(Protocol):
    """What was spent, for whoever may see it. Raises LedgerUnreadable where it cannot be told now."""

    async def entries(self, query: Query = ..., /) -> Sequence[Entry]:
        """One page, newest first."""

    async def totals(self, by: By, query: Query = ..., /) -> Sequence[Total]:
        """Sums of all that the query finds, whatever its page; the largest cost first, days newest first."""

    async def budgets(self, origin: Origin = ..., /) -> Sequence[BudgetState]:
        """Every cap that holds for a question from there."""

    async def void(self, step: str, /) -> int:
        """Strike the open lines of a step that never was charged. How many there were."""

    async def status(self) -> LedgerStatus: ...


class Ledger(Meter, Books, Protocol):
    """Who meters and keeps the books of it."""

    async def aclose(self) -> None:
        """What was noted is written first."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What an observer is told: this happened in that step, at this monotonic second."""

    step: Step
    event: Event
    at: float


class Observer(Protocol):
    """Watches every stream. It cannot hurt: what it raises is logged once and the answer goes on.

    One with an attribute `pieces` that is False is told the first piece of an answer alone, and all that is none.
    """

    def observe(self, note: Observation, /) -> None: ...


class Clock(Protocol):
    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class SecretStore(Protocol):
    """Where provider keys are. `get` never raises for a missing one."""

    def get(self, provider: str, name: str, /) -> str | None: ...
