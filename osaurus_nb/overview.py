"""How everything stands, for a person: providers, breakers, models in memory, the ledger, scarce budgets. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from osaurus_nb import _markup, money
from osaurus_nb.models import BreakerStatus, SourceStatus, Worker
from osaurus_nb.spending import BudgetState, LedgerStatus
from osaurus_nb.statement import scope

#: A budget of which no more than this share is left is near its end.
NEAR = 0.2
_HEAD = ("provider", "models", "asked", "worked", "state")


@dataclass(frozen=True, slots=True)
class Overview:
    """Values to look at and to work with. `ledger` is None where this caller may not see it."""

    sources: tuple[SourceStatus, ...]
    workers: tuple[Worker, ...] = ()
    ledger: LedgerStatus | None = None
    budgets: tuple[BudgetState, ...] = ()

    @property
    def well(self) -> bool:
        """May every provider that is wanted be asked now?"""
        return all(
            row.state in ("connected", "disabled", "disconnected", "connecting") and not _spared(row.breaker)
            for row in self.sources
        )

    @property
    def ending(self) -> tuple[BudgetState, ...]:
        """The budgets that are used up, or nearly."""
        return tuple(state for state in self.budgets if state.left_micro <= NEAR * state.cap.limit_micro)

    @property
    def lines(self) -> tuple[str, ...]:
        """What is to be said below the table of providers."""
        return (*map(_in_memory, self.workers), *self._kept(), *(_near(state) for state in self.ending))

    def __repr__(self) -> str:
        return self._repr_mimebundle_()["text/plain"]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Plain text and a table, in which nothing can run or load."""
        return self.shown()

    def shown(self, *more: str) -> dict[str, str]:
        """The same with further lines at its end."""
        rows = [[_markup.printable(cell) for cell in row] for row in _rows(self.sources)]
        said = [_markup.printable(line) for line in (*self.lines, *more)]
        table = _markup.table(_HEAD, rows)
        plain = "\n".join([table["text/plain"], *said])
        below = _markup.callout("\n".join(said), kind="note")["text/html"] if said else ""
        return {"text/plain": plain, "text/html": table["text/html"] + below}

    def _kept(self) -> Iterator[str]:
        if self.ledger is None:
            return
        rows = f", {self.ledger.rows:,} lines" if self.ledger.rows else ""
        waits = f", {self.ledger.waiting} not written yet" if self.ledger.waiting else ""
        yield f"ledger: {self.ledger.state}{rows}{waits}"
        yield from (f"ledger: {notice}" for notice in self.ledger.notices)


def standing(source: SourceStatus, now: float) -> str:
    """Its state in words, and when it is asked again by itself. `now` in Unix seconds."""
    if source.error:
        wait = max(0, round(source.retry_at - now)) if source.retry_at is not None else None
        return source.error if wait is None else f"{source.error} Next try in {wait} s."
    return "ready" if source.state == "connected" else source.state


def _rows(sources: Sequence[SourceStatus]) -> Iterator[tuple[str, ...]]:
    now = time.time()
    for row in sources:
        worked = "" if row.success is None else f"{row.success * 100:.0f} %"
        yield (row.provider, f"{row.models:,}", _asked(row.breaker), worked, standing(row, now))
        for model in row.resting:
            yield (f"  {model.model}", "", _asked(model), "", "")


def _asked(breaker: BreakerStatus | None) -> str:
    """Whether questions go there, in words."""
    if breaker is None:
        return ""
    match breaker.state:
        case "closed":
            return "yes"
        case "half-open":
            return "one question finds out"
        case "open":
            wait = f"not for {breaker.retry_in:.0f} s" if breaker.retry_in else "again now"
            return f"{wait}: {breaker.last}" if breaker.last else wait


def _spared(breaker: BreakerStatus | None) -> bool:
    return breaker is not None and breaker.state != "closed"


def _in_memory(worker: Worker) -> str:
    work = f"{worker.running} under way" + (f", {worker.waiting} waiting" if worker.waiting else "")
    again = f", started anew {worker.restarts} times" if worker.restarts else ""
    return f"{worker.model}: {worker.memory_bytes / 1e6:,.0f} MB in memory, {work}{again}"


def _near(state: BudgetState) -> str:
    left = money.balance(state.left_micro)
    return f"budget of {scope(state.cap.scope)}: {left} left of {money.row(state.cap.limit_micro)}"
