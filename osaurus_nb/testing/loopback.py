"""An OpenAI-compatible upstream on 127.0.0.1 that misbehaves on request. For tests and benchmarks; any key is good.

The model name says how it behaves: a preset (`tool-call`, `cut`, `garbage`, see `PRESETS`), or any name followed by
a query, which also refines a preset: `some-model?words=20&interval=0.01`, `slow?status=503&delay=0.2`, `cut?cut=5`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self

from osaurus_nb.testing.loopback_answers import PRESETS, Behaviour, answer, fixed

__all__ = ["PRESETS", "Behaviour", "Drop", "LoopbackUpstream", "Recorded", "serve"]


class Drop(Enum):
    """How a connection is dropped: closed, or reset."""

    CLOSE = "close"
    RESET = "reset"


@dataclass(slots=True)
class Recorded:
    """One request as it arrived, and what became of it. `hung_up_at` is when the client left an unfinished answer."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    sent: int = 0
    hung_up_at: float | None = None
    finished: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def key(self) -> str:
        """The key it came with, in whichever header; empty for none."""
        found = (self.headers.get(name) for name in ("authorization", "x-api-key", "api-key", "x-goog-api-key"))
        return next((key.removeprefix("Bearer ") for key in found if key), "")

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


class LoopbackUpstream:
    """`async with LoopbackUpstream() as upstream:` serves models, chat completions and embeddings at `upstream.url`.

    `script` overrides the behaviour of whole model names, `keys` that of all that is asked with these keys, whatever it
    is. `requests` records all that arrived; `connections` counts
    how many connections were ever opened, `open_connections` those that are still there.
    """

    def __init__(
        self,
        script: Mapping[str, Behaviour] | None = None,
        *,
        models: tuple[str, ...] = ("loopback",),
        keys: Mapping[str, Behaviour] | None = None,
        port: int = 0,
    ) -> None:
        self.script = dict(script or {})
        self.keys = dict(keys or {})
        self.models = models
        self.requests: list[Recorded] = []
        self.connections = 0
        self.open_connections: set[_Connection] = set()
        self._port = port
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self._port, backlog=1024)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.hang_up()
        await asyncio.sleep(0)

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        """The base URL that a provider is configured with."""
        return f"http://127.0.0.1:{self._port}/v1"

    def hang_up(self) -> None:
        """Drop every connection, idle or not."""
        for connection in tuple(self.open_connections):
            connection.abort()

    def behaviour(self, model: str) -> Behaviour:
        return self.script.get(model) or Behaviour.of(model)

    def pieces(self, request: Recorded) -> AsyncIterator[bytes | Drop]:
        """What goes out, in the order and at the pace that was asked for."""
        return _pieces(request, self)


class _Connection(asyncio.Protocol):
    """One accepted connection: reads requests one after the other and answers each in a task."""

    def __init__(self, upstream: LoopbackUpstream) -> None:
        self._upstream = upstream
        self._inbox = bytearray()
        self._current: Recorded | None = None
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._upstream.connections += 1
        self._upstream.open_connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._upstream.open_connections.discard(self)
        self._writable.set()
        if self._current is not None:
            self._current.hung_up_at = time.monotonic()
            self._current.finished.set()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._inbox += data
        self._take_request()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def abort(self) -> None:
        self._transport.abort()

    def drop(self, how: Drop) -> None:
        if how is Drop.RESET:
            link: socket.socket = self._transport.get_extra_info("socket")
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _take_request(self) -> None:
        if self._current is not None:
            return
        request, used = _parse(self._inbox)
        if request is None:
            return
        del self._inbox[:used]
        self._current = request
        self._upstream.requests.append(request)
        self._task = asyncio.get_running_loop().create_task(self._answer(request))

    async def _answer(self, request: Recorded) -> None:
        async for piece in self._upstream.pieces(request):
            if isinstance(piece, Drop):
                self._current = None
                request.finished.set()
                self.drop(piece)
                return
            await self._send(piece, request)
        self._current = None
        request.finished.set()
        self._take_request()

    async def _send(self, piece: bytes, request: Recorded) -> None:
        self._transport.write(piece)
        request.sent += len(piece)
        if self._transport.is_closing():  # a closed transport never asks to pause: wait here for `connection_lost`
            await asyncio.Event().wait()
        if not self._writable.is_set():
            await self._writable.wait()


async def _pieces(request: Recorded, upstream: LoopbackUpstream) -> AsyncIterator[bytes | Drop]:
    ask = request.json if request.body else {}
    by_key = upstream.keys.get(request.key)
    behaviour = by_key or upstream.behaviour(str(ask.get("model", "")))
    if behaviour.delay:
        await asyncio.sleep(behaviour.delay)
    target = f"{request.method} {request.path}"
    parts = answer(target, ask, behaviour, upstream.models) if by_key is None else fixed(behaviour)
    for number, part in enumerate(parts):
        if number > 1 and behaviour.interval:
            await asyncio.sleep(behaviour.interval)
        if behaviour.stall is not None and number > behaviour.stall:
            await asyncio.Event().wait()
        if behaviour.cut is not None and number > behaviour.cut:
            yield Drop.CLOSE
        size = behaviour.split or len(part) or 1
        for start in range(0, len(part) or 1, size):
            yield part[start : start + size]
            if behaviour.split:
                await asyncio.sleep(0)
    if behaviour.raw is not None:
        yield Drop.CLOSE


def _parse(inbox: bytearray) -> tuple[Recorded | None, int]:
    """The first complete request in the buffer and its length, or None. Trusts its client: it is a test double."""
    end = inbox.find(b"\r\n\r\n")
    if end < 0:
        return None, 0
    first, *lines = inbox[:end].decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    start = end + 4
    if "chunked" in headers.get("transfer-encoding", ""):
        body, used = _unchunk(inbox, start)
    else:
        used = start + int(headers.get("content-length", 0))
        body = bytes(inbox[start:used]) if len(inbox) >= used else None
    if body is None:
        return None, 0
    return Recorded(method, path.partition("?")[0], headers, body, time.monotonic()), used


def _unchunk(inbox: bytearray, at: int) -> tuple[bytes | None, int]:
    body = b""
    while (line := inbox.find(b"\r\n", at)) >= 0:
        size = int(inbox[at:line], 16)
        at = line + 2 + size + 2
        if len(inbox) < at:
            break
        if size == 0:
            return body, at
        body += inbox[line + 2 : at - 2]
    return None, 0


async def serve(port: int = 0) -> None:
    """Print the URL, then serve until killed: the upstream as a process of its own, for benchmarks."""
    async with LoopbackUpstream(port=port) as upstream:
        sys.stdout.write(upstream.url + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*map(int, sys.argv[1:2])))
