"""What calls taught about each model: how often it works, how soon it begins, how fast it writes. Keeps no question.

Old news counts less, by half for each day, so that nobody stays good or bad for ever. In memory only; the ledger can
seed it. The clock is the wall's, and injected.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from osaurus_nb.messages import ToolCall, ToolResult
from osaurus_nb.models import ModelCard
from osaurus_nb.ports import Clock, SystemClock
from osaurus_nb.request import ChatRequest
from osaurus_nb.routes import Label
from osaurus_nb.spending import Entry

#: Seconds after which what was seen counts half; a person's taste lasts longer.
HALF_LIFE = 86_400.0
TASTE = 14 * HALF_LIFE
#: More models are not kept; who was heard of the longest ago is forgotten first.
MOST = 1024
#: No more than this share of questions may be used to find something out.
EXPLORE = 0.05
#: Seconds for which a record is told as it is, unless something is learnt.
FRESH = 5.0
#: With less than so many recent calls nothing is said.
_ENOUGH = 3.0
#: So many imagined calls, of which this share worked, temper what few real ones say.
_PRIOR, _USUAL = 2.0, 0.9
#: So many calls' weight the model's whole record has beside those under one label.
_SHARED = 4.0
#: So many imagined votes for neither side.
_UNDECIDED = 3.0
#: How a settled line ended, as far as that speaks for or against its model.
_TELLING = {"rendered": True, "tool_only": True, "empty": False, "error": False}


@dataclass(frozen=True, slots=True)
class Record:
    """How a model has done lately. `calls` says how much that rests on: each counts less the older it is.

    `success` is from 0 to 1; `first_token` in seconds and `speed` in tokens per second are None where nobody measured
    them. `liked` is from -1 to 1: what people said who compared, 0 where nobody did.
    """

    success: float
    first_token: float | None = None
    speed: float | None = None
    liked: float = 0.0
    calls: float = 0.0


class Learning:
    """One for each runtime. `explore` is the share of questions that may be used to find something out: 0 is none."""

    def __init__(self, clock: Clock | None = None, *, explore: float = EXPLORE, secret: bytes | None = None) -> None:
        self._clock = clock or SystemClock()
        self._models: OrderedDict[str, _Model] = OrderedDict()
        self._explore = min(max(explore, 0.0), EXPLORE)
        self._secret = secret or secrets.token_bytes(16)

    def note(
        self,
        card: ModelCard,
        label: Label,
        ok: bool,
        first_token: float | None = None,
        speed: float | None = None,
        now: float | None = None,
    ) -> None:
        """A call ended. Not for what its caller did wrong or broke off. `now` is Unix seconds: the clock's, if left."""
        model, at = self._model(card), self._now() if now is None else now
        for each in (model.whole, model.parts.setdefault(label, _Tally())):
            each.add(at, ok, first_token, speed)

    def vote(self, card: ModelCard, label: Label, direction: int, now: float | None = None) -> None:
        """Somebody who compared answers preferred this one (above 0), or another one to it (below 0)."""
        model, at = self._model(card), self._now() if now is None else now
        for votes in (model.taste, model.tastes.setdefault(label, _Votes())):
            votes.add(at, (direction > 0) - (direction < 0))

    def seed(self, entries: Iterable[Entry]) -> int:
        """Learn from lines of the ledger, in any order, under no label: from how many. A cancelled one says nothing."""
        settled = [line for line in entries if line.kind == "settle" and line.outcome in _TELLING]
        for line in sorted(settled, key=lambda line: line.at)[-100 * MOST :]:
            card = ModelCard(line.model, line.provider)
            first = None if line.first_token_ms is None else line.first_token_ms / 1000
            self.note(card, "unknown", _TELLING[str(line.outcome)], first, speed_of(line), line.at)
        return len(settled)

    def record(self, card: ModelCard, label: Label) -> Record | None:
        """What is known of a model at this kind of work; None until a little is, and again once that is old."""
        model = self._models.get(card.name)
        if model is None:
            return None
        told, now = model.told.get(label), self._now()
        if told is None or not 0 <= now - told[0] < FRESH:
            told = model.told[label] = now, self._record(model, label, now)
        return told[1]

    def _record(self, model: _Model, label: Label, now: float) -> Record | None:
        calls = model.whole.calls(now)
        liked = self._liked(model, label, now)
        if calls < _ENOUGH:
            return Record(_USUAL, liked=liked) if liked else None
        part = model.parts.get(label) or _Tally()
        whole = model.whole.success(now, _USUAL, _PRIOR)
        return Record(
            success=part.success(now, whole, _SHARED),
            first_token=_tempered(part.first, model.whole.first, now),
            speed=_tempered(part.speed, model.whole.speed, now),
            liked=liked,
            calls=calls,
        )

    def names(self) -> Collection[str]:
        """The models of which anything is known."""
        return self._models.keys()

    def explores(self, key: str) -> float | None:
        """From 0 to 1 for the few questions that may be used to find something out, always the same for one key.

        Not to be asked where the caller named the model, or when `in_tool_turn`.
        """
        digest = hashlib.blake2b(key.encode(errors="surrogatepass"), key=self._secret, digest_size=8).digest()
        drawn = int.from_bytes(digest) / 2**64
        return drawn / self._explore if drawn < self._explore else None

    def forget(self, card: ModelCard | None = None) -> None:
        """Know nothing any more of this model, or of any."""
        if card is None:
            self._models.clear()
        else:
            self._models.pop(card.name, None)

    def _liked(self, model: _Model, label: Label, now: float) -> float:
        part = model.tastes.get(label)
        return model.taste.lean(now) if part is None else (part.lean(now) + model.taste.lean(now)) / 2

    def _model(self, card: ModelCard) -> _Model:
        """The model's own, about to learn something."""
        model = self._models.setdefault(card.name, _Model())
        model.told.clear()
        self._models.move_to_end(card.name)
        if len(self._models) > MOST:
            self._models.popitem(last=False)
        return model

    def _now(self) -> float:
        return self._clock.now().timestamp()


def in_tool_turn(request: ChatRequest) -> bool:
    """Does it offer tools, or stand in the middle of their use?"""
    return bool(request.tools) or any(
        isinstance(part, ToolCall | ToolResult) for message in request.messages for part in message.parts
    )


def speed_of(line: Entry) -> float | None:
    """Tokens a second after the first one; None where that is not measurable."""
    if line.first_token_ms is None or line.duration_ms is None or line.usage.total_output < 2:
        return None
    span = (line.duration_ms - line.first_token_ms) / 1000
    return (line.usage.total_output - 1) / span if span > 0.1 else None


@dataclass(slots=True)
class _Fading:
    """A weighted sum that fades. News may come in any order: what is older weighs less from the start."""

    half_life: float = HALF_LIFE
    at: float = -math.inf
    total: float = 0.0
    weight: float = 0.0

    def add(self, at: float, value: float) -> None:
        fresh = 1.0
        if at >= self.at:
            kept = self._fade(at)
            self.total, self.weight, self.at = self.total * kept, self.weight * kept, at
        else:
            fresh = _half(self.at - at, self.half_life)
        self.total += value * fresh
        self.weight += fresh

    def seen(self, now: float) -> tuple[float, float]:
        """The sum and its weight now. A clock that was put back makes nothing younger than it was."""
        kept = self._fade(now)
        return self.total * kept, self.weight * kept

    def _fade(self, now: float) -> float:
        return _half(max(now - self.at, 0.0), self.half_life) if self.weight else 0.0


@dataclass(slots=True)
class _Tally:
    """Calls of one model: how many worked, and the logarithms of what was measured."""

    worked: _Fading = field(default_factory=_Fading)
    first: _Fading = field(default_factory=_Fading)
    speed: _Fading = field(default_factory=_Fading)

    def add(self, at: float, ok: bool, first_token: float | None, speed: float | None) -> None:
        self.worked.add(at, float(ok))
        for fading, value in ((self.first, first_token), (self.speed, speed)):
            if ok and value is not None and 0 <= value < math.inf:
                fading.add(at, math.log(max(value, 1e-4)))

    def calls(self, now: float) -> float:
        return self.worked.seen(now)[1]

    def success(self, now: float, prior: float, weight: float) -> float:
        good, calls = self.worked.seen(now)
        return (good + prior * weight) / (calls + weight)


class _Votes(_Fading):
    def __init__(self) -> None:
        super().__init__(half_life=TASTE)

    def lean(self, now: float) -> float:
        """From -1 to 1, and near 0 where few said anything."""
        total, weight = self.seen(now)
        return total / (weight + _UNDECIDED)


@dataclass(slots=True)
class _Model:
    whole: _Tally = field(default_factory=_Tally)
    parts: dict[Label, _Tally] = field(default_factory=dict)
    taste: _Votes = field(default_factory=_Votes)
    tastes: dict[Label, _Votes] = field(default_factory=dict)
    told: dict[Label, tuple[float, Record | None]] = field(default_factory=dict)


def _half(age: float, half_life: float) -> float:
    return math.exp2(-min(age / half_life, 1000.0))


def _tempered(part: _Fading, whole: _Fading, now: float) -> float | None:
    """The geometric mean: one very slow call does not outweigh ten usual ones. The model's whole record tempers it."""
    total, weight = whole.seen(now)
    if weight <= 0:
        return None
    inner, calls = part.seen(now)
    return math.exp((inner + total / weight * _SHARED) / (calls + _SHARED))
