"""What a call cost, whose it was, and how much may be spent. Values only.

Amounts are whole millionths of a US dollar. Nothing here has room for a prompt, an answer or any other free text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from osaurus_nb.models import Usage

#: What became of an attempt, as far as a reader could see it.
Outcome = Literal["rendered", "tool_only", "reasoning_only", "cancelled", "error", "empty"]
#: Who says what it cost: the provider itself, its own price list, the user, the offline table; `free` costs nothing.
PriceSource = Literal["provider", "list", "user", "table", "free"]
#: Who counted the tokens. `absurd`: the provider did, and it does not add up. `reconciled`: read from its report later.
TokenSource = Literal["provider", "estimate", "absurd", "reconciled", "none"]
#: `open`: about to be sent, and may cost something. `settle`: this is what it cost. `void`: it never happened.
Kind = Literal["open", "settle", "void"]
#: By what spending can be summed.
By = Literal["cell", "notebook", "model", "provider", "day", "session", "key", "outcome"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a question comes from, in ids. `run` is one execution of a cell, `key` the id of an issued key."""

    session: str | None = None
    notebook: str | None = None
    cell: str | None = None
    run: str | None = None
    key: str | None = None


NOWHERE = Origin()


@dataclass(frozen=True, slots=True)
class Cap:
    """No more than this may be spent under `scope`, e.g. `day:2026-11-21`, `run:7f3a` or `budget:9c1e`."""

    scope: str
    limit_micro: int


@dataclass(frozen=True, slots=True)
class Cost:
    """`micro` is None where nobody knows a price. `version` dates the table it was read from."""

    micro: int | None
    source: PriceSource | None = None
    version: str | None = None
    estimated: bool = False

    def __add__(self, other: Cost) -> Cost:
        """Both together: not known where one is not, and by the source of the one that cost something."""
        told = other if other.micro or not self.micro else self
        known = self.micro is not None and other.micro is not None
        micro = (self.micro or 0) + (other.micro or 0) if known else None
        return Cost(micro, told.source, told.version, self.estimated or other.estimated)


#: What is asked of nobody but this machine.
FREE = Cost(0, "free")
UNKNOWN = Cost(None)
NOTHING = Usage()


class Tariff(Protocol):
    """What one model takes for its tokens. Cheap to ask: it is asked on the event loop."""

    def cost(self, usage: Usage, at: datetime, /) -> Cost:
        """What this usage cost at that time."""

    def at_most(self, input_tokens: int, output_tokens: int, /) -> int | None:
        """More than this it cannot cost, in micro; None where the price is not known."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger: something happened with one attempt of one step. `seq` and `chain` are the ledger's.

    An attempt that may cost something has an `open` line before it is sent, and one `settle` or `void` later.
    Durations are milliseconds; `at` is Unix seconds; `energy_j` joules, where this machine measures them.
    """

    kind: Kind
    step: str
    attempt: int
    at: float
    provider: str
    model: str
    asked: str
    origin: Origin = NOWHERE
    request_id: str | None = None
    #: A digest of the key under which the provider was asked: one settle for each.
    idempotency: str | None = None
    answered: str | None = None
    dialect: str | None = None
    usage: Usage = NOTHING
    token_source: TokenSource = "none"  # noqa: S105 - no password
    cost: Cost = UNKNOWN
    #: How much was set aside for it, in micro, until it is settled.
    reserved_micro: int = 0
    first_token_ms: int | None = None
    duration_ms: int | None = None
    finish_reason: str | None = None
    outcome: Outcome | None = None
    profile: str | None = None
    fallbacks: int = 0
    energy_j: float | None = None
    seq: int = 0
    chain: str = ""
    #: Of an `open` line without an end: does the process that wrote it still live? None for any other line.
    alive: bool | None = None

    @property
    def orphan(self) -> bool:
        """It was sent, and who sent it is gone: charged perhaps, and nobody saw the answer."""
        return self.alive is False


@dataclass(frozen=True, slots=True)
class Query:
    """Which lines: `settle` and `void`, and `open` ones that were not ended. Times are Unix seconds.

    `before` is the `seq` of the last line of the page before. Newest first.
    """

    since: float | None = None
    until: float | None = None
    step: str | None = None
    session: str | None = None
    notebook: str | None = None
    cell: str | None = None
    key: str | None = None
    provider: str | None = None
    model: str | None = None
    outcome: Outcome | None = None
    orphans: bool = False
    before: int | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Total:
    """A sum over lines. `unpriced` of them have no known cost, `estimated` of them an estimated one."""

    key: str
    calls: int
    cost_micro: int
    usage: Usage
    unpriced: int = 0
    estimated: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Overrun:
    """Why a call was not allowed: `needed_micro` more would not have fitted under this cap. None: no price is known."""

    cap: Cap
    spent_micro: int
    reserved_micro: int
    needed_micro: int | None


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A cap and how far it is used up. `reserved_micro` is set aside for calls under way."""

    cap: Cap
    spent_micro: int
    reserved_micro: int

    @property
    def left_micro(self) -> int:
        return max(self.cap.limit_micro - self.spent_micro - self.reserved_micro, 0)


@dataclass(frozen=True, slots=True)
class LedgerStatus:
    """Where the ledger is and how it does. `notices` are sentences for the user: what happened to its file, say.

    `memory`: it lasts as long as this process. `waiting` lines could not be written yet.
    """

    state: Literal["encrypted", "plaintext", "memory", "off"]
    path: str | None
    rows: int = 0
    waiting: int = 0
    notices: tuple[str, ...] = field(default=())
