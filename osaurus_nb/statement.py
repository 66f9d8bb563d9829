"""What the ledger says, for a person: lines, sums and budgets that show themselves. Pure; nothing in them can run."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import reduce
from importlib import import_module
from typing import Any, TypeVar, overload

from osaurus_nb import _markup, money
from osaurus_nb.ledger.chain import fields
from osaurus_nb.models import LOCAL, Usage
from osaurus_nb.spending import BudgetState, By, Entry, Total

T = TypeVar("T")

#: What is said of lines that were begun and never ended.
ORPHANS = (
    "orphan: charged perhaps, and nobody saw the answer, for the process ended in the middle; "
    "it counts as spent until its end is known"
)
NOTHING = Total("", 0, 0, Usage())
#: So many lines of a list are shown; all of them are in it.
_SHOWN = 50
_LINES = ("time", "model", "in", "out", "cost", "seconds", "what came", "cell")
_SUMS = ("calls", "in", "out", "cost", "seconds")
_BUDGETS = ("budget", "limit", "spent", "set aside", "left")
_KINDS = {
    "request": "each question",
    "run": "this cell's run",
    "notebook": "this notebook",
    "day": "today",
    "key": "key {id}, this month",
    "provider": "{id}, this month",
}
_OUTCOMES = {"tool_only": "tool calls", "reasoning_only": "reasoning only"}


class _Listing(Sequence[T]):
    """Values that show themselves as one table."""

    def __init__(self, items: Sequence[T]) -> None:
        self._items = tuple(items)

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[T, ...]: ...
    def __getitem__(self, at: int | slice) -> T | tuple[T, ...]:
        return self._items[at]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    @property
    @abstractmethod
    def head(self) -> Sequence[str]: ...

    @property
    @abstractmethod
    def rows(self) -> Sequence[Sequence[str]]:
        """What is shown of them."""

    @property
    @abstractmethod
    def footer(self) -> str:
        """What is said below them."""

    @abstractmethod
    def records(self) -> list[dict[str, Any]]:
        """One dictionary for each, with all that is known of it."""

    def to_pandas(self) -> Any:
        """A DataFrame of the records. Raises ImportError, saying what to install, where there is no pandas."""
        return _pandas().DataFrame.from_records(self.records())

    def __repr__(self) -> str:
        return self._repr_mimebundle_()["text/plain"]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Plain text and a table, in which nothing can run or load."""
        if not self._items:
            return _markup.bundle(self.footer)
        rows = [[_markup.printable(cell) for cell in row] for row in self.rows]
        return _markup.table(self.head, rows, footer=_markup.printable(self.footer))


class Entries(_Listing[Entry]):
    """Lines of the ledger, newest first."""

    @property
    def head(self) -> Sequence[str]:
        return _LINES

    @property
    def rows(self) -> Sequence[Sequence[str]]:
        return [_line(entry) for entry in self._items[:_SHOWN]]

    @property
    def footer(self) -> str:
        if not self._items:
            return "The ledger has no such line."
        more = len(self._items) - _SHOWN
        shown = [f"and {more} more, in `.records()`"] if more > 0 else []
        return " · ".join([*shown, *([ORPHANS] if any(entry.orphan for entry in self._items) else [])])

    def records(self) -> list[dict[str, Any]]:
        return [_record(entry) for entry in self._items]


class Sums(_Listing[Total]):
    """What was spent, by one of the things that it can be summed by."""

    def __init__(self, by: By, items: Sequence[Total]) -> None:
        super().__init__(items)
        self.by = by

    @property
    def head(self) -> Sequence[str]:
        return (self.by, *_SUMS)

    @property
    def rows(self) -> Sequence[Sequence[str]]:
        return [(total.key or "none", *figures(total)) for total in self._items]

    @property
    def footer(self) -> str:
        if not self._items:
            return "The ledger has no such line."
        calls, _, _, cost, seconds = figures(self.total)
        return f"together: {calls} {'call' if self.total.calls == 1 else 'calls'}, {cost}, {seconds} s"

    @property
    def total(self) -> Total:
        """All of them together."""
        return reduce(_add, self._items, NOTHING)

    def records(self) -> list[dict[str, Any]]:
        return [_summed(self.by, total) for total in self._items]


class Budgets(_Listing[BudgetState]):
    """The caps that hold now, and how far each is used up."""

    @property
    def head(self) -> Sequence[str]:
        return _BUDGETS

    @property
    def rows(self) -> Sequence[Sequence[str]]:
        return [_budget(state) for state in self._items]

    @property
    def footer(self) -> str:
        return "" if self._items else "No budget holds here."

    def records(self) -> list[dict[str, Any]]:
        return [
            {
                "scope": state.cap.scope,
                "limit_micro": state.cap.limit_micro,
                "spent_micro": state.spent_micro,
                "reserved_micro": state.reserved_micro,
                "left_micro": state.left_micro,
            }
            for state in self._items
        ]


def figures(total: Total) -> tuple[str, str, str, str, str]:
    """Calls, tokens in and out, cost and seconds, as they are shown. A sum says when it does not know all."""
    usage = total.usage
    return (
        f"{total.calls:,}",
        f"{usage.total_input:,}",
        f"{usage.total_output:,}",
        _sum_of(total),
        f"{total.seconds:,.1f}",
    )


def scope(name: str) -> str:
    """What a budget is for, in words."""
    kind, _, id = name.partition(":")
    return _KINDS.get(kind, "{kind} {id}").format(kind=kind, id=id.partition("@")[0])


def when(at: float) -> str:
    """A line's time, here."""
    return f"{datetime.fromtimestamp(at, UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def total(entries: Iterable[Entry]) -> Total:
    """What these lines come to. Only what has its end counts."""
    return reduce(_add, (_alone(entry) for entry in entries if entry.kind == "settle"), NOTHING)


def _sum_of(total: Total) -> str:
    if total.unpriced == total.calls and total.calls:
        return "?"
    if not total.cost_micro and not total.unpriced and not total.estimated:
        return "free"
    about = "about " if total.estimated else ""
    return f"{about}{money.row(total.cost_micro)}{' and ?' if total.unpriced else ''}"


def _line(entry: Entry) -> tuple[str, ...]:
    name = entry.model if entry.provider == LOCAL else f"{entry.provider}/{entry.model}"
    seconds = f"{entry.duration_ms / 1000:.1f}" if entry.duration_ms is not None else ""
    tokens = (f"{entry.usage.total_input:,}", f"{entry.usage.total_output:,}") if entry.kind == "settle" else ("", "")
    return (when(entry.at), name, *tokens, _cost(entry), seconds, _came(entry), entry.origin.cell or "")


def _cost(entry: Entry) -> str:
    match entry.kind:
        case "settle":
            return money.paid(entry.cost)
        case "void":
            return "none"
        case "open":
            return f"up to {money.row(entry.reserved_micro)}" if entry.reserved_micro else "?"


def _came(entry: Entry) -> str:
    """What became of it, as a reader saw it."""
    if entry.kind == "void":
        return "never sent"
    if entry.kind == "open":
        return "orphan" if entry.orphan else "under way"
    outcome = entry.outcome or ""
    return _OUTCOMES.get(outcome, "answer" if outcome == "rendered" else outcome)


def _record(entry: Entry) -> dict[str, Any]:
    known = {name: value for name, value in fields(entry).items() if name != "form"}
    times = {"at": datetime.fromtimestamp(entry.at, UTC)}
    return {"seq": entry.seq, **known, **times, "cost_usd": _usd(entry.cost.micro), "orphan": entry.orphan}


def _summed(by: By, total: Total) -> dict[str, Any]:
    usage = asdict(total.usage)
    tokens: Mapping[str, int] = {name: usage[name] for name in usage if name.endswith("tokens")}
    return {
        by: total.key,
        "calls": total.calls,
        "cost_micro": total.cost_micro,
        "cost_usd": _usd(total.cost_micro),
        **tokens,
        "seconds": total.seconds,
        "unpriced": total.unpriced,
        "estimated": total.estimated,
    }


def _usd(micro: int | None) -> float | None:
    return None if micro is None else micro / 1_000_000


def _budget(state: BudgetState) -> tuple[str, ...]:
    amounts = (state.cap.limit_micro, state.spent_micro, state.reserved_micro)
    return (scope(state.cap.scope), *map(money.row, amounts), money.balance(state.left_micro))


def _alone(entry: Entry) -> Total:
    cost = entry.cost
    seconds = (entry.duration_ms or 0) / 1000
    return Total("", 1, cost.micro or 0, entry.usage, int(cost.micro is None), int(cost.estimated), seconds)


def _add(one: Total, other: Total) -> Total:
    return Total(
        "",
        one.calls + other.calls,
        one.cost_micro + other.cost_micro,
        one.usage + other.usage,
        one.unpriced + other.unpriced,
        one.estimated + other.estimated,
        one.seconds + other.seconds,
    )


def _pandas() -> Any:
    try:
        return import_module("pandas")
    except ModuleNotFoundError as exc:
        if exc.name != "pandas":
            raise
        raise ImportError(
            "`to_pandas` needs pandas, which is not installed here: run `pip install pandas`. "
            "`records()` gives the same as plain dictionaries.",
            name=exc.name,
        ) from exc
