"""Books in memory, for tests of what shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from osaurus_nb.runtime import Runtime
from osaurus_nb.spending import (
    FREE,
    NOWHERE,
    BudgetState,
    Cost,
    Entry,
    LedgerStatus,
    Origin,
    Query,
    Total,
    Usage,
)
from osaurus_nb.testing.scripted import Script, ScriptedAdapter, says

ANY = Query()
NOW = 1_700_000_000.0


def line(seq: int = 1, **said) -> Entry:
    """A settled line; what is not said is ordinary."""
    plain = Entry(
        "settle",
        f"step{seq}",
        1,
        NOW - seq,
        "openai",
        "gpt-5-mini",
        "openai/gpt-5-mini",
        origin=Origin("s1", "/lab/a.ipynb", "cell-1", "run-1"),
        usage=Usage(1200, 34),
        cost=Cost(1234, "table", "2026-11-01"),
        duration_ms=1500,
        outcome="rendered",
        seq=seq,
    )
    return replace(plain, **said)


def local(seq: int, **said) -> Entry:
    return line(seq, provider="local", model="tiny", asked="tiny", cost=FREE, **said)


def orphan(seq: int, **said) -> Entry:
    dead = {"kind": "open", "alive": False, "cost": Cost(None), "usage": Usage(), "outcome": None, "duration_ms": None}
    return line(seq, **{**dead, "reserved_micro": 20_000, **said})


class BooksOf:
    """Answers as the ledger does, from a list; notes what it was asked."""

    def __init__(self, entries: Sequence[Entry] = (), budgets: Sequence[BudgetState] = ()) -> None:
        self.kept = list(entries)
        self.caps = list(budgets)
        self.asked: list[object] = []
        self.notices: tuple[str, ...] = ()

    async def entries(self, query: Query = ANY) -> Sequence[Entry]:
        self.asked.append(query)
        return [entry for entry in self.kept if _meant(entry, query)][: query.limit]

    async def totals(self, by, query: Query = ANY) -> Sequence[Total]:
        self.asked.append((by, query))
        found: dict[str, Total] = {}
        for entry in self.kept:
            if entry.kind == "settle" and _meant(entry, query):
                key = _key(entry, by)
                found[key] = _and(found.get(key, Total(key, 0, 0, Usage())), entry)
        return sorted(found.values(), key=lambda total: -total.cost_micro)

    async def budgets(self, origin: Origin = NOWHERE) -> Sequence[BudgetState]:
        self.asked.append(origin)
        return self.caps

    async def void(self, step: str) -> int:
        gone = [entry for entry in self.kept if entry.step == step and entry.kind == "open"]
        self.kept = [entry for entry in self.kept if entry not in gone]
        return len(gone)

    async def status(self) -> LedgerStatus:
        return LedgerStatus("encrypted", "/home/ann/.osaurus/billing/ledger.sqlite", len(self.kept), 0, self.notices)

    async def aclose(self) -> None: ...


class Kept(Runtime):
    """A runtime whose books are the given ones."""

    def __init__(self, books: BooksOf, **more: Script) -> None:
        super().__init__([ScriptedAdapter({"echo": [says("Hello.")], **{name: [said] for name, said in more.items()}})])
        self._kept = books

    @property
    def books(self) -> BooksOf:
        return self._kept


def _meant(entry: Entry, query: Query) -> bool:
    same = all(
        getattr(query, name) in (None, found)
        for name, found in (
            ("step", entry.step),
            ("session", entry.origin.session),
            ("notebook", entry.origin.notebook),
            ("cell", entry.origin.cell),
            ("key", entry.origin.key),
            ("provider", entry.provider),
            ("model", entry.model),
            ("outcome", entry.outcome),
        )
    )
    since, until = query.since or 0, query.until or float("inf")
    return same and since <= entry.at < until and (entry.orphan or not query.orphans)


def _key(entry: Entry, by: str) -> str:
    place = {"cell": entry.origin.cell, "notebook": entry.origin.notebook, "session": entry.origin.session}
    return str((place | {"model": entry.model, "provider": entry.provider, "outcome": entry.outcome}).get(by) or "")


def _and(total: Total, entry: Entry) -> Total:
    return Total(
        total.key,
        total.calls + 1,
        total.cost_micro + (entry.cost.micro or 0),
        total.usage + entry.usage,
        total.unpriced + (entry.cost.micro is None),
        total.estimated + entry.cost.estimated,
        total.seconds + (entry.duration_ms or 0) / 1000,
    )
