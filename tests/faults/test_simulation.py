"""Days of outages and load over the real planner, engine, breakers and accounts, on a clock of their own.

Providers are scripted, everything between the question and them is not. What has to hold is looked at while it happens.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from osaurus_nb import errors
from osaurus_nb.catalog.prices import listed
from osaurus_nb.events import (
    Event,
    Failed,
    Finished,
    PartEnded,
    ReasoningDelta,
    Started,
    Substituted,
    TextDelta,
    UsageReported,
    is_visible,
)
from osaurus_nb.ledger.account import OpenAccount, Opened
from osaurus_nb.messages import Message, Text
from osaurus_nb.models import Capabilities, EndpointClass, ModelCard, Price, Usage
from osaurus_nb.ports import Account, Attempt, Bid, Step, Timeouts
from osaurus_nb.request import ChatRequest, RouteOptions, Sampling
from osaurus_nb.routes import Mode, Profile
from osaurus_nb.routing import engine
from osaurus_nb.routing.health import Health
from osaurus_nb.routing.plan import Candidate, Plan, chain
from osaurus_nb.routing.planner import Planner, Situation
from osaurus_nb.routing.tokens import estimate
from osaurus_nb.spending import Cap, Entry, Overrun
from osaurus_nb.testing import virtual_time
from osaurus_nb.testing.virtual_time import VirtualClock

MINUTES = 2_000
HOUR = 3600.0
#: Micro dollars that all paid providers together may take in an hour, and the price of a million tokens.
CAP = 60_000
PRICE = Price(Decimal(10), Decimal(10))
WORDS = 30
WORD = "four"  # characters: one token, by our own count too
TIMEOUTS = Timeouts(connect=5.0, first_token=20.0, between_tokens=10.0, total=60.0)
PLACES: dict[str, EndpointClass] = {
    "here": "loopback",
    "shelf": "lan",
    "steady": "cloud",
    "shaky": "cloud",
    "dying": "cloud",
    "limiting": "cloud",
}
AUTO = Profile("auto", chain=3)


@dataclass(frozen=True)
class Outage:
    begins: float
    ends: float
    how: str


@dataclass
class Call:
    """One call as its provider saw it."""

    at: float
    provider: str
    step: str
    given: int = 0
    micro: int = 0


@dataclass
class Told:
    """One question and everything its caller heard."""

    step: str
    asked: str
    mode: Mode | None
    events: list[Event] = field(default_factory=list)
    left: bool = False


class Scripted:
    """A provider that works, except in its outages."""

    def __init__(self, world: World, name: str, outages: Sequence[Outage]) -> None:
        self.provider = name
        self.outages = outages
        self._world = world

    async def models(self) -> Sequence[ModelCard]:
        return [self._world.cards[self.provider]]

    async def stream(self, request: ChatRequest, card: ModelCard, attempt: Attempt) -> AsyncGenerator[Event, None]:
        world = self._world
        call = Call(world.now, self.provider, attempt.step.id)
        world.calls.append(call)
        call.given = estimate(request).input_tokens
        call.micro = world.price(self.provider, call.given)
        probe = any(one.provider == self.provider and one.state == "half-open" for one in world.health.conditions())
        world.probing[self.provider] += probe
        world.most_probing = max(world.most_probing, world.probing[self.provider])
        world.probes += probe
        try:
            async for event in self._answer(card, call):
                if probe and is_visible(event):
                    world.probing[self.provider] -= 1
                    probe = False
                yield event
        finally:
            world.probing[self.provider] -= probe

    async def _answer(self, card: ModelCard, call: Call) -> AsyncGenerator[Event, None]:
        chance = self._world.chance
        how = next((one.how for one in self.outages if one.begins <= self._world.now < one.ends), None)
        await asyncio.sleep(0.01 if how == "refused" else chance.expovariate(2.0))
        match how:
            case "refused":
                call.micro = 0
                raise errors.Unreachable("gone", provider=self.provider)
            case "failing":
                call.micro = 0
                raise errors.Unavailable("503", provider=self.provider, upstream_status=503)
            case "limited":
                call.micro = 0
                asks = chance.choice((None, 1.0, 7.0, 1e5))
                raise errors.RateLimited("429", provider=self.provider, upstream_status=429, retry_after=asks)
            case "silent":
                await asyncio.sleep(1e6)
            case "thinking":
                while True:
                    yield ReasoningDelta("hm")
                    await asyncio.sleep(1.0)
        yield Started(self.provider, card.id)
        for word in range(WORDS):
            if how == "cutting" and word == WORDS // 2:
                raise errors.BadAnswer("cut", provider=self.provider)
            call.micro = self._world.price(self.provider, call.given + word + 1)
            yield TextDelta(WORD)
            await asyncio.sleep(0.02)
        yield PartEnded()
        yield UsageReported(Usage(call.given, WORDS))
        yield Finished("stop")

    async def aclose(self) -> None: ...


class Purse:
    """A meter that sets money aside before each call, with real accounts. One cap for each hour."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.spent: Counter[int] = Counter()
        self.set_aside: Counter[int] = Counter()
        self.refused = 0
        self.most = 0
        self.open_ones = 0

    async def open(self, bid: Bid) -> Account:
        tariff, hour = listed(PRICE), int(self._clock.monotonic() // HOUR)
        paid = bid.card.endpoint == "cloud"
        needed = (tariff.at_most(2 * bid.size()[0], WORDS) or 0) if paid else 0
        if self.spent[hour] + self.set_aside[hour] + needed > CAP:
            self.refused += 1
            raise errors.BudgetExceeded("too much", overrun=Overrun(Cap("hour", CAP), 0, 0, needed))
        self.set_aside[hour] += needed
        self.open_ones += 1

        def write(entry: Entry) -> None:
            self.open_ones -= 1
            self.set_aside[hour] -= needed
            self.spent[hour] += (entry.cost.micro or 0) if paid else 0
            self.most = max(self.most, self.spent[hour])

        step = bid.step
        entry = Entry("open", step.id, bid.number, 0.0, bid.card.provider, bid.card.id, step.model)
        return OpenAccount(Opened(entry, tariff, True, bid.size), self._clock, write)


class World:
    """All providers, all questions, and what came to pass."""

    def __init__(self, seed: int, clock: VirtualClock, minutes: float) -> None:
        self.chance = random.Random(seed)
        self.clock = clock
        self.minutes = minutes
        self.health = Health(clock, chance=self.chance.random)
        self.purse = Purse(clock)
        self.planner = Planner()
        self.calls: list[Call] = []
        self.told: list[Told] = []
        self.probing: Counter[str] = Counter()
        self.probes = self.most_probing = 0
        able = Capabilities(tools=True, reasoning=True)
        self.cards = {
            name: ModelCard("m", name, endpoint=place, context_length=32_000, price=PRICE, capabilities=able)
            for name, place in PLACES.items()
        }
        self.listed = tuple(self.cards.values())
        ways = ("refused", "failing", "silent", "cutting", "limited", "thinking")
        plans = {
            "here": (6 * HOUR, 900.0, ("refused", "silent")),
            "shelf": (3 * HOUR, 900.0, ("refused", "failing")),
            "shaky": (2 * HOUR, 600.0, ("failing", "cutting")),
            "dying": (HOUR, 2_000.0, ways),
            "limiting": (HOUR, 300.0, ("limited",)),
        }
        self.adapters = {
            name: Scripted(self, name, tuple(self._outages(*plans[name])) if name in plans else ()) for name in PLACES
        }

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    def price(self, provider: str, tokens: int) -> int:
        return tokens * 10 if PLACES[provider] == "cloud" else 0

    async def run(self) -> World:
        end = self.now + self.minutes * 60
        async with asyncio.TaskGroup() as group:
            while self.now < end:
                rate, number = self.chance.choice(((0.005, 4), (0.05, 12), (2.0, 60)))
                for _ in range(number):
                    await asyncio.sleep(self.chance.expovariate(rate))
                    group.create_task(self._ask(f"q{len(self.told)}"))
        return self

    async def _ask(self, name: str) -> None:
        mode: Mode | None = self.chance.choice((None, None, "fast", "balanced", "local-first", "local-strict"))
        deadline = self.chance.choice((None, 30.0))
        route = RouteOptions(mode=mode, deadline=deadline)
        messages = (Message("user", (Text("Please say something."),)),)
        request = ChatRequest("osaurus/auto", messages, sampling=Sampling(max_output_tokens=WORDS), route=route)
        plan = self._plan(request)
        told = Told(name, plan.asked, mode)
        self.told.append(told)
        step = Step(name, name, plan.asked, self.now)
        leaves = self.chance.random() < 0.03
        walk = engine.run(plan, request, step, timeouts=TIMEOUTS, meter=self.purse, health=self.health)
        async with aclosing(walk) as events:
            async for event in events:
                told.events.append(event)
                if leaves and isinstance(event, TextDelta):
                    told.left = True
                    return

    def _plan(self, request: ChatRequest) -> Plan:
        """By the caller's own list, or by the planner where a mode is given."""
        if request.route.mode is None:
            names = self.chance.sample([*PLACES], 3)
            return chain(f"{names[0]}/m", [self._candidate(name) for name in names])
        situation = Situation(
            wait=self.health.wait,
            ejected=self.health.ejected(tuple(PLACES)),
            record=self.health.learning.record,
            fits=lambda card: True,
        )
        why = self.planner.plan(request, self.listed, AUTO, situation)
        return Plan(request.model, tuple(self._candidate(one.provider) for one in why.chosen), why)

    def _candidate(self, name: str) -> Candidate:
        return Candidate(self.cards[name], self.adapters[name])

    def _outages(self, every: float, lasts: float, ways: Sequence[str]) -> Iterator[Outage]:
        at, end = self.now, self.now + self.minutes * 60
        while (at := at + self.chance.expovariate(1 / every)) < end:
            over = at + self.chance.expovariate(1 / lasts)
            yield Outage(at, over, self.chance.choice(ways))
            at = over


def simulated(seed: int, minutes: float) -> World:
    return virtual_time.run(lambda clock: World(seed, clock, minutes).run())


@pytest.fixture(scope="module")
def world() -> World:
    return simulated(1, MINUTES)


def test_the_days_were_full_of_trouble(world: World) -> None:
    """What holds below held for thousands of questions in hundreds of outages, and money ran out more than once."""
    failed = [told for told in world.told if isinstance(told.events[-1], Failed)]
    rescued = [told for told in world.told if any(isinstance(event, Substituted) for event in told.events)]

    assert len(world.told) > 2_000
    assert len(rescued) > 100
    assert len(failed) > 50
    assert world.probes > 50
    assert world.purse.refused > 10
    assert sum(told.left for told in world.told) > 20


def test_nothing_is_multiplied(world: World) -> None:
    """In all, in each hour and in each minute, no provider is asked more than a fifth oftener than questions came."""
    sent: Counter[tuple[str, int]] = Counter()
    firsts: Counter[tuple[str, int]] = Counter()
    seen = set()
    for call in world.calls:
        first = (call.provider, call.step) not in seen
        seen.add((call.provider, call.step))
        for slot in (-1, int(call.at // HOUR), 100_000 + int(call.at // 60)):
            sent[call.provider, slot] += 1
            firsts[call.provider, slot] += first

    busy = [slot for slot in firsts if firsts[slot] >= 30]
    assert len(busy) > 20
    assert max(sent[slot] / firsts[slot] for slot in busy) <= 1.2


def test_one_probe_finds_out_for_all(world: World) -> None:
    """At no moment were two questions sent to a provider that was being tried."""
    assert world.most_probing == 1


def test_nobody_answers_in_silence_for_another(world: World) -> None:
    """Whoever named a model hears, before the first word, that another one answers."""
    for told in world.told:
        spoke = next((place for place, event in enumerate(told.events) if is_visible(event)), None)
        if spoke is None or told.asked == "osaurus/auto":
            continue
        [author] = {f"{event.provider}/m" for event in told.events[: spoke + 1] if isinstance(event, Started)}
        said = [event.answering for event in told.events[:spoke] if isinstance(event, Substituted)]

        assert said == ([] if author == told.asked else [author]), told.step


def test_every_question_ends_once_and_honestly(world: World) -> None:
    """In its last word or in exactly one failure; nothing follows it, and words of two models are never mixed."""
    for told in world.told:
        ends = [place for place, event in enumerate(told.events) if isinstance(event, Failed | Finished)]
        spoke = [place for place, event in enumerate(told.events) if is_visible(event)]
        begun = [place for place, event in enumerate(told.events) if isinstance(event, Started)]

        assert told.left or ends == [len(told.events) - 1], told.step
        assert not spoke or max(begun) < spoke[0], told.step
        assert len(spoke) == WORDS or told.left or isinstance(told.events[-1], Failed), told.step


def test_no_budget_is_ever_exceeded(world: World) -> None:
    """What the providers took in an hour is never more than was allowed, whatever broke off; no account stays open."""
    took: Counter[int] = Counter()
    for call in world.calls:
        took[int(call.at // HOUR)] += call.micro

    assert world.purse.open_ones == 0
    assert not any(world.purse.set_aside.values())
    assert max(took.values()) <= CAP
    assert CAP * 0.5 < world.purse.most <= CAP


def test_what_must_stay_here_stays_here(world: World) -> None:
    """Of a question that is local in the strict sense no provider elsewhere ever hears, whoever of ours is down."""
    strict = {told.step for told in world.told if told.mode == "local-strict"}
    asked = {call.provider for call in world.calls if call.step in strict}

    assert len(strict) > 200
    assert asked == {"here", "shelf"}


def test_the_same_days_again_are_the_same() -> None:
    """Nothing but clock and chance decides: what was seen once can be seen again."""
    one, two = (simulated(7, 120) for _ in range(2))

    assert one.calls == two.calls
    assert [list(map(type, told.events)) for told in one.told] == [list(map(type, told.events)) for told in two.told]
