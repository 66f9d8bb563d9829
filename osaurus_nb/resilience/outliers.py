"""Which providers fail far more often than the others do, though never often enough in a row. Pure, clock injected.

A breaker looks at one alone; this compares. Whoever is put out is asked last, not never: it comes back as its failures
get old.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from statistics import median

from osaurus_nb.ports import Clock
from osaurus_nb.resilience._window import Window
from osaurus_nb.resilience.classify import Verdict

#: More are not kept; who was heard of the longest ago is forgotten first.
MOST = 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """`behind`: so far below the median of the others. `calls`: with fewer within `window` seconds nobody is judged."""

    behind: float = 0.4
    calls: int = 10
    window: float = 60.0
    share: float = 0.5


DEFAULT = Bounds()


class Outliers:
    """The success rates of all providers, lately."""

    def __init__(self, clock: Clock, *, bounds: Bounds = DEFAULT) -> None:
        self._clock = clock
        self._bounds = bounds
        self._windows: OrderedDict[str, Window] = OrderedDict()

    def note(self, provider: str, verdict: Verdict | None = None) -> None:
        """A call of it worked, or failed with `verdict`. What is not its fault is not held against it."""
        if verdict is not None and verdict.blame == "none":
            return
        window = self._windows.setdefault(provider, Window(self._bounds.window))
        window.add(self._clock.monotonic(), good=verdict is None)
        self._windows.move_to_end(provider)
        if len(self._windows) > MOST:
            self._windows.popitem(last=False)

    def rate(self, provider: str) -> float | None:
        """From 0 to 1; None while there were too few calls to judge by."""
        window = self._windows.get(provider)
        if window is None:
            return None
        good, bad = window.counts(self._clock.monotonic())
        return good / (good + bad) if good + bad >= self._bounds.calls else None

    def ejected(self, pool: Collection[str]) -> frozenset[str]:
        """Whom of `pool` to ask last: at most half of it, the worst first."""
        rates = {name: rate for name in dict.fromkeys(pool) if (rate := self.rate(name)) is not None}
        behind = {name: _others(rates, name) - rate for name, rate in rates.items() if len(rates) > 1}
        worst = sorted((name for name in behind if behind[name] >= self._bounds.behind), key=lambda name: rates[name])
        return frozenset(worst[: int(len(set(pool)) * self._bounds.share)])


def _others(rates: dict[str, float], name: str) -> float:
    return median(rate for other, rate in rates.items() if other != name)
