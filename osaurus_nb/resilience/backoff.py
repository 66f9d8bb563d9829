"""How long to wait before a repeat: full jitter, so that those who failed together do not come back together. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Spans that double, each drawn anew from zero to its bound. `chance` is from 0 to 1."""

    chance: Callable[[], float]
    base: float = 0.05
    #: Who is asked to slow down begins here.
    throttled: float = 1.0
    cap: float = 20.0

    def wait(self, repeat: int, *, throttled: bool = False) -> float:
        """Seconds before the `repeat`th repeat; the first is 1."""
        base = self.throttled if throttled else self.base
        return self.chance() * min(self.cap, base * 2.0 ** min(repeat - 1, 32))
