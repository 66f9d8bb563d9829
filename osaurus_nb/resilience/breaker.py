"""One breaker: spares whoever fails from being asked, and has it tried by exactly one question at a time. Pure.

    closed ---- 5 failures in a row, or half of 10 and more within 30 s ----> open
    open ------ its time is over and somebody asks: that one is the probe --> half-open
    half-open - the probe showed a word ------------------------------------> closed
    half-open - it failed --------------------------------------------------> open, twice as long, at most 10 min
    half-open - it was cancelled, or nothing was learnt --------------------> open, and the next who asks is the probe

Only the probe decides while half-open: what began before says nothing of now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from osaurus_nb.resilience._window import Window

State = Literal["closed", "open", "half-open"]


@dataclass(frozen=True, slots=True)
class Limits:
    """When a breaker opens and for how long. Seconds."""

    in_a_row: int = 5
    rate: float = 0.5
    calls: int = 10
    window: float = 30.0
    first: float = 30.0
    longest: float = 600.0


DEFAULT = Limits()


class Breaker:
    """For one provider or one model of one. `now` is a second of a monotonic clock; nothing here is thread-safe.

    `enter` gives each call the era that it belongs to, and what became of it is told with that era.
    """

    __slots__ = ("_era", "_failed_probes", "_in_a_row", "_limits", "_window", "last", "state", "until")

    def __init__(self, limits: Limits = DEFAULT) -> None:
        self.state: State = "closed"
        #: From when on a probe may be sent; only while it is open.
        self.until: float | None = None
        #: The code of the last failure that counted.
        self.last: str | None = None
        self._limits = limits
        self._window = Window(limits.window)
        self._in_a_row = 0
        self._failed_probes = 0
        self._era = 0

    def wait(self, now: float) -> float | None:
        """Seconds until one may ask, 0 while a probe is on its way; None: now."""
        if self.state == "closed":
            return None
        if self.state == "half-open":
            return 0.0
        left = (self.until or 0.0) - now
        return left if left > 0 else None

    def enter(self, now: float) -> int | None:
        """The era of a call that may be sent; None if it may not. Out of an open breaker it is the probe's."""
        if self.wait(now) is not None:
            return None
        if self.state == "open":
            self._turn("half-open")
        return self._era

    def answering(self, era: int) -> int:
        """The call showed a first word. Its era from now on, for it was the probe's if it brought us back."""
        if era == self._era and self.state == "half-open":
            self._turn("closed")
            self._failed_probes = self._in_a_row = 0
            self._window.clear()
            return self._era
        return era

    def succeeded(self, era: int, now: float) -> None:
        era = self.answering(era)
        if era == self._era and self.state == "closed":
            self._in_a_row = 0
            self._window.add(now, good=True)

    def failed(self, era: int, now: float, code: str) -> None:
        """It failed in a way that counts."""
        if era != self._era:
            return
        self.last = code
        if self.state == "half-open":
            self._failed_probes += 1
            self._open(now)
        elif self.state == "closed":
            self._in_a_row += 1
            self._window.add(now, good=False)
            if self._ill(now):
                self._open(now)

    def cancelled(self, era: int) -> None:
        """Nothing was learnt from it; if it was the probe, its place is free again."""
        if era == self._era and self.state == "half-open":
            self._turn("open")

    def heard(self, now: float, *, there: bool, spare: float) -> None:
        """Somebody else looked. Nobody is there: no question finds that out for `spare` seconds more.

        It is there: the next question is the probe, unless one failed already, for then that somebody proves little.
        """
        if self.state != "open":
            return
        if not there:
            self.until = max(self.until or now, now + spare)
        elif not self._failed_probes:
            self.until = min(self.until or now, now)

    def _ill(self, now: float) -> bool:
        good, bad = self._window.counts(now)
        often = good + bad >= self._limits.calls and bad >= self._limits.rate * (good + bad)
        return often or self._in_a_row >= self._limits.in_a_row

    def _open(self, now: float) -> None:
        self.until = now + min(self._limits.first * 2.0 ** min(self._failed_probes, 32), self._limits.longest)
        self._turn("open")

    def _turn(self, state: State) -> None:
        """Whoever began before is of another era, and is not listened to any more."""
        self.state = state
        self._era += 1
        if state == "closed":
            self.until = None
