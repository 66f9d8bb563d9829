"""The time machine: what the ledger's questions would have cost, and how long they would have taken, under another
profile or at other prices. Pure; it works on metadata, for no question was kept, and asks nobody.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from osaurus_nb.catalog.prices import GRATIS, listed
from osaurus_nb.messages import user
from osaurus_nb.models import LOCAL_CLASSES, ModelCard, Price, Usage
from osaurus_nb.request import ChatRequest, RouteOptions, Sampling
from osaurus_nb.routes import Label, Profile, Requirements
from osaurus_nb.routing.intent import Intent
from osaurus_nb.routing.learning import Learning, Record
from osaurus_nb.routing.planner import Planner
from osaurus_nb.routing.requirements import Size
from osaurus_nb.routing.traits import forwards
from osaurus_nb.spending import Cost, Entry, Tariff

#: What has to be said beside every figure.
CAVEATS = (
    "The ledger keeps no questions: what each was about, which files and tools it had, is not known here (only that "
    "tools were called, where they were).",
    "Another model writes more or fewer words and counts its tokens otherwise; the same numbers are taken for all, and "
    "what was read from a cache is priced in full where the model differs.",
    "It is reckoned with the models and prices of today. Times are what those models took in the ledger.",
)
#: Nobody knows what a question was about.
_ANYTHING = Intent("unknown", 0.0, "chat", 0.0, "unknown", 0.0)
#: A token, as the estimate counts them.
_TOKEN = "tok "  # noqa: S105 - no password


@dataclass(frozen=True, slots=True)
class Step:
    """One question of the ledger: who answered, and what all of its attempts took together. Seconds are their sum."""

    id: str
    at: float
    model: str
    usage: Usage
    cost: Cost
    seconds: float | None
    tools: bool


@dataclass(frozen=True, slots=True)
class Replayed:
    """One question as it went, and as it would have gone. `model` is None where nobody would have answered."""

    step: Step
    model: str | None
    cost: Cost = field(default_factory=lambda: Cost(None))
    seconds: float | None = None

    @property
    def moved(self) -> bool:
        return self.model != self.step.model


@dataclass(frozen=True, slots=True)
class Replay:
    """All of them. A sum is over those lines alone of which both sides are known, so that its two sides compare.

    Read it with `caveats`: it tells what tariffs and records say, not what would have been answered.
    """

    lines: Sequence[Replayed]
    #: Lines of the ledger that were left out: no answer came of them, or nobody counted their tokens.
    skipped: int = 0
    caveats: Sequence[str] = CAVEATS

    @property
    def priced(self) -> Sequence[Replayed]:
        """Those whose cost is known on both sides."""
        return [line for line in self.lines if line.cost.micro is not None and line.step.cost.micro is not None]

    @property
    def timed(self) -> Sequence[Replayed]:
        """Those whose time is known on both sides."""
        return [line for line in self.lines if line.seconds is not None and line.step.seconds is not None]

    @property
    def was_micro(self) -> int:
        return sum(line.step.cost.micro or 0 for line in self.priced)

    @property
    def would_micro(self) -> int:
        return sum(line.cost.micro or 0 for line in self.priced)

    @property
    def was_seconds(self) -> float:
        return sum(line.step.seconds or 0.0 for line in self.timed)

    @property
    def would_seconds(self) -> float:
        return sum(line.seconds or 0.0 for line in self.timed)

    @property
    def moved(self) -> int:
        """How many another model would have answered."""
        return sum(line.moved and line.model is not None for line in self.lines)

    @property
    def unanswered(self) -> int:
        """How many nobody could have answered."""
        return sum(line.model is None for line in self.lines)


def replay(
    entries: Iterable[Entry],
    cards: Sequence[ModelCard],
    profile: Profile | None = None,
    *,
    prices: Mapping[str, Price] | None = None,
    record: Callable[[ModelCard, Label], Record | None] | None = None,
) -> Replay:
    """The settled questions of the ledger under this profile (None: by who answered them), at these prices.

    `prices` are by a model's name and go before those of the cards. `record` is what is known of models' pace: without
    one, what these very lines taught.
    """
    lines = [entry for entry in entries if entry.kind == "settle"]
    steps = [step for step in map(_step, _grouped(lines)) if step is not None]
    machine = _Machine(cards, profile, prices or {}, record or _taught(lines))
    kept = {step.id for step in steps}
    skipped = sum(entry.step not in kept for entry in lines)
    return Replay([machine.again(step) for step in sorted(steps, key=lambda step: step.at)], skipped)


class _Machine:
    def __init__(
        self,
        cards: Sequence[ModelCard],
        profile: Profile | None,
        prices: Mapping[str, Price],
        record: Callable[[ModelCard, Label], Record | None],
    ) -> None:
        self._cards = cards
        self._by_name = {card.name: card for card in cards}
        self._profile = profile
        self._prices = prices
        self._record = record
        self._planner = Planner(lambda request: _ANYTHING)
        self._chosen: dict[tuple[Size, bool], str | None] = {}

    def again(self, step: Step) -> Replayed:
        name = step.model if self._profile is None else self._choice(step, self._profile)
        if name is None:
            return Replayed(step, None)
        card = self._by_name.get(name)
        return Replayed(step, name, self._cost(name, card, step), self._seconds(name, card, step))

    def _choice(self, step: Step, profile: Profile) -> str | None:
        """Who is asked first for a question of about this size."""
        size = Size(_about(step.usage.total_input), _about(step.usage.total_output))
        if (size, step.tools) not in self._chosen:
            plan = self._planner.plan(_question(size, step.tools), self._cards, profile)
            self._chosen[size, step.tools] = plan.ranked[0].model if plan.ranked else None
        return self._chosen[size, step.tools]

    def _cost(self, name: str, card: ModelCard | None, step: Step) -> Cost:
        tariff = self._tariff(name, card)
        if tariff is None:
            return step.cost if name == step.model and name not in self._prices else Cost(None)
        usage = step.usage if name == step.model else _uncached(step.usage)
        return tariff.cost(usage, datetime.fromtimestamp(step.at, UTC))

    def _tariff(self, name: str, card: ModelCard | None) -> Tariff | None:
        if name in self._prices:
            return listed(self._prices[name], "user")
        if card is None:
            return None
        if card.price is not None:
            return listed(card.price)
        return GRATIS if card.endpoint in LOCAL_CLASSES and not forwards(card.id) else None

    def _seconds(self, name: str, card: ModelCard | None, step: Step) -> float | None:
        if name == step.model:
            return step.seconds
        known = self._record(card, "unknown") if card is not None else None
        if known is None or known.first_token is None:
            return None
        if step.usage.total_output < 2:
            return known.first_token
        return known.first_token + (step.usage.total_output - 1) / known.speed if known.speed else None


def _grouped(lines: Iterable[Entry]) -> Iterator[list[Entry]]:
    steps: dict[str, list[Entry]] = {}
    for entry in lines:
        steps.setdefault(entry.step, []).append(entry)
    yield from steps.values()


def _step(lines: list[Entry]) -> Step | None:
    """The question that these lines are of; None where nobody answered it, or nobody counted."""
    lines = sorted(lines, key=lambda entry: (entry.attempt, entry.at))
    last = next((entry for entry in reversed(lines) if entry.outcome in ("rendered", "tool_only")), None)
    if last is None or not last.usage.total:
        return None
    took = [entry.duration_ms for entry in lines]
    seconds = sum(ms for ms in took if ms is not None) / 1000 if last.duration_ms is not None else None
    cost = lines[0].cost
    for entry in lines[1:]:
        cost = cost + entry.cost
    name = ModelCard(last.model, last.provider).name
    return Step(last.step, last.at, name, last.usage, cost, seconds, last.outcome == "tool_only")


def _about(tokens: int) -> int:
    """The nearest of a few sizes, two for each doubling: questions of about the same size are chosen for once."""
    return tokens if tokens < 8 else round(2 ** (round(2 * math.log2(tokens)) / 2))


def _question(size: Size, tools: bool) -> ChatRequest:
    """One of this size, about nothing."""
    return ChatRequest(
        "",
        (user(_TOKEN * size.prompt),),
        sampling=Sampling(max_output_tokens=max(size.answer, 1)),
        route=RouteOptions(requirements=Requirements(tools=tools)),
    )


def _uncached(usage: Usage) -> Usage:
    """The same tokens where nothing is remembered of them."""
    return Usage(
        input_tokens=usage.total_input,
        output_tokens=usage.output_tokens,
        reasoning_output_tokens=usage.reasoning_output_tokens,
        estimated=True,
    )


def _taught(lines: Sequence[Entry]) -> Callable[[ModelCard, Label], Record | None]:
    """What these lines say of their models' pace, as it was when the last of them was written."""
    learned = Learning(_Stopped(max((entry.at for entry in lines), default=0.0)), explore=0.0)
    learned.seed(lines)
    return learned.record


@dataclass(frozen=True, slots=True)
class _Stopped:
    """A clock that stands still."""

    at: float

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def monotonic(self) -> float:
        return self.at
