"""The text of `billing/settings.json`: what it says, what is wrong with it, and how a change is written into it. Pure.

A problem names the place in the file, never a value.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from osaurus_nb.config.billing.settings import BillingSettings
from osaurus_nb.errors import RequestError
from osaurus_nb.models import Price
from osaurus_nb.money import exact, parse

_SCALARS = ("request", "cell", "notebook", "day")
_MAPS = ("keys", "providers")


def _amount(said: Any) -> int:
    try:
        return parse(said)
    except RequestError as error:
        raise ValueError(str(error)) from None


#: Micro-dollars, and dollars for a million tokens: less than a millionth of one is no price that anybody asks.
Amount = Annotated[int, BeforeValidator(_amount)]
Rate = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=18, decimal_places=9)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Budgets(_Part):
    request: Amount | None = None
    cell: Amount | None = None
    notebook: Amount | None = None
    day: Amount | None = None
    keys: dict[str, Amount] = {}
    providers: dict[str, Amount] = {}


class _Price(_Part):
    input: Rate
    output: Rate
    cache_read: Rate | None = None
    cache_write: Rate | None = None


class _Retention(_Part):
    rows: Annotated[int, Field(ge=1)] = 10_000
    days: Annotated[float, Field(gt=0)] = 365


class _Document(_Part):
    budgets: _Budgets = _Budgets()
    prices: dict[str, _Price] = {}
    retention: _Retention = _Retention()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says. Of one that is not `sound`, `settings` are what is right in it."""

    settings: BillingSettings = field(default_factory=BillingSettings)
    problems: Sequence[str] = ()
    sound: bool = True
    content: dict[str, Any] = field(default_factory=dict)


def read(data: bytes) -> Reading:
    """Never raises: what is wrong is told in the reading."""
    try:
        text = data.decode("utf-8-sig")
        content = json.loads(text, parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        return Reading(problems=(f"line {error.lineno} is no JSON ({error.msg}).",), sound=False)
    except (ValueError, RecursionError) as error:
        return Reading(problems=(f"it is no JSON that we read ({error}).",), sound=False)
    if not isinstance(content, dict):
        return Reading(problems=("it is no object in JSON.",), sound=False)
    return _checked(content, text)


def changed(reading: Reading, new: BillingSettings) -> bytes:
    """The text with what differs in `new`. All else is as it was written."""
    old, content = reading.settings, copy.deepcopy(reading.content)
    budgets = content.setdefault("budgets", {})
    for name in _SCALARS:
        _put(budgets, name, getattr(old, name), getattr(new, name), exact)
    for name in _MAPS:
        _put_all(budgets.setdefault(name, {}), getattr(old, name), getattr(new, name), exact)
    _put_all(content.setdefault("prices", {}), old.prices, new.prices, _rates)
    retention = content.setdefault("retention", {})
    _put(retention, "rows", old.rows, new.rows, lambda rows: rows)
    _put(retention, "days", old.days, new.days, lambda days: days)
    for part, name in ((budgets, "keys"), (budgets, "providers"), *((content, name) for name in tuple(content))):
        if part.get(name) == {}:
            del part[name]
    return json.dumps(content, indent=2, default=float).encode() + b"\n"


def _checked(content: dict[str, Any], text: str) -> Reading:
    right, problems = copy.deepcopy(content), list[str]()
    while True:
        try:
            found = _Document.model_validate(right)
        except ValidationError as error:
            faults = [fault["loc"] for fault in error.errors(include_input=False, include_url=False)]
            problems += [f"{_place(loc, text)} is not what belongs there." for loc in _leave_out(right, faults)]
        else:
            unknown = [f"{_place(loc, text)} is no setting that we know. It is kept." for loc in _unknown(found)]
            return Reading(_settings(found), (*problems, *unknown), not problems, content)


def _leave_out(content: dict[str, Any], faults: Sequence[tuple[int | str, ...]]) -> Iterator[tuple[int | str, ...]]:
    """Take each faulty thing out; of a price that lacks something, the whole price."""
    for loc in dict.fromkeys(loc[:2] if loc[0] == "prices" else loc for loc in faults):
        part: Any = content
        for key in loc[:-1]:
            part = part[key]
        del part[loc[-1]]
        yield loc


def _unknown(part: BaseModel, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield from ((*at, name) for name in part.model_extra or ())
    for name in type(part).model_fields:
        value = getattr(part, name)
        inside = value if isinstance(value, dict) else {}
        if isinstance(value, BaseModel):
            yield from _unknown(value, (*at, name))
        for key, entry in inside.items():
            if isinstance(entry, BaseModel):
                yield from _unknown(entry, (*at, name, key))


def _settings(found: _Document) -> BillingSettings:
    said = found.budgets
    prices = {
        name: Price(each.input, each.output, each.cache_read, each.cache_write) for name, each in found.prices.items()
    }
    caps = {name: getattr(said, name) for name in (*_SCALARS, *_MAPS)}
    return BillingSettings(**caps, prices=prices, rows=found.retention.rows, days=found.retention.days)


def _put(part: dict[str, Any], key: str, old: Any, new: Any, written: Callable[[Any], Any]) -> None:
    if old == new:
        return
    if new is None:
        part.pop(key, None)
        return
    text, known = written(new), part.get(key)
    if isinstance(text, dict):
        both = {**known, **text} if isinstance(known, dict) else text
        text = {name: value for name, value in both.items() if value is not None}
    part[key] = text


def _put_all(
    part: dict[str, Any], old: Mapping[str, Any], new: Mapping[str, Any], written: Callable[[Any], Any]
) -> None:
    for key in dict.fromkeys((*old, *new)):
        _put(part, key, old.get(key), new.get(key), written)


def _rates(price: Price) -> dict[str, str | None]:
    """None takes out what was said of the cache before."""
    told = {name: getattr(price, name) for name in ("input", "output", "cache_read", "cache_write")}
    return {name: None if rate is None else f"{rate:f}" for name, rate in told.items()}


def _place(loc: Sequence[int | str], text: str) -> str:
    """`budgets.day` (line 4): the line where the name stands only once."""
    name = ".".join(map(str, loc))
    shown = name if name.isprintable() and len(name) <= 100 else "a name that is no name"
    found = [match.start() for match in re.finditer(re.escape(json.dumps(str(loc[-1]))) + r"\s*:", text)]
    return f"`{shown}`" + (f" (line {text.count(chr(10), 0, found[0]) + 1})" if len(found) == 1 else "")


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return dict(pairs)


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")
