"""The one HTTP door. It follows no redirect, keeps no cookie, reads no proxy or netrc from the environment.

    async with HttpDoor() as door, door.open(Call("https://api.example.com/v1/models", "GET")) as response:
        body = await read_capped(response)

`translate` and `status_error` turn its faults into our error tree.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from typing import Self

import httpx2

from osaurus_nb._redaction import redact
from osaurus_nb.providers.dial import AddressPolicy, Guard
from osaurus_nb.providers.faults import AnswerTooLarge, retry_after, status_error, translate
from osaurus_nb.providers.transport import GUARD, LeanTransport

__all__ = [
    "AddressPolicy",
    "AnswerTooLarge",
    "Call",
    "HttpDoor",
    "capped",
    "read_capped",
    "redact",
    "retry_after",
    "status_error",
    "translate",
]

MAX_BODY = 32 * 1024 * 1024
#: Sent with every request. A compressed answer could unpack to a thousand times its size.
_HEADERS = {"user-agent": "osaurus-nb", "accept": "*/*", "accept-encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Call:
    """One request. Seconds: `connect` until the connection stands, `read` and `write` for each wait, None lifts it."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    connect: float | None = 5.0
    read: float | None = 120.0
    write: float | None = 60.0
    guard: Guard | None = None

    def __repr__(self) -> str:
        return f"Call({self.method} {_url(self.url).host!r})"


class HttpDoor:
    """One for each runtime: all requests share its connections and its TLS context.

    `guard` is asked about every address unless the call brings its own; `proxy` is the URL of an HTTP proxy.
    """

    def __init__(self, *, guard: Guard | None = None, proxy: str | None = None, per_origin: int = 256) -> None:
        self._transport = LeanTransport(guard=guard, proxy=proxy, per_origin=per_origin)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    @asynccontextmanager
    async def open(self, call: Call) -> AsyncIterator[httpx2.Response]:
        """Send `call`; its answer streams and is closed at the end of the block. Raises httpx2's exceptions."""
        # Straight to the transport: the client's redirects, cookies, auth flows and log line (with the address, and
        # some providers take keys there) are all unwanted here, and cost a quarter of the CPU of a request.
        request = _request(call)
        response = await self._transport.handle_async_request(request)
        response.request = request
        try:
            yield response
        finally:
            await response.aclose()

    def client(self) -> httpx2.AsyncClient:
        """The whole `httpx2` API over the same connections, for libraries that ask for a client."""
        client = httpx2.AsyncClient(transport=self._transport, trust_env=False, headers=_HEADERS, timeout=60.0)
        client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))
        return client


def capped(response: httpx2.Response, limit: int = MAX_BODY) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises AnswerTooLarge once more than `limit` bytes came, counted after unpacking."""
    packed = "content-encoding" in response.headers
    # What is not packed needs none of the layers that unpack: they cost more than reading does.
    return _Capped(response.aiter_bytes() if packed else aiter(response.stream), limit)  # type: ignore[arg-type]


class _Capped:
    """Counts what passes."""

    def __init__(self, pieces: AsyncIterator[bytes], limit: int) -> None:
        self._pieces = pieces
        self._limit = limit
        self._seen = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await anext(self._pieces)
        self._seen += len(piece)
        if self._seen > self._limit:
            raise AnswerTooLarge(f"the answer is larger than {self._limit} bytes")
        return piece


async def read_capped(response: httpx2.Response, limit: int = MAX_BODY) -> bytes:
    """The whole body. Raises AnswerTooLarge."""
    return b"".join([piece async for piece in capped(response, limit)])


def _request(call: Call) -> httpx2.Request:
    timeout = {"connect": call.connect, "read": call.read, "write": call.write, "pool": call.read}
    extensions = {"timeout": timeout} if call.guard is None else {"timeout": timeout, GUARD: call.guard}
    return httpx2.Request(
        call.method, _url(call.url), headers=_HEADERS | dict(call.headers), content=call.content, extensions=extensions
    )


@lru_cache(maxsize=128)
def _url(url: str) -> httpx2.URL:
    """Parsing costs more than framing the whole request."""
    return httpx2.URL(url)
