"""The one HTTP door. It follows no redirect, keeps no cookie, reads no proxy or netrc from the environment.

    async with HttpDoor() as door, door.open(Call("https://api.example.com/v1/models", "GET")) as response:
        body = await read_capped(response)

`translate` and `status_error` turn its faults into our error tree.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from io import BytesIO
from typing import Self

import httpx2

from osaurus_nb._redaction import redact
from osaurus_nb.providers.dial import AddressPolicy, Guard
from osaurus_nb.providers.faults import AnswerTooLarge, status_error, translate
from osaurus_nb.providers.http1 import RawHeaders
from osaurus_nb.providers.http1_connection import Outgoing, Spans
from osaurus_nb.providers.transport import LeanTransport

__all__ = [
    "AddressPolicy",
    "Answer",
    "AnswerTooLarge",
    "Call",
    "HttpDoor",
    "capped",
    "read_capped",
    "read_start",
    "redact",
    "status_error",
    "translate",
]

MAX_BODY = 32 * 1024 * 1024
#: No error that anybody reads is longer.
MAX_REFUSAL = 1024 * 1024
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


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of one answer, names of headers in lower case, and its body on the way."""

    status_code: int
    headers: Mapping[str, str]
    stream: httpx2.AsyncByteStream

    def __repr__(self) -> str:
        return f"Answer({self.status_code})"


class HttpDoor:
    """One for each runtime: all requests share its connections and its TLS context.

    `guard` is asked about every address unless the call brings its own; `proxy` is the URL of an HTTP proxy.
    With `local_only` this holds for every call: nothing outside this machine and its networks is dialled.
    """

    def __init__(
        self,
        *,
        guard: Guard | None = None,
        proxy: str | None = None,
        per_origin: int = 256,
        local_only: bool = False,
    ) -> None:
        self._transport = LeanTransport(guard=guard, proxy=proxy, per_origin=per_origin, local_only=local_only)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    def open(self, call: Call) -> _Opened:
        """Send `call`: `async with door.open(call) as answer`. Its body streams, and is closed at the end of the block.

        Raises httpx2's exceptions.
        """
        return _Opened(self._transport, call)

    def client(self) -> httpx2.AsyncClient:
        """The whole `httpx2` API over the same connections, for libraries that ask for a client."""
        client = httpx2.AsyncClient(transport=self._transport, trust_env=False, headers=_HEADERS, timeout=60.0)
        client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))
        return client


class _Opened:
    """One exchange. Straight to the transport: the client's redirects, cookies, auth flows and log line (with the
    address, and some providers take keys there) are all unwanted here, and cost a third of the CPU of a request."""

    def __init__(self, transport: LeanTransport, call: Call) -> None:
        self._transport = transport
        self._call = call

    async def __aenter__(self) -> Answer:
        url = _url(self._call.url)
        head, self._body = await self._transport.exchange(url, _outgoing(self._call, url), self._call.guard)
        return Answer(head.status, _lowered(head.headers), self._body)

    async def __aexit__(self, *_: object) -> None:
        await self._body.aclose()


def capped(answer: Answer, limit: int = MAX_BODY) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises AnswerTooLarge once more than `limit` bytes came, counted after unpacking."""
    # What is not packed needs none of the layers that unpack: they cost more than reading does.
    return _Capped(_unpacked(answer) if "content-encoding" in answer.headers else aiter(answer.stream), limit)


def _unpacked(answer: Answer) -> AsyncIterator[bytes]:
    """Some servers pack what we asked them not to."""
    headers = {"content-encoding": answer.headers["content-encoding"]}
    return httpx2.Response(answer.status_code, headers=headers, stream=answer.stream).aiter_bytes()


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


async def read_capped(answer: Answer, limit: int = MAX_BODY) -> bytes:
    """The whole body. Raises AnswerTooLarge."""
    body = BytesIO()  # gives its bytes away without a copy
    async for piece in capped(answer, limit):
        body.write(piece)
    return body.getvalue()


async def read_start(answer: Answer) -> bytes:
    """The body of a refusal: all of it, or as much as is read of one without end."""
    body = bytearray()
    async for piece in capped(answer):
        body += piece
        if len(body) >= MAX_REFUSAL:
            break
    return bytes(body)


def _outgoing(call: Call, url: httpx2.URL) -> Outgoing:
    spans = Spans(call.connect, call.read, call.write, pool=call.read)
    sized = {"content-length": str(len(call.content))} if call.content or call.method == "POST" else {}
    fields = {"host": url.netloc.decode("ascii"), **_HEADERS, **call.headers, **sized}
    try:
        raw = [(name.encode("ascii"), value.encode("ascii")) for name, value in fields.items()]
    except UnicodeEncodeError:
        raise httpx2.LocalProtocolError("a header holds a character that is not ASCII") from None
    return Outgoing(call.method, url.raw_path, raw, call.content, spans)


def _lowered(headers: RawHeaders) -> Mapping[str, str]:
    """Of a name that comes twice the last value counts."""
    return {name.decode("ascii").lower(): value.decode("latin-1") for name, value in headers}


@lru_cache(maxsize=128)
def _url(url: str) -> httpx2.URL:
    """Parsing costs more than framing the whole request."""
    return httpx2.URL(url)
