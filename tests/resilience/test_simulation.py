"""Days of random outages and load on a clock of its own: what holds for one question holds for all of them together."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from osaurus_nb import errors
from osaurus_nb.ports import Timeouts
from osaurus_nb.resilience.backoff import Backoff
from osaurus_nb.resilience.breakers import Breakers, Refusal
from osaurus_nb.resilience.classify import classify
from osaurus_nb.resilience.deadline import Deadline
from osaurus_nb.resilience.outliers import Outliers
from osaurus_nb.resilience.repeats import Repeats
from osaurus_nb.resilience.retry_budget import RetryBudget
from osaurus_nb.testing.virtual_time import VirtualClock

MINUTES = 3_000
NAMES = ("steady", "shaky", "dying", "limiting")
HOUR = 3600.0


@dataclass(frozen=True)
class Outage:
    """From when to when, and how it shows."""

    begins: float
    ends: float
    how: str


@dataclass
class World:
    """Four providers, their outages, and what came to pass. The clock moves only in `run`."""

    chance: random.Random
    clock: VirtualClock = field(default_factory=VirtualClock)
    sent: list[tuple[float, str, int, bool]] = field(default_factory=list)  # when, whom, which repeat, a probe?
    ends: Counter[str] = field(default_factory=Counter)
    probing: Counter[str] = field(default_factory=Counter)
    most_probing: int = 0

    def __post_init__(self) -> None:
        self.breakers = Breakers(self.clock)
        self.outliers = Outliers(self.clock)
        self.budgets = defaultdict[str, RetryBudget](RetryBudget)
        self.backoff = Backoff(self.chance.random)
        self.outages = {
            "steady": (),
            "shaky": tuple(self._plan("failing", every=3 * HOUR, lasts=600.0)),
            "dying": tuple(self._plan("refused", "failing", "silent", every=2 * HOUR, lasts=2_000.0)),
            "limiting": tuple(self._plan("limited", "failing", every=HOUR, lasts=300.0)),
        }

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    def run(self, seconds: float) -> None:
        """Questions come in bursts, and each is a walk that says for how long it waits."""
        order, end, at = itertools.count(), self.now + seconds, self.now
        queue: list[tuple[float, int, Iterator[float]]] = []
        while at < end:
            rate, number = self.chance.choice(((0.01, 5), (0.1, 30), (0.1, 30), (5.0, 150)))
            for _ in range(number):
                at += self.chance.expovariate(rate)
                heapq.heappush(queue, (at, next(order), self._walk()))
        while queue:
            at, _, walk = heapq.heappop(queue)
            self.clock.pass_by(at - self.now)
            wait = next(walk, None)
            if wait is not None:
                heapq.heappush(queue, (self.now + wait, next(order), walk))

    def _plan(self, *ways: str, every: float, lasts: float) -> Iterator[Outage]:
        at = self.now
        while True:
            at += self.chance.expovariate(1 / every)
            if at > self.now + MINUTES * 60:
                return
            over = at + self.chance.expovariate(1 / lasts)
            yield Outage(at, over, self.chance.choice(ways))
            at = over

    def _walk(self) -> Iterator[float]:
        """One question, as an engine is to walk it."""
        deadline = Deadline.after(self.chance.choice((None, 30.0)), self.now)
        order = self.chance.sample(NAMES, 3)
        out = self.outliers.ejected(order)
        order.sort(key=out.__contains__)
        for number, name in enumerate(order, start=1):
            repeats, repeat, behind = Repeats(self.budgets[name], self.backoff, deadline), 0, len(order) - number
            while not deadline.passed(self.now):
                permit = self.breakers.ask(name, "m")
                if isinstance(permit, Refusal):
                    break
                probe = permit.probe
                self._send(name, repeat, probe)
                with permit:
                    takes, error = self._answer(name)
                    turn = deadline.within(Timeouts(first_token=20.0), self.now, behind).first_token or 0.0
                    if self.chance.random() < 0.02:
                        yield min(takes, turn) * self.chance.random()
                        self.probing[name] -= probe
                        self.ends["cancelled"] += 1
                        return
                    if takes > turn:
                        takes, error = turn, errors.TooSlow("late", provider=name)
                    yield takes
                    self.probing[name] -= probe
                    if error is None:
                        permit.succeeded()
                        self.outliers.note(name)
                        self.budgets[name].worked()
                        self.ends["answered"] += 1
                        return
                    verdict = classify(error, committed=False)
                    permit.failed(verdict)
                    self.outliers.note(name, verdict)
                repeat += 1
                wait = repeats.wait(verdict, repeat, self.now, retry_after=error.retry_after, last=number == len(order))
                if wait is None:
                    break
                yield wait
                assert not deadline.passed(self.now)
        self.ends["late" if deadline.passed(self.now) else "nobody"] += 1

    def _send(self, name: str, repeat: int, probe: bool) -> None:
        self.sent.append((self.now, name, repeat, probe))
        self.probing[name] += probe
        self.most_probing = max(self.most_probing, self.probing[name])
        if not repeat:
            self.budgets[name].asked()

    def _answer(self, name: str) -> tuple[float, errors.ProviderError | None]:
        how = next((o.how for o in self.outages[name] if o.begins <= self.now < o.ends), None)
        if how is None and name == "shaky" and self.chance.random() < 0.1:
            how = "failing"
        match how:
            case "refused":
                return 0.01, errors.Unreachable("gone", provider=name)
            case "failing":
                return 0.3, errors.Unavailable("503", provider=name, upstream_status=503)
            case "silent":
                return 1e9, None
            case "limited":
                asks = self.chance.choice((None, 1.0, 7.0, 1e5))
                return 0.1, errors.RateLimited("429", provider=name, upstream_status=429, retry_after=asks)
            case _:
                return self.chance.expovariate(0.5), None


@pytest.fixture(scope="module", params=[1, 2])
def world(request: pytest.FixtureRequest) -> World:
    made = World(random.Random(request.param))
    made.run(MINUTES * 60.0)
    return made


def test_a_day_was_full_of_trouble(world: World) -> None:
    """What is proven below is proven by thousands of questions and hundreds of failures, not by a quiet day."""
    repeats = sum(repeat > 0 for _, _, repeat, _ in world.sent)

    assert world.ends["answered"] > 5_000
    assert world.ends["cancelled"] > 100
    assert repeats > 100
    assert sum(probe for *_, probe in world.sent) > 50


def test_nothing_is_sent_much_more_often_than_it_is_asked(world: World) -> None:
    """Over all the time, in every busy hour and in every busy minute: at most a fifth more than questions came."""
    sent: Counter[tuple[str, int]] = Counter()
    firsts: Counter[tuple[str, int]] = Counter()
    for at, name, repeat, _ in world.sent:
        for slot in (-1, int(at // HOUR), 1_000 + int(at // 60)):
            sent[name, slot] += 1
            firsts[name, slot] += repeat == 0

    assert max(sent[slot] / firsts[slot] for slot in firsts if firsts[slot] >= 50) <= 1.2


def test_never_are_two_probes_under_way(world: World) -> None:
    """One finds out for all, at every moment of every outage."""
    assert world.most_probing == 1


def test_in_an_outage_only_probes_are_sent_once_it_was_found_out(world: World) -> None:
    """Five failures and those under way tell; from then on a dead provider is asked once in a while, by one question.

    It is asked again by the others only after a probe of them succeeded.
    """
    for outage in world.outages["dying"]:
        inside = [one for one in world.sent if one[1] == "dying" and outage.begins <= one[0] < outage.ends]
        opened = next((at for at, _, _, probe in inside if probe), None)
        late = [probe for at, _, _, probe in inside if opened is not None and at > opened]

        assert all(late), outage


def test_a_provider_that_came_back_is_found_again(world: World) -> None:
    """Ten minutes and a question after an outage it is asked as before."""
    for outage in world.outages["dying"]:
        again = outage.ends + 700.0
        if any(other.begins < again + 600 and other.ends > outage.ends for other in world.outages["dying"]):
            continue
        after = [probe for at, name, _, probe in world.sent if name == "dying" and again < at < again + 600]

        assert len(after) < 5 or not all(after), outage


def test_who_never_failed_was_never_refused(world: World) -> None:
    """A steady provider has no breaker that ever saw a failure that counted, except of those that came too late."""
    told = {(one.provider, one.last) for one in world.breakers.conditions() if one.provider == "steady"}

    assert told <= {("steady", "timeout")}


def test_the_same_day_twice_is_the_same() -> None:
    """Nothing but the given clock and chance decides: a failure that was seen once can be seen again."""
    one, two = (World(random.Random(3)) for _ in range(2))

    one.run(HOUR)
    two.run(HOUR)

    assert one.sent == two.sent
    assert one.ends == two.ends
