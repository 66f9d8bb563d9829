"""One answer on its way, for async and for sync code."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing
from typing import Self

from osaurus_nb._portal import Portal
from osaurus_nb.events import Event, TextDelta
from osaurus_nb.reply import Reply
from osaurus_nb.turn import Turn


class AsyncStream:
    """Iterate for pieces of text, or over `events()`; `reply` is what came so far. Leaving it stops the model."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._open: AsyncGenerator[Event, None] | None = None

    @property
    def reply(self) -> Reply:
        return self._turn.reply

    def events(self) -> AsyncGenerator[Event, None]:
        """Every event. A failure is raised at its place; `reply` keeps what came before it."""
        self._open = self._turn.events()
        return self._open

    async def aclose(self) -> None:
        """Stop the work at the model now."""
        if self._open is not None:
            await self._open.aclose()

    async def __aiter__(self) -> AsyncIterator[str]:
        async with aclosing(self.events()) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    yield event.text

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class Stream:
    """`AsyncStream` for sync code: the same, iterated with a plain `for`."""

    def __init__(self, stream: AsyncStream, portal: Portal) -> None:
        self._stream = stream
        self._portal = portal
        self._open: Generator[Event, None, None] | None = None

    @property
    def reply(self) -> Reply:
        return self._stream.reply

    def events(self) -> Generator[Event, None, None]:
        """Every event. A failure is raised at its place; `reply` keeps what came before it."""
        self._open = self._portal.iterate(self._stream.events)
        return self._open

    def close(self) -> None:
        """Stop the work at the model now."""
        if self._open is not None:
            self._open.close()

    def __iter__(self) -> Iterator[str]:
        for event in self.events():
            if isinstance(event, TextDelta):
                yield event.text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
