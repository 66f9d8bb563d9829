"""A paced upstream whose every chunk says when it was sent, and a bare client that notes how late each one arrives.

    python benchmarks/_stamped.py        # serves until it is ended, and prints its URL

The stamp is the chunk's text: `time.monotonic_ns()`, a clock that all processes of a machine share. The model's name
asks for the pace: `stamped?chunks=100&interval=0.01`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Mapping
from typing import NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

_STAMP = re.compile(rb'"content": ?"(\d+)"')
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def model(chunks: int, interval: float) -> str:
    return f"stamped?chunks={chunks}&interval={interval}"


class Arrivals(NamedTuple):
    """Milliseconds: from the request to the first chunk, and of each chunk from its sending to its arrival."""

    first: float
    transits: list[float]


class Listener:
    """One kept connection to an OpenAI-compatible base URL; it does nothing beyond framing and looking for stamps."""

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
        body = json.dumps({"model": name, "stream": True, "messages": [{"role": "user", "content": "Go."}]}).encode()
        asked = time.monotonic_ns()
        self._writer.write(f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise SystemExit(f"no stream came: {head.decode('latin-1')}")
        first, transits, unread = 0, [], b""
        while not unread.endswith(b"0\r\n\r\n"):
            unread += await self._more()
            now, end = time.monotonic_ns(), 0
            for found in _STAMP.finditer(unread):
                first, end = first or now, found.end()
                transits.append((now - int(found[1])) / 1e6)
            unread = unread[end:]
        return Arrivals((first - asked) / 1e6, transits)

    async def _more(self) -> bytes:
        data = await self._reader.read(65536)
        if not data:
            raise SystemExit("the stream broke off")
        return data


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            await _answer(json.loads(body), writer)
    writer.close()


async def _answer(ask: Mapping[str, str], writer: asyncio.StreamWriter) -> None:
    how = parse_qs(ask["model"].partition("?")[2])
    count, interval = int(how["chunks"][0]), float(how["interval"][0])
    loop = asyncio.get_running_loop()
    writer.write(_HEAD)
    due = loop.time()
    for _ in range(count):
        due += interval
        await asyncio.sleep(due - loop.time())
        writer.write(_event({"content": str(time.monotonic_ns())}))
    writer.write(_event({}, "stop") + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    await writer.drain()


def _event(delta: Mapping[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "chatcmpl-stamped", "object": "chat.completion.chunk", "created": 0, "model": "stamped"}
    return _framed(b"data: " + json.dumps({**chunk, "choices": [choice]}).encode() + b"\n\n")


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
