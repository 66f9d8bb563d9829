"""The yardsticks: what any endpoint costs that is mounted in this jupyter-server, in a process of its own.

    python benchmarks/_minimum.py UPSTREAM_URL        # prints a line of JSON: base URL and key

`/bare`     a stock authenticated `APIHandler` with a fixed answer of 830 bytes and no upstream: the least there is.
`/minimum`  the least that is a gateway: Jupyter's own key check, parse, another model's name, serialise, a kept
            connection to the upstream, the answer's usage and one row in memory. A stream is passed on piece by
            piece as it comes, unread. It plans, checks, retries and translates nothing and has no time limits.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import sys
import time
from collections import deque
from typing import Any
from urllib.parse import urlsplit

from jupyter_server.base.handlers import APIHandler
from tornado.web import authenticated

from osaurus_nb_server.standalone import Endpoint

ANSWER = json.dumps({"id": "chatcmpl-bare", "choices": [], "padding": "x" * 771}).encode()
#: What the upstream calls the models of ours; anything else is called as it is.
MODELS = {"fast": "m", "good": "m?words=64"}
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
#: Unread bytes after which the upstream has to wait.
_UNREAD = 64 * 1024


class Upstream(asyncio.Protocol):
    """One kept connection. `ask`, then `read` until it gives nothing."""

    def __init__(self) -> None:
        self._inbox = bytearray()
        self._left: int | None = None  # of a sized body; None for a chunked one
        self._waiter: asyncio.Future[None] | None = None
        self._paused = self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._wake()

    def data_received(self, data: bytes) -> None:
        self._inbox += data
        if len(self._inbox) > _UNREAD and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _more(self) -> None:
        if self._lost:
            raise ConnectionError("the upstream closed the connection")
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter
        self._waiter = None

    async def ask(self, request: bytes) -> None:
        self._transport.write(request)
        while (end := self._inbox.find(b"\r\n\r\n")) < 0:
            await self._more()
        if not self._inbox.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError("the upstream refused")
        found = _LENGTH.search(self._inbox, 0, end + 2)
        self._left = int(found[1]) if found else None
        del self._inbox[: end + 4]

    async def whole(self) -> bytes:
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    async def read(self) -> bytes:
        """All that has come of the body by now; nothing at its end."""
        if self._left is not None:
            while self._left and not self._inbox:
                await self._more()
            data = bytes(self._inbox[: self._left])
            self._left -= len(data)
            del self._inbox[: len(data)]
            return data
        while not (data := self._unchunked()) and not self._inbox.startswith(b"0\r\n\r\n"):
            await self._more()
        return data

    def _unchunked(self) -> bytes:
        inbox, pieces, at = self._inbox, [], 0
        while (line := inbox.find(b"\r\n", at)) >= 0:
            size = int(inbox[at:line], 16)
            if not size or len(inbox) < line + size + 4:
                break
            pieces.append(inbox[line + 2 : line + 2 + size])
            at = line + size + 4
        del inbox[:at]
        return b"".join(pieces)

    def end(self) -> bool:
        """Forget the end mark. May it be asked again?"""
        self._inbox.clear()
        return not self._lost and not self._paused


class Pool:
    """Kept connections to one upstream, the last used first."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname, address.port
        self._idle: list[Upstream] = []
        self._head = f"POST {address.path}/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\n"
        self._head += "Content-Type: application/json\r\nContent-Length: "

    async def ask(self, body: bytes) -> Upstream:
        if self._idle:
            upstream = self._idle.pop()
        else:
            loop = asyncio.get_running_loop()
            _, upstream = await loop.create_connection(Upstream, self._host, self._port)
        await upstream.ask(f"{self._head}{len(body)}\r\n\r\n".encode() + body)
        return upstream

    def give_back(self, upstream: Upstream) -> None:
        if upstream.end():
            self._idle.append(upstream)


class Bare(APIHandler):
    @authenticated
    def post(self) -> None:
        self.finish(ANSWER)


class Minimum(APIHandler):
    def initialize(self, pool: Pool, rows: deque[tuple[Any, ...]]) -> None:  # type: ignore[override]
        self._pool = pool
        self._rows = rows

    @authenticated
    async def post(self) -> None:
        began = time.monotonic()
        ask = json.loads(self.request.body)
        asked = ask["model"]
        ask["model"] = MODELS.get(asked, asked)
        upstream = await self._pool.ask(json.dumps(ask).encode())
        usage = await (self._pass_on(upstream) if ask.get("stream") else self._whole(upstream))
        self._pool.give_back(upstream)
        self._rows.append((time.time(), self.current_user.username, asked, usage, time.monotonic() - began))

    async def _whole(self, upstream: Upstream) -> Any:
        body = await upstream.whole()
        usage = json.loads(body).get("usage")
        await self.finish(body)
        return usage

    async def _pass_on(self, upstream: Upstream) -> None:
        self.request.connection.stream.set_nodelay(True)  # type: ignore[union-attr]  # it is HTTP/1
        self.set_header("Content-Type", "text/event-stream")
        while piece := await upstream.read():
            self.write(piece)
            await self.flush()
        await self.finish()


def serve(url: str) -> None:
    """On the same kind of server as ours: without Jupyter's own services."""
    token = secrets.token_hex(16)
    settings = {"ip": "127.0.0.1", "port": 0, "open_browser": False, "allow_root": True, "log_level": "WARN"}
    server = Endpoint.instance(no_browser_open_file=True, **settings)
    server.initialize(argv=[f"--IdentityProvider.token={token}"], find_extensions=False)
    given = {"pool": Pool(url), "rows": deque(maxlen=10_000)}
    server.web_app.add_handlers(  # type: ignore[no-untyped-call]
        ".*$", [("/bare/v1/chat/completions", Bare), ("/minimum/v1/chat/completions", Minimum, given)]
    )
    line = json.dumps({"url": f"http://127.0.0.1:{server.port}", "key": token})
    server.io_loop.add_callback(lambda: print(line, flush=True))
    server.start()


if __name__ == "__main__":
    serve(*sys.argv[1:])
