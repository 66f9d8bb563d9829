"""What speaks for a model and against it: small named terms, each from 0 to 1, weighed by mode and complexity. Pure.

The weights are data (`weights.json`); a score is the sum of its terms and nothing else. Negative weights are costs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from operator import mul
from typing import Any

from osaurus_nb.models import LOCAL
from osaurus_nb.routes import Complexity, Mode, Ranked, Term
from osaurus_nb.routing.filters import Ask, cost, missing, quality
from osaurus_nb.routing.learning import Record
from osaurus_nb.routing.traits import Traits, between

#: The terms, in the order in which they are summed. Those from `liked` on are of this moment.
NAMES = (
    "quality",
    "success",
    "first_token",
    "speed",
    "price",
    "local",
    "tools",
    "schema",
    "thinking",
    "light",
    "full",
    "unknown",
    "loading",
    "liked",
    "disliked",
    "resident",
    "held",
    "ejected",
    "explore",
)
_NOTHING = (0.0,) * (len(NAMES) - NAMES.index("liked"))
_PLACE = {name: place for place, name in enumerate(NAMES)}
EJECTED = _PLACE["ejected"]
#: Seconds to a first token, tokens a second, micro-dollars of a question: the ends of their scales.
_SECONDS, _SPEEDS, _COSTS = (0.1, 10.0), (4.0, 200.0), (100.0, 1_000_000.0)
#: Where it stands whose price nobody knows.
_UNPRICED = 0.6
#: Bytes that take so long to load that more makes no difference.
_HEAVY = 20e9
_NEAR = {"process": 1.0, "loopback": 1.0, "lan": 0.9, "tailnet": 0.8}


class Weighed(Ranked):
    """A ranked model whose terms are put together when somebody reads them: hundreds are ranked, a few are read."""

    __slots__ = ("_values", "_weights")
    _values: Sequence[float]
    _weights: Sequence[float]

    def __getattr__(self, name: str) -> Any:
        if name != "terms":  # the slot of the frame that is not filled yet
            raise AttributeError(name)
        terms = tuple(
            Term(*each) for each in zip(NAMES, self._values, self._weights, strict=True) if each[1] and each[2]
        )
        object.__setattr__(self, "terms", terms)
        return terms

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ranked):
            return NotImplemented
        return (self.model, self.provider, self.score, self.terms) == (
            other.model,
            other.provider,
            other.score,
            other.terms,
        )

    def __hash__(self) -> int:
        return hash((self.model, self.provider, self.score, self.terms))


@dataclass(frozen=True, slots=True)
class Weights:
    """What each term counts under one mode and complexity, in the order of NAMES."""

    values: tuple[float, ...]

    def rank(self, model: Traits, values: Sequence[float]) -> Ranked:
        made = object.__new__(Weighed)
        _model(made, model.name)
        _provider(made, model.provider)
        _score(made, sum(map(mul, values, self.values)))
        _values(made, values)
        _weights(made, self.values)
        return made


# Straight into the slots: a frozen value is made for every model of every new kind of question.
_model, _provider, _score = (getattr(Ranked, name).__set__ for name in ("model", "provider", "score"))
_values, _weights = (getattr(Weighed, name).__set__ for name in ("_values", "_weights"))


def version() -> str:
    """Which weights these are, by their date."""
    return str(_table()["version"])


@cache
def weights(mode: Mode, complexity: Complexity) -> Weights:
    """What each term counts; read from the table once."""
    table = _table()
    found: dict[str, float] = {**table["all"], **table["modes"][mode]}
    change: Mapping[str, Mapping[str, float]] = table["complexity"].get(complexity, {})
    for name, factor in change.get("times", {}).items():
        found[name] *= factor
    for name, more in change.get("plus", {}).items():
        found[name] += more
    if found.keys() != _PLACE.keys():
        raise ValueError(f"weights.json does not weigh these terms: {sorted(found.keys() ^ _PLACE.keys())}")
    return Weights(tuple(found[name] for name in NAMES))


def values(model: Traits, asked: Ask) -> list[float]:
    """Every term of a model for such a question, before anything of this moment is known."""
    needed, can = asked.needs, model.can
    seconds = model.first_token + _pondering(model, asked)
    price = cost(model, asked.size)
    return [
        quality(model, asked.label),
        model.success,
        1.0 - between(seconds, *_SECONDS),
        between(model.speed, *_SPEEDS),
        _UNPRICED if price is None else between(price, *_COSTS),
        _NEAR.get(model.card.endpoint, 0.0) if model.local else 0.0,
        _sure(can.tools) if needed.tools else 0.0,
        _sure(can.json_schema) if needed.json or needed.wishes_json else 0.0,
        _fit(model, asked),
        model.light,
        _fullness(model, asked),
        missing(model, needed),
        min(1.0, (model.card.size_bytes or 0) / _HEAVY) if model.provider == LOCAL else 0.0,
        *_NOTHING,
    ]


def learnt(found: list[float], record: Record) -> None:
    """What was seen replaces what was expected."""
    put(found, success=record.success, liked=max(0.0, record.liked), disliked=max(0.0, -record.liked))
    if record.first_token is not None:
        put(found, first_token=1.0 - between(record.first_token, *_SECONDS))
    if record.speed is not None:
        put(found, speed=between(record.speed, *_SPEEDS))


def put(found: list[float], **terms: float) -> None:
    """Set these terms."""
    for name, value in terms.items():
        found[_PLACE[name]] = value


def _sure(can: bool | None) -> float:
    return 0.4 if can is None else float(can)


def _pondering(model: Traits, asked: Ask) -> float:
    """Seconds that go by in thought before the first word."""
    if not model.can.reasoning or asked.needs.effort in ("none", "minimal"):
        return 0.0
    return {"low": 1.0, "high": 5.0, "xhigh": 10.0, "max": 15.0}.get(asked.needs.effort or "", 2.0)


def _fit(model: Traits, asked: Ask) -> float:
    """Does it think where that is wanted, and not where it is not? Where neither is, nobody gains."""
    effort, thinks = asked.needs.effort, model.can.reasoning
    if effort in ("high", "xhigh", "max") or (effort in (None, "medium") and asked.complexity == "high"):
        return _sure(thinks)
    if effort in ("none", "minimal", "low"):
        if "always_thinks" in model.card.quirks:
            return 0.0
        return {True: 0.3, None: 0.6, False: 1.0}[thinks]
    return 0.0


def _fullness(model: Traits, asked: Ask) -> float:
    """How far past seven tenths its window is filled."""
    if not model.window:
        return 0.0
    return min(1.0, max(0.0, (asked.size.total / model.window - 0.7) / 0.3))


@cache
def _table() -> Mapping[str, Any]:
    table: Mapping[str, Any] = json.loads((files(__package__) / "weights.json").read_bytes())
    return table
