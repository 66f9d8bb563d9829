"""One background event loop for a process: how sync code reaches async code without touching anybody's loop.

The portal works in a script, inside a running notebook loop, in a widget's callback thread and after a fork. It never
patches a loop. Interrupting the caller cancels the coroutine at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillRunning
from functools import lru_cache
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

#: A wait without an end cannot be interrupted on Windows; elsewhere it can, and costs less than one with an end.
_TICK = 0.5 if os.name == "nt" else None
#: Items that may wait for a slow reader before the stream is held back.
_BACKLOG = 256


class Portal:
    """A daemon thread with one event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="osaurus-portal", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result. An interrupt here cancels it there."""
        try:
            self._refuse_own_thread()
        except RuntimeError:
            coroutine.close()
            raise
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return _wait(future)
        except BaseException:
            future.cancel()
            raise

    def iterate(self, make_stream: Callable[[], AsyncGenerator[T, None]]) -> Generator[T, None, None]:
        """The stream's items, as they come. Leaving early, or an interrupt, closes the stream there."""
        self._refuse_own_thread()
        items: SimpleQueue[tuple[T] | BaseException | None] = SimpleQueue()
        future = asyncio.run_coroutine_threadsafe(_pump(make_stream, items), self.loop)
        try:
            while (item := _take(items)) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item[0]
        finally:
            future.cancel()

    def call_soon(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start it there and return at once."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def _refuse_own_thread(self) -> None:
        if threading.current_thread() is self._thread:
            raise RuntimeError("The sync API was called on osaurus's own loop; use AsyncClient there.")

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


@lru_cache(maxsize=1)
def portal() -> Portal:
    """This process's portal, started by the first call."""
    return Portal()


if hasattr(os, "register_at_fork"):  # a child has no portal thread: it starts its own
    os.register_at_fork(after_in_child=portal.cache_clear)


def _wait(future: Future[T]) -> T:
    while True:
        try:
            return future.result(_TICK)
        except StillRunning:
            if future.done():  # the coroutine itself raised TimeoutError
                raise


def _take(items: SimpleQueue[T]) -> T:
    while True:
        try:
            return items.get(timeout=_TICK)
        except Empty:
            continue


async def _pump(
    make_stream: Callable[[], AsyncGenerator[T, None]], items: SimpleQueue[tuple[T] | BaseException | None]
) -> None:
    try:
        async with contextlib.aclosing(make_stream()) as stream:
            async for item in stream:
                while items.qsize() >= _BACKLOG:  # noqa: ASYNC110 - a thread reads: it cannot set an asyncio.Event cheaply
                    await asyncio.sleep(0.005)
                items.put((item,))
    except BaseException as exc:
        items.put(exc)
        if not isinstance(exc, Exception):
            raise
    else:
        items.put(None)
