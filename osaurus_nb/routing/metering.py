"""Metering for calls that are no stream, and the ledger of those who keep none. Pure."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

from osaurus_nb.errors import Cancelled, OsaurusError
from osaurus_nb.models import Usage
from osaurus_nb.ports import Account, Bid, Meter, Step, Unmetered
from osaurus_nb.routing.plan import Candidate
from osaurus_nb.spending import NOWHERE, BudgetState, By, Entry, LedgerStatus, Origin, Query, Total

UNMETERED = Unmetered()


@asynccontextmanager
async def metered(
    meter: Meter, candidate: Candidate, step: Step, size: Callable[[], Usage]
) -> AsyncGenerator[Account, None]:
    """One call to a model that is asked once, with nothing written by it. `size` is what it takes, by an estimate."""
    account = await meter.open(Bid(step, 1, candidate.card, candidate.adapter, lambda: (size().total_input, 0)))
    fault: OsaurusError | None = Cancelled("The caller stopped it.")
    try:
        yield account
        fault = None
    except OsaurusError as exc:
        fault = exc
        raise
    finally:
        account.close(fault)


class Unkept:
    """Nothing is noted, so that there is nothing to tell."""

    async def open(self, bid: Bid, /) -> Account:
        return UNMETERED

    async def entries(self, query: Query = Query(), /) -> Sequence[Entry]:  # noqa: B008 - a frozen value
        return ()

    async def totals(self, by: By, query: Query = Query(), /) -> Sequence[Total]:  # noqa: B008
        return ()

    async def budgets(self, origin: Origin = NOWHERE, /) -> Sequence[BudgetState]:
        return ()

    async def void(self, step: str, /) -> int:
        return 0

    async def status(self) -> LedgerStatus:
        return LedgerStatus("off", None)

    async def aclose(self) -> None: ...
