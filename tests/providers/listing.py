"""A server on loopback that answers each path as it is told, for tests of lists."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any


class ListServer:
    """`answers` maps a path, query included, to a status and a body; `otherwise` is for the rest, `delay` for all."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.otherwise: tuple[int, Any] = (404, {"error": {"message": "no such path"}})
        self.asked: list[str] = []
        self.headers: list[str] = []
        self.delay = 0.0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, _, rest = head.decode("latin-1").partition("\r\n")
                if "content-length:" in rest.lower():
                    await reader.readexactly(int(rest.lower().split("content-length:")[1].split("\r\n")[0]))
                path = first.split(" ")[1]
                self.asked.append(path)
                self.headers.append(rest)
                await asyncio.sleep(self.delay)
                status, body = self.answers.get(path, self.otherwise)
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%s" % (status, len(data), data))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def listing(*ids: str) -> dict[str, Any]:
    """Models as OpenAI lists them."""
    return {"object": "list", "data": [{"id": id, "object": "model"} for id in ids]}


@asynccontextmanager
async def serving(*ids: str, tls: ssl.SSLContext | None = None) -> AsyncGenerator[ListServer, None]:
    """A server that lists these at /v1/models."""
    told = ListServer()
    told.answers["/v1/models"] = (200, listing(*ids))
    server = await asyncio.start_server(told.serve, "127.0.0.1", 0, ssl=tls)
    told.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield told
    finally:
        server.close()
