"""What speaks for a model and against it: small named terms, each from 0 to 1, weighed by mode and complexity. Pure.

The weights are data (`weights.json`); a score is the sum of its terms and nothing else. Negative weights are costs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import log
from operator import attrgetter, mul
from typing import Any

from osaurus_nb.models import LOCAL
from osaurus_nb.routes import Complexity, Mode, Ranked, Term
from osaurus_nb.routing.filters import Ask, missing
from osaurus_nb.routing.learning import Record
from osaurus_nb.routing.traits import SKILLS, Traits, between

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
_PLACE = {name: place for place, name in enumerate(NAMES)}
_EJECTED = _PLACE["ejected"]
#: Seconds to a first token, tokens a second, micro-dollars of a question: the ends of their scales.
_SECONDS, _SPEEDS, _COSTS = (0.1, 10.0), (4.0, 200.0), (100.0, 1_000_000.0)
#: Where it stands whose price nobody knows.
_UNPRICED = 0.6
#: Bytes that take so long to load that more makes no difference.
_HEAVY = 20e9
#: How sure it is that a model can, or that one does not think, by what is known of it.
_SURE: Mapping[bool | None, float] = {True: 1.0, None: 0.4, False: 0.0}
_PLAIN: Mapping[bool | None, float] = {True: 0.3, None: 0.6, False: 1.0}
#: Seconds that a model which thinks spends in thought before its first word, by effort; 2 where nobody set one.
_PONDERS = {"none": 0.0, "minimal": 0.0, "low": 1.0, "high": 5.0, "xhigh": 10.0, "max": 15.0}
_NEAR = {"process": 1.0, "loopback": 1.0, "lan": 0.9, "tailnet": 0.8}


class Weighed(Ranked):
    """A ranked model, what is known of it, and its place: the best first, equals by name. Nobody changes it.

    Its terms are put together when somebody reads them, for hundreds are ranked and a few are read.
    """

    __slots__ = ("order", "traits", "values", "weights")
    order: tuple[float, str]
    traits: Traits
    values: Sequence[float]
    weights: Sequence[float]

    @property
    def ejected(self) -> bool:
        return len(self.values) > _EJECTED and self.values[_EJECTED] > 0

    def __getattr__(self, name: str) -> Any:
        if name != "terms":  # the slot of the frame that is not filled yet
            raise AttributeError(name)
        told = zip(NAMES, self.values, self.weights, strict=False)
        terms = tuple(Term(*each) for each in told if each[1] and each[2])
        object.__setattr__(self, "terms", terms)
        return terms

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Ranked) and _told(self) == _told(other))

    def __hash__(self) -> int:
        return hash((self.model, self.score))


_told = attrgetter("model", "provider", "score", "terms")


@dataclass(frozen=True, slots=True)
class Weights:
    """What each term counts under one mode and complexity, in the order of NAMES."""

    values: tuple[float, ...]

    def rank(self, model: Traits, values: Sequence[float]) -> Weighed:
        made = object.__new__(Weighed)
        score = sum(map(mul, values, self.values))
        _model(made, model.name)
        _provider(made, model.provider)
        _score(made, score)
        _order(made, (-score, model.name))
        _traits(made, model)
        _values(made, values)
        _weights(made, self.values)
        return made


# Straight into the slots: a frozen value is made for every model of every new kind of question.
_model, _provider, _score = (getattr(Ranked, name).__set__ for name in ("model", "provider", "score"))
_order, _traits, _values, _weights = (getattr(Weighed, name).__set__ for name in Weighed.__slots__)


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


class Table:
    """The models of one list in columns, a term each: what no question changes is worked out once."""

    def __init__(self, models: Sequence[Traits]) -> None:
        self._quality = list(zip(*(model.quality for model in models), strict=True)) or [()] * 4
        self._success = [model.success for model in models]
        self._prompt: dict[float, list[float]] = {}
        self._first = [model.first_token for model in models]
        self._thinks = [model.can.reasoning for model in models]
        self._speed = [between(model.speed, *_SPEEDS) for model in models]
        self._local = [_NEAR.get(model.card.endpoint, 0.0) if model.local else 0.0 for model in models]
        self._light = [model.light for model in models]
        self._loading = [
            min(1.0, (model.card.size_bytes or 0) / _HEAVY) if model.provider == LOCAL else 0.0 for model in models
        ]
        self._models = models
        self._none = [0.0] * len(models)

    def rows(self, asked: Ask) -> Iterable[tuple[float, ...]]:
        """The terms of each model for such a question, as long as nothing of this moment is known."""
        needed, models, none = asked.needs, self._models, self._none
        prompt, answer = asked.size.prompt, asked.size.answer
        low, scale = _COSTS[0], log(_COSTS[1] / _COSTS[0])  # `between` in place: this is done for every model
        return zip(
            self._quality[SKILLS[asked.label]],
            self._success,
            self._promptness(_PONDERS.get(needed.effort or "", 2.0)),
            self._speed,
            [
                _UNPRICED
                if model.price_in is None or model.price_out is None
                else min(1.0, log(cost / low) / scale)
                if (cost := model.price_in * prompt + model.price_out * answer) > low
                else 0.0
                for model in models
            ],
            self._local,
            [_SURE[model.can.tools] for model in models] if needed.tools else none,
            [_SURE[model.can.json_schema] for model in models] if needed.json or needed.wishes_json else none,
            self._fit(asked),
            self._light,
            self._fullness(asked.size.total),
            missing(models, needed),
            self._loading,
            strict=True,
        )

    def _promptness(self, ponders: float) -> Sequence[float]:
        """How soon the first word is there, when those who think do so for as long as this."""
        found = self._prompt.get(ponders)
        if found is None:
            seconds = (
                first + ponders if thinks else first for first, thinks in zip(self._first, self._thinks, strict=True)
            )
            found = self._prompt[ponders] = [1.0 - between(each, *_SECONDS) for each in seconds]
        return found

    def _fit(self, asked: Ask) -> Sequence[float]:
        """Does it think where that is wanted, and not where it is not? Where neither is, nobody gains."""
        effort = asked.needs.effort
        if effort in ("high", "xhigh", "max") or (effort in (None, "medium") and asked.complexity == "high"):
            return [_SURE[thinks] for thinks in self._thinks]
        if effort in ("none", "minimal", "low"):
            return [
                0.0 if "always_thinks" in model.card.quirks else _PLAIN[model.can.reasoning] for model in self._models
            ]
        return self._none

    def _fullness(self, tokens: int) -> Sequence[float]:
        """How far past seven tenths each window is filled."""
        return [
            min(1.0, (tokens / model.window - 0.7) / 0.3) if model.window and tokens > 0.7 * model.window else 0.0
            for model in self._models
        ]


def opened(values: Sequence[float]) -> list[float]:
    """The same terms, and room for those of this moment."""
    return [*values, *(0.0 for _ in NAMES[len(values) :])]


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


@cache
def _table() -> Mapping[str, Any]:
    table: Mapping[str, Any] = json.loads((files(__package__) / "weights.json").read_bytes())
    return table
