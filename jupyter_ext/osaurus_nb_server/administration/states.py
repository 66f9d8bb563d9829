"""How the providers stand: seen now, watched, and made to notice what was changed. Waits for no provider by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from typing import Any, Protocol, runtime_checkable

from osaurus_nb.errors import OsaurusError, Unsupported
from osaurus_nb.models import SourceStatus
from osaurus_nb.runtime import Backend


@runtime_checkable
class Connector(Protocol):
    """A backend whose connections are in this process."""

    async def connect(self, slug: str) -> SourceStatus: ...

    def disconnect(self, slug: str) -> SourceStatus: ...


class States:
    """One for each server."""

    def __init__(self, backend: Callable[[], Awaitable[Backend]]) -> None:
        self.backend = backend
        self._tasks: set[asyncio.Task[None]] = set()

    async def now(self) -> Sequence[SourceStatus]:
        async with aclosing(self.watch()) as changes:
            return await anext(changes)

    async def watch(self) -> AsyncGenerator[Sequence[SourceStatus], None]:
        """How all stand, now and after each change."""
        async with aclosing((await self.backend()).watch()) as changes:
            async for statuses in changes:
                yield statuses

    async def connector(self) -> Connector:
        backend = await self.backend()
        if not isinstance(backend, Connector):
            raise Unsupported("The providers of this server are not connected by it.")
        return backend

    def notice(self) -> None:
        """Something was changed: whoever is affected is asked again, in the background."""
        self._begin(self._looked())

    def renew(self, slug: str) -> None:
        """Its secret was changed: part from it, with all that is under way, and connect anew, in the background."""
        self._begin(self._renewed(slug))

    async def aclose(self) -> None:
        for task in (*self._tasks,):
            task.cancel()
        if self._tasks:
            await asyncio.wait((*self._tasks,))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="osaurus-administration")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _looked(self) -> None:
        with suppress(OsaurusError):  # who watches is told
            await (await self.backend()).status()

    async def _renewed(self, slug: str) -> None:
        with suppress(OsaurusError):  # who watches is told
            connector = await self.connector()
            connector.disconnect(slug)
            await connector.connect(slug)
