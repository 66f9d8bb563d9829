"""Pours one stream of events out to one client, no faster than the client reads.

The head of the response waits for the first word: a failure before it is a proper status, one after it is told in
band. A long silence is broken by comments, before the first word too; then the status is spoken for.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

from tornado.iostream import IOStream, StreamClosedError

from osaurus_nb.errors import OsaurusError
from osaurus_nb.events import (
    Event,
    Failed,
    Finished,
    ReasoningDelta,
    Relayed,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    Warned,
)
from osaurus_nb_server.dialect import Encoder
from osaurus_nb_server.handlers import faults
from osaurus_nb_server.handlers.base import ApiHandler, log
from osaurus_nb_server.handlers.route import Route

_ANSWERING = (TextDelta, ReasoningDelta, ToolCallStarted, ToolCallDelta, Finished)


class Outlet:
    """One streamed response. Made for one `pour`.

    What a provider wrote in the caller's own dialect is poured as it is; an encoder is made when one is needed.
    """

    def __init__(self, handler: ApiHandler, encoder: Callable[[], Encoder], route: Route) -> None:
        self._handler = handler
        self._encoder = encoder
        self._relayed = 0
        self._route = route
        self._ping_after = handler.service.ping_after
        self._loop = asyncio.get_running_loop()
        self._stream: IOStream = handler.request.connection.stream  # type: ignore[union-attr]  # Jupyter serves HTTP/1 only
        self._held = b""
        self._open = False
        self._writing = False
        self._wrote_at = self._loop.time()

    async def pour(self, events: AsyncIterator[Event]) -> None:
        """Write all of it. Raises what failed before the first word; StreamClosedError when the client left."""
        self._timer = self._loop.call_later(self._ping_after, self._ping)
        try:
            await self._relay(events)
        finally:
            self._timer.cancel()
        self._start()
        ending = self._handler.dialect.end if self._relayed else self._encoder().close()
        await self._handler.finish(self._held + ending)

    async def _relay(self, events: AsyncIterator[Event]) -> None:
        try:
            async for event in events:
                if self._open:
                    await self._write(self._bytes(event))
                else:
                    await self._admit(event)
        except OsaurusError as error:
            if not self._open:
                raise
            await self._write(self._bytes(Failed(error)))
        except StreamClosedError:  # the client left: nobody can be told
            raise
        except Exception as exc:  # the handlers' edge: a fault of ours must not look like the end of the answer
            if not self._open:
                raise
            log.error("A stream broke off with %s", type(exc).__name__)
            await self._write(self._bytes(Failed(faults.Internal("Something failed in the server."))))

    def _bytes(self, event: Event) -> bytes:
        """What the client gets of an event: nothing, where the provider's own bytes say it."""
        if isinstance(event, Relayed):
            self._relayed += event.frames
            return event.data
        if not self._relayed:
            return self._encoder().encode(event)
        if not isinstance(event, Failed):
            return self._aside(event) if isinstance(event, Warned) and self._open else b""
        return self._encoder().encode(Relayed(b"", self._relayed)) + self._encoder().encode(event)

    def _aside(self, event: Warned) -> bytes:
        """That a relayed answer was empty, once the headers are gone: a comment, where clients bear one.

        The decoder's other warnings are about what it cannot read, and the provider's own bytes can hold that.
        """
        comments = self._handler.dialect.stream_type == "text/event-stream" and self._handler.codec.PING.strip()
        if event.code != "empty_answer" or not comments:
            return b""
        said = {"osaurus": {"warnings": [{"code": event.code, "message": event.message, "param": event.param}]}}
        return b": " + json.dumps(said, separators=(",", ":")).encode() + b"\n\n"

    async def _admit(self, event: Event) -> None:
        """An event before the head went out: the first word sends it, with everything held so far."""
        if isinstance(event, Failed):
            raise event.error
        self._route.note(event)
        self._held += self._bytes(event)
        if isinstance(event, _ANSWERING) or (isinstance(event, Relayed) and event.token):
            self._start()
            await self._write(b"")

    def _start(self) -> None:
        if self._open:
            return
        self._open = True
        self._handler.without_compression()
        self._handler.set_header("Content-Type", self._handler.dialect.stream_type)
        self._handler.set_header("Cache-Control", "no-cache, no-transform")
        self._handler.set_header("X-Accel-Buffering", "no")
        for name, value in self._route.headers():
            self._handler.set_header(name, value)

    async def _write(self, data: bytes) -> None:
        """Returns when the client's connection took the bytes: a slow reader holds the model's stream back."""
        if self._held:
            data, self._held = self._held + data, b""
        if not data:
            return
        self._writing = True
        self._handler.write(data)
        taken = self._handler.flush()
        if self._stream.writing():  # else they are with the system already, and waiting costs a turn of the loop
            await taken
        self._writing = False
        self._wrote_at = self._loop.time()

    def _ping(self) -> None:
        """Runs between events. While bytes are still on their way to the client there is no silence to break."""
        now = self._loop.time()
        if self._writing:
            self._wrote_at = now
        elif now >= self._wrote_at + self._ping_after:
            self._start()
            self._handler.write(self._held + self._handler.codec.PING)
            self._held = b""
            self._handler.flush()
            self._wrote_at = now
        self._timer = self._loop.call_at(self._wrote_at + self._ping_after, self._ping)
