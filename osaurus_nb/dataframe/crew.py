"""How many rows are under way at once: halved where a provider says that it is too many, then slowly more again."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

#: Seconds to wait where nobody says for how long; doubled each time that it was too short.
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0


class Crew:
    """Belongs to one event loop. Nobody is let in before `until` has passed."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self.most = most
        self.running = 0
        self._allowed = float(most)
        self._clock = clock
        self._until = self._halved = 0.0
        self._strikes = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def allowed(self) -> int:
        return max(int(self._allowed), 1)

    async def enter(self) -> float:
        """Wait for a place; when it was taken, for `leave` or `slow`."""
        while True:
            if (rest := self._until - self._clock()) > 0:
                await asyncio.sleep(rest)
            elif self.running >= self.allowed:
                place = asyncio.get_running_loop().create_future()
                self._waiting.append(place)
                await place
            else:
                self.running += 1
                return self._clock()

    def leave(self) -> None:
        """A place is free."""
        self.running -= 1
        self._call()

    def went_well(self) -> None:
        """One more is allowed for every eighth that worked, so long as fewer than all are."""
        self._strikes = 0
        if self._allowed < self.most:
            self._allowed = min(self._allowed + 0.125, self.most)
            self._call()

    def slow(self, entered: float, wait: float | None) -> None:
        """It was too much for the provider: half as many, and nobody for so many seconds, or as many as seems right.

        Those that were sent before the last halving say nothing new.
        """
        now = self._clock()
        if entered >= self._halved:
            self._strikes += 1
            self._allowed = max(self.allowed / 2, 1.0)
            self._halved = now
        rest = wait if wait is not None else min(_FIRST_WAIT * 2 ** max(self._strikes - 1, 0), _LONGEST_WAIT)
        self._until = max(self._until, now + rest)

    def narrow(self) -> None:
        """A cap has no room for so many at once."""
        self._allowed = float(max(min(self.running, self.allowed) - 1, 1))

    def _call(self) -> None:
        for _ in range(self.allowed - self.running):
            while self._waiting:
                place = self._waiting.popleft()
                if not place.done():
                    place.set_result(None)
                    break
