"""`GET` of how the providers stand, pushed: server-sent events, a first one with all, then one for each change.

It lasts until the client leaves, the server stops, or the key that opened it opens nothing any more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import aclosing, suppress
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from tornado.iostream import StreamClosedError

from osaurus_nb_server.handlers.admin import AdminHandler
from osaurus_nb_server.service import Service

_PING = b": ping\n\n"


class EventsHandler(AdminHandler):
    _task: asyncio.Task[object] | None = None
    _over = False

    def initialize(self, service: Service) -> None:  # type: ignore[override]  # as in the base
        super().initialize(service)
        self._turn = asyncio.Lock()

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self) -> None:
        self._task = asyncio.current_task()
        self.service.watching.add(self)
        pulse = asyncio.create_task(self._pulse())
        try:
            await self._push()
        except StreamClosedError:  # the client left
            pass
        except asyncio.CancelledError:
            if not self._over or self._task is None or self._task.uncancel() > 0:
                raise
        finally:
            pulse.cancel()
            self.service.watching.discard(self)
            self._task = None
        with suppress(StreamClosedError):
            await self.finish()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.abandon()

    def abandon(self) -> None:
        """End it: the client left, or the server goes away."""
        self._over = True
        if self._task is not None:
            self._task.cancel()

    async def _push(self) -> None:
        async with aclosing(self.admin.providers.states()) as states:
            first = await anext(states)  # what fails until here is a proper refusal
            self.without_compression()
            self.set_header("Content-Type", "text/event-stream")
            self.set_header("Cache-Control", "no-store, no-transform")
            self.set_header("X-Accel-Buffering", "no")
            await self._tell(first)
            async for now in states:
                await self._tell(now)

    async def _tell(self, states: Mapping[str, Any]) -> None:
        await self._send(b"event: providers\ndata: " + json.dumps(states).encode() + b"\n\n")

    async def _send(self, data: bytes) -> None:
        """One after the other: of two writes at once tornado forgets who waits for the first."""
        async with self._turn:
            self.write(data)
            await self.flush()

    async def _pulse(self) -> None:
        """A sign of life in every silence, and the look whether the key still opens this."""
        while True:
            await asyncio.sleep(self.service.ping_after)
            if self.key is not None and not self._still_open():
                self.abandon()
            elif self._headers_written and not self._finished:
                with suppress(StreamClosedError):
                    await self._send(_PING)

    def _still_open(self) -> bool:
        return any(key == self.key for key in self.service.keys.list())
