"""Questions with whole answers, over many kept connections at once; and what one of them costs the server."""

from __future__ import annotations

import asyncio
import json
import re
from urllib.parse import urlsplit

from _measure import cpu_of_tree
from _stage import Running

_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")
#: An old and long conversation: 200 KB of JSON.
_LONG = [
    {"role": ("user", "assistant")[number % 2], "content": 'She said: "not yet".\nWe waited, and it rained. ' * 42}
    for number in range(101)
]


def question(model: str, *, long: bool = False) -> bytes:
    """A body of 80 bytes, or of 200 KB."""
    messages = _LONG if long else [{"role": "user", "content": "Say hello."}]
    return json.dumps({"model": model, "messages": messages}).encode()


def cost(server: Running, body: bytes, count: int, connections: int = 16) -> float:
    """CPU us per request of the server and of what it started."""
    before = cpu_of_tree(server.pid)
    asyncio.run(ask(server, body, count, connections))
    return (cpu_of_tree(server.pid) - before) / count * 1e6


async def ask(server: Running, body: bytes, count: int, connections: int) -> None:
    """So many requests, each connection one after the other."""
    address = urlsplit(server.url)
    head = f"POST {address.path}/v1/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\n"
    head += (
        f"Authorization: Bearer {server.key}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request, numbers = head.encode() + body, iter(range(count))

    async def work() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for _ in numbers:
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(answer)
            if b" 200 " not in answer.partition(b"\r\n")[0] or length is None:
                raise SystemExit(f"no answer came: {answer.decode('latin-1')}")
            await reader.readexactly(int(length[1]))
            if not answer.startswith(b"HTTP/1.1"):  # an old server keeps no connection
                writer.close()
                reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.close()

    await asyncio.gather(*(work() for _ in range(connections)))
