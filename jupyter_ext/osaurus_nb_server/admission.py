"""How many questions are under way at once, and how many wait: the rest is told at once when to come again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from osaurus_nb.errors import OsaurusError
from osaurus_nb.resilience.shedding import Door, Overloaded, Ticket


class Crowded(OsaurusError):
    """Too many are here. `retry_after` is when one may come again."""

    status, code = 503, "overloaded"


class Admission:
    """One for each server; belongs to its loop."""

    def __init__(self, *, most: int, waiting: int) -> None:
        self._door = Door(inside=most, waiting=waiting)
        self._bells: dict[Ticket, asyncio.Event] = {}
        #: So many were sent away.
        self.refused = 0

    @property
    def inside(self) -> int:
        return self._door.inside

    @property
    def waiting(self) -> int:
        return self._door.waiting

    @asynccontextmanager
    async def entered(self) -> AsyncGenerator[None, None]:
        """Wait for a place, hold it, give it back. Raises Crowded where as many wait already as may."""
        ticket = self._door.ask(time.monotonic())
        if isinstance(ticket, Overloaded):
            self.refused += 1
            raise Crowded("The server has as much to do as it can. Ask again later.", retry_after=ticket.retry_after)
        try:
            if not ticket.inside:
                bell = self._bells[ticket] = asyncio.Event()
                await bell.wait()
            yield
        finally:
            self._bells.pop(ticket, None)
            following = self._door.leave(ticket, time.monotonic())
            if following is not None:
                self._bells[following].set()
