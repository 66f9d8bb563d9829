"""A bare client that notes when a stream begins, and how late each of its stamped words arrives.

It does nothing beyond framing and looking for stamps, which `_upstream.py` writes: moments of sending.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Self
from urllib.parse import urlsplit

_STAMP = re.compile(rb'@(\d+)(?=[@"])')  # words that came together may go on together


class Arrivals(NamedTuple):
    """Milliseconds: from the request to the first chunk, and of each chunk from its sending to its arrival."""

    first: float
    transits: list[float]


class Listener:
    """One kept connection to an OpenAI-compatible base URL."""

    def __init__(self, url: str, key: str = "") -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname or "127.0.0.1", address.port or 80
        self._head = f"POST {address.path}/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\n"
        self._head += "Content-Type: application/json\r\n" + (f"Authorization: Bearer {key}\r\n" if key else "")

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def listen(self, name: str) -> Arrivals:
        """Ask for one stream and note its chunks."""
        asked = time.monotonic_ns()
        await self._ask(name)
        first, transits, unread = 0, [], b""
        while not unread.endswith(b"0\r\n\r\n"):
            unread += await self._more()
            now, end = time.monotonic_ns(), 0
            for found in _STAMP.finditer(unread):
                first, end = first or now, found.end()
                transits.append((now - int(found[1])) / 1e6)
            unread = unread[end:]
        return Arrivals((first - asked) / 1e6, transits)

    async def stall(self, name: str, pause: Callable[[], Awaitable[None]]) -> int:
        """Ask for one stream, read nothing while `pause` lasts, then the rest. How many bytes came."""
        await self._ask(name)
        await pause()
        seen, tail = 0, b""
        while not tail.endswith(b"0\r\n\r\n"):
            data = await self._more()
            seen, tail = seen + len(data), (tail + data)[-5:]
        return seen

    async def _ask(self, name: str) -> None:
        body = json.dumps({"model": name, "stream": True, "messages": [{"role": "user", "content": "Go."}]}).encode()
        self._writer.write(f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise SystemExit(f"no stream came: {head.decode('latin-1')}")

    async def _more(self) -> bytes:
        data = await self._reader.read(65536)
        if not data:
            raise SystemExit("the stream broke off")
        return data
