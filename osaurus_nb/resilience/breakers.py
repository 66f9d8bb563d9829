"""All breakers: one for each provider and one for each of its models. Bounded, for many loops and threads; no I/O.

match breakers.ask("groq", "llama-4"):
    case Refusal(wait=wait): ...          # go on to the next candidate
    case Permit() as permit:
        with permit:                      # left without a word of how it went, it was cancelled
            ...
            permit.answering()            # the first visible byte: a probe that got so far is a good one
            permit.succeeded()            # or permit.failed(verdict)
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from osaurus_nb.ports import Clock
from osaurus_nb.resilience.breaker import DEFAULT, Breaker, Limits, State
from osaurus_nb.resilience.classify import Verdict

#: More are not kept: those that were asked the longest ago are forgotten first, and open ones last.
MOST = 4096
#: What a breaker is for: a provider, and None or one of its models.
Key = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Not to be asked now. `wait` is in how many seconds one may try again; 0: as soon as the probe is back."""

    provider: str
    model: str | None
    wait: float
    last: str | None


@dataclass(frozen=True, slots=True)
class Condition:
    """One breaker, for whoever looks. `wait` is how many seconds it stays open, `last` the code of what failed last."""

    provider: str
    model: str | None
    state: State
    wait: float | None
    last: str | None


class Breakers:
    """Ask before each call, for a provider and its model at once."""

    def __init__(self, clock: Clock, *, limits: Limits = DEFAULT, most: int = MOST) -> None:
        self._clock = clock
        self._limits = limits
        self._most = most
        self._kept: OrderedDict[Key, Breaker] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, provider: str, model: str | None = None) -> Permit | Refusal:
        """Leave to send one call, or how long to wait for it."""
        keys: list[Key] = [(provider, None)] if model is None else [(provider, None), (provider, model)]
        with self._lock:
            now = self._clock.monotonic()
            found = [(key, self._at(key)) for key in keys]
            for (_, of), breaker in found:  # look at both before a probe's place is taken at one
                if (wait := breaker.wait(now)) is not None:
                    return Refusal(provider, of, wait, breaker.last)
            permit = Permit(self._clock, self._lock, [breaker for _, breaker in found])
            self._trim()
            return permit

    def wait(self, provider: str, model: str | None = None) -> float | None:
        """Seconds until `ask` may give a permit; None: it would now. For plans: it takes no probe's place."""
        with self._lock:
            now = self._clock.monotonic()
            kept = [
                self._kept[key] for key in dict.fromkeys([(provider, None), (provider, model)]) if key in self._kept
            ]
            return max((wait for breaker in kept if (wait := breaker.wait(now)) is not None), default=None)

    def conditions(self) -> Sequence[Condition]:
        """Every breaker that is not closed, or saw a failure."""
        with self._lock:
            now = self._clock.monotonic()
            return [
                Condition(provider, model, breaker.state, breaker.wait(now), breaker.last)
                for (provider, model), breaker in self._kept.items()
                if breaker.state != "closed" or breaker.last is not None
            ]

    def heard(self, provider: str, *, there: bool, spare: float) -> None:
        """Its list of models came, or nobody was there to give one: that counts beside questions, where it is open."""
        with self._lock:
            breaker = self._kept.get((provider, None))
            if breaker is not None:
                breaker.heard(self._clock.monotonic(), there=there, spare=spare)

    def forget(self, provider: str) -> None:
        """It is another one now: its address or key was changed, or the user says to try again."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == provider]:
                del self._kept[key]

    def _at(self, key: Key) -> Breaker:
        breaker = self._kept.get(key)
        if breaker is None:
            breaker = self._kept[key] = Breaker(self._limits)
        self._kept.move_to_end(key)
        return breaker

    def _trim(self) -> None:
        """A probe on its way is never forgotten, or there could be two."""
        if len(self._kept) <= self._most:
            return
        for state in ("closed", "open"):
            for key in [key for key, breaker in self._kept.items() if breaker.state == state]:
                if len(self._kept) <= self._most * 7 // 8:  # some at a time: a walk for each call would cost too much
                    return
                del self._kept[key]


class Permit:
    """Leave for one call. What became of it is told once; after `answering` it may still fail."""

    __slots__ = ("_clock", "_held", "_lock", "probe")

    def __init__(self, clock: Clock, lock: threading.Lock, breakers: Sequence[Breaker]) -> None:
        now = clock.monotonic()
        self._clock = clock
        self._lock = lock
        #: Does it find out for all others?
        self.probe = any(breaker.state == "open" for breaker in breakers)
        self._held = [(breaker, era) for breaker in breakers if (era := breaker.enter(now)) is not None]

    def answering(self) -> None:
        """The first visible byte came."""
        with self._lock:
            self._held = [(breaker, breaker.answering(era)) for breaker, era in self._held]

    def succeeded(self) -> None:
        with self._lock:
            now = self._clock.monotonic()
            for breaker, era in self._settle():
                breaker.succeeded(era, now)

    def failed(self, verdict: Verdict) -> None:
        """It failed. What does not count for a breaker tells that one only whether anybody is there."""
        with self._lock:
            now = self._clock.monotonic()
            for level, (breaker, era) in zip(("provider", "model"), self._settle(), strict=False):
                if verdict.blame == level:
                    breaker.failed(era, now, verdict.code)
                elif verdict.reached:
                    breaker.answering(era)
                else:
                    breaker.cancelled(era)

    def cancelled(self) -> None:
        """The caller left, or it was never sent: nothing was learnt."""
        with self._lock:
            for breaker, era in self._settle():
                breaker.cancelled(era)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        self.cancelled()

    def _settle(self) -> Sequence[tuple[Breaker, int]]:
        held, self._held = self._held, []
        return held
