"""What was spent, asked of whoever keeps the books: lines, sums, and the caps that hold. Changes nothing but by `void`.

`Ledger` is the thin sync shadow of `AsyncLedger`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from typing import Any, TypedDict, Unpack, get_args

from osaurus_nb import origin
from osaurus_nb._portal import Portal
from osaurus_nb.errors import RequestError
from osaurus_nb.ledger.identifiers import identifier
from osaurus_nb.ports import Books
from osaurus_nb.spending import By, LedgerStatus, Outcome, Query
from osaurus_nb.statement import Budgets, Entries, Sums

#: Seconds of what `last` is written with.
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_LAST = re.compile(r"\s*(\d{1,6})\s*([mhdw])\s*", re.ASCII)
#: What the ledger stores as ids is asked for by what is stored.
_IDS = frozenset({"step", "session", "notebook", "cell", "key", "provider", "model"})
#: All that is kept.
_ALL = 1_000_000


class Filters(TypedDict, total=False):
    """Which lines. `last` is a span up to now: "30m", "24h", "7d", "2w", or "today". Numbers are Unix seconds."""

    last: str | None
    since: datetime | float | None
    until: datetime | float | None
    step: str | None
    session: str | None
    notebook: str | None
    cell: str | None
    key: str | None
    provider: str | None
    model: str | None
    outcome: Outcome | None


class AsyncLedger:
    """The books behind a client. Raises LedgerUnreadable where they cannot be read now."""

    def __init__(self, books: Callable[[], Books]) -> None:
        self._books = books

    async def entries(self, *, limit: int | None = 100, **filters: Unpack[Filters]) -> Entries:
        """The newest lines that are meant, newest first; with `limit=None` all of them."""
        asked = query(filters, limit=_ALL if limit is None else limit)
        return Entries(await self._books().entries(asked))

    async def sum(self, by: By = "model", **filters: Unpack[Filters]) -> Sums:
        """What was spent, for each model, provider, notebook, cell, day, session, key or outcome; the dearest first."""
        if by not in get_args(By):
            raise RequestError(f"'{by}' is nothing to sum by. There are: {', '.join(get_args(By))}.", param="by")
        return Sums(by, await self._books().totals(by, query(filters)))

    async def orphans(self, **filters: Unpack[Filters]) -> Entries:
        """Calls that were charged perhaps and whose answer nobody saw: their process ended in the middle."""
        return Entries(await self._books().entries(query(filters, orphans=True, limit=_ALL)))

    async def budgets(self) -> Budgets:
        """The caps of the settings that hold for a question that is asked here and now."""
        return Budgets(await self._books().budgets(origin.current()))

    async def void(self, step: str) -> int:
        """Strike the open lines of a step that surely was not charged. How many there were."""
        return await self._books().void(step)

    async def status(self) -> LedgerStatus:
        """Where the ledger is, and what there is to know about it."""
        return await self._books().status()


class Ledger:
    """`AsyncLedger` for sync code."""

    def __init__(self, ledger: AsyncLedger, portal: Portal) -> None:
        self._async = ledger
        self._portal = portal

    def entries(self, *, limit: int | None = 100, **filters: Unpack[Filters]) -> Entries:
        """The newest lines that are meant, newest first; with `limit=None` all of them."""
        return self._portal.run(self._async.entries(limit=limit, **filters))

    def sum(self, by: By = "model", **filters: Unpack[Filters]) -> Sums:
        """What was spent, for each model, provider, notebook, cell, day, session, key or outcome; the dearest first."""
        return self._portal.run(self._async.sum(by, **filters))

    def orphans(self, **filters: Unpack[Filters]) -> Entries:
        """Calls that were charged perhaps and whose answer nobody saw: their process ended in the middle."""
        return self._portal.run(self._async.orphans(**filters))

    def budgets(self) -> Budgets:
        """The caps of the settings that hold for a question that is asked here and now."""
        return self._portal.run(self._async.budgets())

    def void(self, step: str) -> int:
        """Strike the open lines of a step that surely was not charged. How many there were."""
        return self._portal.run(self._async.void(step))

    def status(self) -> LedgerStatus:
        """Where the ledger is, and what there is to know about it."""
        return self._portal.run(self._async.status())


def query(filters: Filters, *, orphans: bool = False, limit: int = 100, now: float | None = None) -> Query:
    """The lines that are meant. Raises RequestError for a filter that is none."""
    known = {field.name for field in fields(Query)} - {"orphans", "before", "limit"} | {"last"}
    if unknown := set(filters) - known:
        raise RequestError(f"Unknown filter '{min(unknown)}'. Known: {', '.join(sorted(known))}.", param=min(unknown))
    said: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
    for name in said.keys() & _IDS:
        said[name] = identifier(said[name])
    for name in said.keys() & {"since", "until"}:
        said[name] = said[name].timestamp() if isinstance(said[name], datetime) else float(said[name])
    last = said.pop("last", None)
    if last is not None:
        since = _since(last, time.time() if now is None else now)
        said["since"] = max(since, said.get("since", since))
    return Query(**said, orphans=orphans, limit=limit)


def _since(last: str, now: float) -> float:
    if last == "today":
        return datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0, fold=0).timestamp()
    if (found := _LAST.fullmatch(last)) is None:
        raise RequestError(f"'{last[:20]}' is no span of time. Write 30m, 24h, 7d, 2w or today.", param="last")
    return now - int(found[1]) * _UNITS[found[2]]
