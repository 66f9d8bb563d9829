"""Keeps connections for reuse: at most so many for each origin, the last used first, the longest waiting served first.

Taking and giving back cost the same however many there are. It opens nothing itself and sends nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Poolable(Protocol):
    """What the pool asks of a connection."""

    @property
    def reusable(self) -> bool: ...

    def is_fresh(self) -> bool: ...

    def abort(self) -> None: ...


Key = TypeVar("Key")
Item = TypeVar("Item", bound=Poolable)


@dataclass(slots=True)
class _Lane(Generic[Item]):
    """The connections of one origin. While someone waits, none is idle and `total` is at the limit."""

    idle: dict[Item, float] = field(default_factory=dict)  # in the order they became idle, with the time of it
    total: int = 0  # idle, in use and being opened
    waiting: deque[asyncio.Future[Item | None]] = field(default_factory=deque)


class ConnectionPool(Generic[Key, Item]):
    """`take` a connection for a key, then exactly one of `give_back` and `drop`."""

    def __init__(self, *, limit: int, idle_seconds: float) -> None:
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._lanes: dict[Key, _Lane[Item]] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    async def take(self, key: Key, opener: Callable[[], Awaitable[Item]], *, patience: float | None = None) -> Item:
        """An idle connection that is still alive, else a new one. Raises TimeoutError after `patience` in the queue."""
        lane = self._lanes.setdefault(key, _Lane())
        item = self._take_idle(lane)
        if item is None and lane.total < self._limit:
            lane.total += 1
        elif item is None:
            item = await self._queue(key, lane, patience)
            if item is not None and not item.is_fresh():  # it died on its way here; its place stays ours
                item.abort()
                item = None
        return item if item is not None else await self._open(key, lane, opener)

    def give_back(self, key: Key, item: Item) -> None:
        """The exchange is over: the next in the queue gets this connection, or it waits for one."""
        lane = self._lanes[key]
        if self._closed or not item.reusable:
            self.drop(key, item)
        elif not self._hand_over(lane, item):
            lane.idle[item] = asyncio.get_running_loop().time()
            self._arm()

    def drop(self, key: Key, item: Item) -> None:
        """This connection is of no more use."""
        item.abort()
        self._free_place(key, self._lanes[key])

    def lost(self, key: Key, item: Item) -> None:
        """The peer closed it. One in use is given back or dropped by its user."""
        lane = self._lanes.get(key)
        if lane is not None and lane.idle.pop(item, None) is not None:
            self._free_place(key, lane)

    def drop_idle(self, key: Key) -> None:
        """Forget the idle connections of a key: one of them turned out to be dead, so the others may be, too."""
        for item in tuple(self._lanes[key].idle) if key in self._lanes else ():
            item.abort()
            self.lost(key, item)

    def close(self) -> None:
        """Drop what is idle now, and what is in use when it comes back."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for key in tuple(self._lanes):
            self.drop_idle(key)

    def _take_idle(self, lane: _Lane[Item]) -> Item | None:
        while lane.idle:
            item, _ = lane.idle.popitem()
            if item.is_fresh():
                return item
            item.abort()
            lane.total -= 1
        return None

    async def _open(self, key: Key, lane: _Lane[Item], opener: Callable[[], Awaitable[Item]]) -> Item:
        try:
            if self._closed:
                raise RuntimeError("the pool is closed")
            return await opener()
        except BaseException:
            self._free_place(key, lane)
            raise

    async def _queue(self, key: Key, lane: _Lane[Item], patience: float | None) -> Item | None:
        """A connection, or None for the right to open one."""
        turn: asyncio.Future[Item | None] = asyncio.get_running_loop().create_future()
        lane.waiting.append(turn)
        try:
            async with asyncio.timeout(patience):
                return await turn
        except BaseException:
            self._leave_queue(key, lane, turn)
            raise

    def _leave_queue(self, key: Key, lane: _Lane[Item], turn: asyncio.Future[Item | None]) -> None:
        """A turn that came at the very moment its owner left goes to the next."""
        if turn.cancelled() or not turn.done():
            turn.cancel()
            return
        item = turn.result()
        if item is None:
            self._free_place(key, lane)
        else:
            self.give_back(key, item)

    def _hand_over(self, lane: _Lane[Item], item: Item | None) -> bool:
        while lane.waiting:
            turn = lane.waiting.popleft()
            if not turn.done():
                turn.set_result(item)
                return True
        return False

    def _free_place(self, key: Key, lane: _Lane[Item]) -> None:
        if self._hand_over(lane, None):
            return
        lane.total -= 1
        if lane.total == 0:
            self._lanes.pop(key, None)

    def _arm(self) -> None:
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(self._idle_seconds, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        limit = asyncio.get_running_loop().time() - self._idle_seconds
        for key, lane in tuple(self._lanes.items()):
            for item, since in tuple(lane.idle.items()):
                if since > limit:
                    break  # the later ones are younger
                item.abort()
                self.lost(key, item)
            if lane.idle:
                self._arm()
