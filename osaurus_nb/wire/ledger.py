"""The ledger's values as the JSON of our own administration, and back. Pure: no I/O, no clock, no settings.

What an older or newer server says beside what we know is passed over; what it leaves out is as if it were not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any, TypeVar, get_args

from osaurus_nb.errors import BadAnswer, RequestError
from osaurus_nb.models import Usage
from osaurus_nb.spending import BudgetState, By, Cap, Cost, Entry, LedgerStatus, Origin, Outcome, Query, Total
from osaurus_nb.wire._json import shown
from osaurus_nb.wire._liberal import as_mapping, as_rows

T = TypeVar("T")
#: So many lines fit on a page.
LONGEST_PAGE = 1000
#: In an address `key` is the secret with which one asks.
_IN_ADDRESS = {"key": "key_id"}
_YES = {"true": True, "1": True, "false": False, "0": False}


def encode_entry(entry: Entry) -> dict[str, Any]:
    return {"object": "ledger.entry", **asdict(entry), "orphan": entry.orphan}


def encode_total(total: Total) -> dict[str, Any]:
    return {"object": "ledger.total", **asdict(total)}


def encode_budget(state: BudgetState) -> dict[str, Any]:
    figures = {"limit_micro": state.cap.limit_micro, "spent_micro": state.spent_micro}
    more = {"reserved_micro": state.reserved_micro, "left_micro": state.left_micro}
    return {"object": "ledger.budget", "scope": state.cap.scope, **figures, **more}


def encode_status(status: LedgerStatus) -> dict[str, Any]:
    return {"object": "ledger.status", **asdict(status)}


def decode_entry(row: Mapping[str, Any]) -> Entry:
    whole = _known(Entry, row)
    whole["origin"] = Origin(**_known(Origin, as_mapping(row.get("origin"))))
    whole["usage"] = Usage(**_known(Usage, as_mapping(row.get("usage"))))
    whole["cost"] = _made(Cost, {"micro": None, **as_mapping(row.get("cost"))})
    return _made(Entry, whole)


def decode_total(row: Mapping[str, Any]) -> Total:
    return _made(Total, {**row, "usage": Usage(**_known(Usage, as_mapping(row.get("usage"))))})


def decode_budget(row: Mapping[str, Any]) -> BudgetState:
    return _made(BudgetState, {**row, "cap": _made(Cap, row)})


def decode_status(said: Mapping[str, Any]) -> LedgerStatus:
    return _made(LedgerStatus, {**said, "notices": tuple(map(str, said.get("notices") or ()))})


def rows(payload: Mapping[str, Any], decode: Callable[[Mapping[str, Any]], T]) -> list[T]:
    """What a list holds."""
    return [decode(row) for row in as_rows(payload.get("data"))]


def encode_query(query: Query) -> dict[str, str]:
    """As the parameters of an address: what asks for nothing is left out."""
    said = {field.name: getattr(query, field.name) for field in fields(Query)}
    plain = {field.name: field.default for field in fields(Query)}
    return {_IN_ADDRESS.get(name, name): _text(value) for name, value in said.items() if value != plain[name]}


def encode_origin(origin: Origin) -> dict[str, str]:
    return {_IN_ADDRESS.get(name, name): value for name, value in asdict(origin).items() if value is not None}


def decode_query(said: Mapping[str, str]) -> Query:
    """Which lines are asked for. Raises RequestError that names the parameter."""
    return Query(**{name: _value(name, text) for name, text in _expected(said, Query).items()})


def decode_origin(said: Mapping[str, str]) -> Origin:
    """Whose budgets are asked for. Raises RequestError that names the parameter."""
    return Origin(**_expected(said, Origin))


def decode_by(text: str | None) -> By:
    """By what sums are asked for. Raises RequestError."""
    for known in get_args(By):
        if text == known:
            return known  # type: ignore[no-any-return]  # it is one of them
    raise RequestError(f"'by' must be one of {', '.join(get_args(By))}.", param="by")


def _value(name: str, text: str) -> Any:
    match name:
        case "since" | "until":
            return _number(name, text, float, "Unix seconds")
        case "before":
            return _number(name, text, int, "the 'seq' of a line")
        case "limit":
            return _number(name, text, int, f"a number from 1 to {LONGEST_PAGE}", least=1, most=LONGEST_PAGE)
        case "orphans":
            if text.lower() not in _YES:
                raise RequestError("'orphans' must be true or false.", param=name)
            return _YES[text.lower()]
        case "outcome" if text not in get_args(Outcome):
            raise RequestError(f"'outcome' must be one of {', '.join(get_args(Outcome))}.", param=name)
        case _:
            return text


def _number(
    name: str, text: str, kind: Callable[[str], float], what: str, *, least: float = 0, most: float = 2**53
) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = -1
    if not least <= value <= most:  # nor is NaN
        raise RequestError(f"'{name}' must be {what}.", param=name)
    return value


def _expected(said: Mapping[str, str], kind: type[Any]) -> Mapping[str, str]:
    """Its fields by their own names."""
    names = {_IN_ADDRESS.get(field.name, field.name): field.name for field in fields(kind)}
    for name in said:
        if name not in names:
            raise RequestError(
                f"There is no parameter '{shown(name)}' here. There are: {', '.join(names)}.", param=name
            )
    return {names[name]: text for name, text in said.items()}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _known(kind: type[Any], row: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: row[field.name] for field in fields(kind) if field.name in row}


def _made(kind: type[T], row: Mapping[str, Any]) -> T:
    known = _known(kind, row)
    missing = [field.name for field in fields(kind) if field.name not in known and _needed(field)]  # type: ignore[arg-type]  # values of ours
    if missing:
        raise BadAnswer(f"The osaurus server's ledger tells no '{missing[0]}'.", provider="osaurus")
    return kind(**known)


def _needed(field: Any) -> bool:
    return field.default is MISSING and field.default_factory is MISSING
