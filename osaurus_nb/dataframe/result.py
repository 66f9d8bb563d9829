"""What came of each row: its value or its error, what it cost, and all of it as a frame beside the given one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from osaurus_nb import _markup, money
from osaurus_nb.dataframe.rows import Rows
from osaurus_nb.errors import Cancelled, OsaurusError
from osaurus_nb.models import Usage
from osaurus_nb.spending import Cost


@dataclass(frozen=True, slots=True, repr=False)
class Row:
    """One row. `cost` and `usage` are of all that was asked for it; `kept`: an earlier run asked."""

    value: Any = None
    error: OsaurusError | None = None
    cost: Cost | None = None
    usage: Usage | None = None
    model: str = ""
    kept: bool = False

    def __repr__(self) -> str:
        said = f"{type(self.error).__name__}: {self.error}" if self.error is not None else type(self.value).__name__
        return f"<Row {said}>"

    @property
    def ok(self) -> bool:
        return self.error is None


#: It was not asked: the map was stopped before.
NOT_ASKED = Row(error=Cancelled("The map was stopped before this row was answered."))


class Mapped(Sequence[Row]):
    """The rows in the order of the data. `stopped` says that somebody stopped it before it was through."""

    def __init__(self, rows: Sequence[Row], data: Rows, plain: Callable[[Any], Any] | None, *, stopped: bool) -> None:
        self._rows = tuple(rows)
        self._data = data
        self._plain = plain
        self.stopped = stopped

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Row]: ...
    def __getitem__(self, at: int | slice) -> Row | Sequence[Row]:
        return self._rows[at]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    @property
    def values(self) -> list[Any]:
        """A text, or what the schema makes of it, for each row; None where there is an error."""
        return [row.value for row in self._rows]

    @property
    def errors(self) -> dict[int, OsaurusError]:
        """What went wrong, by the row's number."""
        return {at: row.error for at, row in enumerate(self._rows) if row.error is not None}

    @property
    def cost(self) -> Cost | None:
        """Of this run alone: what an earlier one paid for is not in it. None where nobody meters."""
        return _sum(row.cost for row in self._rows if not row.kept)

    @property
    def usage(self) -> Usage:
        return sum((row.usage for row in self._rows if row.usage is not None and not row.kept), Usage())

    def to_frame(self) -> Any:
        """Values (one column for each field of a schema), errors, costs in dollars and tokens, under the data's index.

        `df.join(mapped.to_frame())` puts them beside their rows. For a list, pandas or polars must be installed.
        """
        return self._data.frame(self._columns())

    def _columns(self) -> Mapping[str, Sequence[Any]]:
        told: dict[str, Sequence[Any]] = {
            "error": [None if row.error is None else f"{row.error.code}: {row.error}" for row in self._rows],
            "cost": [_dollars(row.cost) for row in self._rows],
            "input_tokens": [row.usage.total_input if row.usage else None for row in self._rows],
            "output_tokens": [row.usage.total_output if row.usage else None for row in self._rows],
            "model": [row.model or None for row in self._rows],
        }
        if self._plain is None:
            return {"value": self.values, **told}
        plain = [self._plain(row.value) if row.ok else {} for row in self._rows]
        fields = dict.fromkeys(name for value in plain for name in value)
        clear = {name if name not in told else f"value_{name}": name for name in fields}
        return {shown: [value.get(name) for value in plain] for shown, name in clear.items()} | told

    def __repr__(self) -> str:
        return f"<Mapped {self}>"

    def __str__(self) -> str:
        failed, cost = len(self.errors), self.cost
        parts = [f"{len(self):,} rows"]
        if failed:
            parts.append(f"{failed:,} without an answer")
        if cost is not None:
            parts.append(money.paid(cost))
        return " · ".join([*parts, *(["stopped"] if self.stopped else [])])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """The sum of it, and what went wrong how often; no value is in it."""
        kinds: dict[str, int] = {}
        for error in self.errors.values():
            kinds[str(error)] = kinds.get(str(error), 0) + 1
        worst = sorted(kinds.items(), key=lambda kind: -kind[1])[:5]
        return _markup.callout(str(self), kind="note", hint="\n".join(f"{count:,} × {said}" for said, count in worst))


def _sum(costs: Iterator[Cost | None]) -> Cost | None:
    whole: Cost | None = None
    for cost in costs:
        if cost is not None:
            whole = cost if whole is None else whole + cost
    return whole


def _dollars(cost: Cost | None) -> float | None:
    return None if cost is None or cost.micro is None else cost.micro / 1_000_000
