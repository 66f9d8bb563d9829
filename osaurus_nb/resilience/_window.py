"""How many worked and how many failed lately. Pure; as many numbers as there are slices, however many calls."""

from __future__ import annotations

from collections import deque


class Window:
    """Counts over the last `span` seconds, a slice at a time."""

    __slots__ = ("_bad", "_good", "_slice", "_slices", "_span")

    def __init__(self, span: float, slices: int = 30) -> None:
        self._span = span
        self._slice = span / slices
        self._slices: deque[list[float]] = deque()  # when it began, good ones, bad ones
        self._good = self._bad = 0

    def add(self, now: float, *, good: bool) -> None:
        self._forget(now)
        if not self._slices or now - self._slices[-1][0] >= self._slice:
            self._slices.append([now, 0, 0])
        self._slices[-1][1 if good else 2] += 1
        self._good += good
        self._bad += not good

    def counts(self, now: float) -> tuple[int, int]:
        """Good ones and bad ones."""
        self._forget(now)
        return self._good, self._bad

    def clear(self) -> None:
        self._slices.clear()
        self._good = self._bad = 0

    def _forget(self, now: float) -> None:
        while self._slices and now - self._slices[0][0] >= self._span:
            _, good, bad = self._slices.popleft()
            self._good -= int(good)
            self._bad -= int(bad)
