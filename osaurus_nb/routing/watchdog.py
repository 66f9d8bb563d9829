"""Deadlines for one attempt, at the price of a few assignments an event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from math import inf
from typing import Literal, TypeVar

from osaurus_nb.ports import Timeouts

T = TypeVar("T")


class Expired(Exception):
    """A deadline passed; the text says which, and `span` by its name in `Timeouts`."""

    def __init__(self, said: str, span: Literal["first_token", "between_tokens", "total"]) -> None:
        super().__init__(said)
        self.span = span


class Watchdog:
    """Waits for the next event of an attempt and interrupts the wait when a deadline passes.

    The first token has one deadline from the start, whatever comes before it; after it each wait has its own.
    One timer serves them all: when it fires early it goes back to sleep. Only a wait is interrupted, never the
    consumer while it works on an event.
    """

    def __init__(self, timeouts: Timeouts, *, ends: float | None = None) -> None:
        """`ends` is the step's own deadline, by the running loop's clock."""
        self._loop = asyncio.get_running_loop()
        start = self._loop.time()
        self._between = _or_inf(timeouts.between_tokens)
        self._end = min(start + _or_inf(timeouts.total), _or_inf(ends))
        self._first: float | None = start + _or_inf(timeouts.first_token)
        self._limit = inf
        self._waiting: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expired = False

    def saw_token(self) -> None:
        """From now on the spans between tokens count."""
        self._first = None

    async def next(self, stream: AsyncIterator[T]) -> T:
        """The next item. Raises Expired, or StopAsyncIteration at the end."""
        patience = self._loop.time() + self._between if self._first is None else self._first
        self._limit = min(patience, self._end)
        if self._limit != inf and (self._timer is None or self._timer.when() > self._limit):
            self._arm()
        self._waiting = asyncio.current_task()
        try:
            return await anext(stream)
        except asyncio.CancelledError:
            if not self._expired or self._waiting is None or self._waiting.uncancel() > 0:
                raise
            raise self._late() from None
        finally:
            self._waiting = None

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self.stop()
        self._timer = self._loop.call_at(self._limit, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._waiting is None:
            return  # the next wait arms it again
        if self._loop.time() < self._limit:
            self._arm()
            return
        self._expired = True
        self._waiting.cancel()

    def _late(self) -> Expired:
        if self._limit >= self._end:
            return Expired("the whole answer took too long", "total")
        if self._first is None:
            return Expired("no further token came in time", "between_tokens")
        return Expired("the first token did not come in time", "first_token")


def _or_inf(seconds: float | None) -> float:
    return inf if seconds is None else seconds
