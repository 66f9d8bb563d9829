"""Looking things up in the ledger, on a connection that only reads. Its faults are the caller's to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from osaurus_nb.ledger.schema import SELECT, entry_of, usage_of
from osaurus_nb.models import LOCAL
from osaurus_nb.spending import By, Entry, Query, Total

#: Is the process of that writer still there?
Alive = Callable[[str], bool]

_EQUAL = ("step", "session", "notebook", "cell", "key", "provider", "outcome")
#: A model's whole name: what two providers call alike are two models.
_NAME = f"CASE provider WHEN '{LOCAL}' THEN model ELSE provider || '/' || model END"
_KEYS: Mapping[By, str] = {
    "cell": "cell",
    "notebook": "notebook",
    "model": _NAME,
    "provider": "provider",
    "day": "CAST(at / 900 AS INTEGER)",  # no clock on earth is off by less than a quarter of an hour
    "session": "session",
    "key": "key",
    "outcome": "outcome",
}
_TOKENS = ("input", "output", "cache_read_input", "cache_creation_input", "reasoning_output")
_SUMS = ", ".join(
    [
        "count(*), total(cost_micro), sum(cost_micro IS NULL), sum(cost_estimated), total(duration_ms) / 1000",
        *(f"total({name}_tokens)" for name in _TOKENS),  # sum() fails where three absurd counts are more than it holds
        "max(usage_estimated), max(usage_absurd)",
    ]
)


def entries(connection: Any, query: Query, alive: Alive) -> list[Entry]:
    """One page, newest first."""
    pending = _pending(connection, alive)
    where, values = _where(query, pending)
    found = connection.execute(
        f"{SELECT} WHERE {where} ORDER BY seq DESC LIMIT :limit", {**values, "limit": query.limit}
    )
    lines = [entry_of(row) for row in found]
    return [replace(line, alive=pending[line.seq]) if line.seq in pending else line for line in lines]


def totals(connection: Any, by: By, query: Query, alive: Alive) -> list[Total]:
    """Sums by what `by` names, days as they are here. What was voided never happened, and is not counted."""
    where, values = _where(query, _pending(connection, alive) if query.orphans else {})
    found = connection.execute(
        f"SELECT {_KEYS[by]}, {_SUMS} FROM entries WHERE kind <> 'void' AND {where} GROUP BY 1",  # noqa: S608 - ours
        values,
    )
    if by == "day":
        days = [_total(key, *sums) for key, sums in _by_day(found).items()]
        return sorted(days, key=lambda total: total.key, reverse=True)
    sums = [_total(*row) for row in found]
    return sorted(sums, key=lambda total: (-total.cost_micro, -total.calls, total.key))


def rows(connection: Any) -> int:
    """How many calls there are."""
    [(ends,)] = connection.execute("SELECT total(ends) FROM head")
    [(pending,)] = connection.execute("SELECT count(*) FROM pending")
    return int(ends) + int(pending)


def _pending(connection: Any, alive: Alive) -> dict[int, bool]:
    """Of each open line without an end: does its writer live?"""
    pending = connection.execute("SELECT seq, writer FROM pending").fetchall()
    living = {writer: alive(writer) for writer in {writer for _, writer in pending}}
    return {seq: living[writer] for seq, writer in pending}


def _where(query: Query, pending: Mapping[int, bool]) -> tuple[str, dict[str, Any]]:
    values = {name: getattr(query, name) for name in _EQUAL if getattr(query, name) is not None}
    terms = [f"{name} = :{name}" for name in values]
    if query.model is not None:
        values["model"] = query.model
        terms.append(f":model IN (model, {_NAME})")
    for name, term in (("since", "at >= :since"), ("until", "at < :until"), ("before", "seq < :before")):
        if getattr(query, name) is not None:
            values[name] = getattr(query, name)
            terms.append(term)
    if query.orphans:
        orphans = ", ".join(str(seq) for seq, lives in pending.items() if not lives)
        terms.append(f"seq IN ({orphans})")
    else:
        terms.append("(kind <> 'open' OR seq IN (SELECT seq FROM pending))")
    return " AND ".join(terms), values


def _by_day(quarters: Iterable[Sequence[Any]]) -> dict[str, list[Any]]:
    """SQLite reckons local days so slowly that only each quarter of an hour is reckoned."""
    days: dict[str, list[Any]] = {}
    for quarter, *sums in quarters:
        day = datetime.fromtimestamp(quarter * 900).date().isoformat()
        days[day] = [one + other for one, other in zip(days[day], sums, strict=True)] if day in days else sums
    return days


def _total(
    key: str | None, calls: int, micro: float, unpriced: int, estimated: int, seconds: float, *usage: Any
) -> Total:
    return Total(key or "", calls, int(micro), usage_of(*map(int, usage)), unpriced, estimated, seconds)
