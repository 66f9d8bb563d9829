"""One HTTP/1.1 connection: writes a request, reads the answer as it comes. Never sends a request twice.

A slow reader pauses the socket, so an answer never piles up in memory; `abort` drops the connection at once, which
is how a cancel reaches the provider.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import httpx2

from osaurus_nb.providers.http1 import Body, Head, RawHeaders, SizedBody, body_of, encode_head, take_head

#: Bytes that may wait unread before the socket is paused (one read of asyncio may add 256 KiB).
MAX_UNREAD = 64 * 1024
WRITE_SLICE = 64 * 1024
MAX_INTERIM = 16


@dataclass(frozen=True, slots=True)
class Spans:
    """The timeouts of one request, in seconds. None lifts one."""

    connect: float | None = None
    read: float | None = None
    write: float | None = None
    pool: float | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request as it goes on the wire. A body that is not in memory comes from `stream`."""

    method: str
    target: bytes
    headers: RawHeaders
    content: bytes | None
    spans: Spans
    stream: httpx2.AsyncByteStream | None = None

    @property
    def chunked(self) -> bool:
        return any(name.lower() == b"transfer-encoding" for name, _ in self.headers)


class Connection(asyncio.Protocol):
    """Carries one exchange at a time: `send`, then `read` until the body is `done`, then perhaps another `send`."""

    def __init__(self, *, opened: Callable[[Connection], None], lost: Callable[[Connection], None]) -> None:
        self._opened = opened
        self._lost = lost
        self._inbox = bytearray()
        self._body: Body = SizedBody(0)
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._late: type[httpx2.TimeoutException] = httpx2.ReadTimeout
        self._paused = False
        self._writable = True
        self._closed = False
        self._fault: Exception | None = None
        self._reusable = False

    # The event loop's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._fd = int(transport.get_extra_info("socket").fileno())
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        self._inbox += data
        if len(self._inbox) > MAX_UNREAD and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._fault = exc
        self._writable = True
        if self._timer is not None:
            self._timer.cancel()
        self._wake()
        self._lost(self)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._wake()

    # The caller's side

    @property
    def done(self) -> bool:
        """Has the whole answer been read?"""
        return self._body.done

    @property
    def reusable(self) -> bool:
        """May another request be sent, as far as the last exchange and the transport know?"""
        return self._reusable and self._body.done and not self._inbox and not self._transport.is_closing()

    def is_fresh(self) -> bool:
        """Is an idle connection still open and silent? Asks the kernel, for the loop may not have seen the end yet."""
        if not self.reusable:
            return False
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return not poll.poll(0)

    def abort(self) -> None:
        """Drop the connection now; unsent bytes are thrown away."""
        self._reusable = False
        self._transport.abort()

    async def tunnel(self, authority: bytes, headers: RawHeaders, spans: Spans) -> None:
        """Ask a proxy for a way through to `authority` (host and port). Raises ProxyError when it does not open one."""
        self._transport.write(encode_head("CONNECT", authority, headers))
        answer = await self._read_head(spans)
        if not 200 <= answer.status < 300:
            raise httpx2.ProxyError(f"the proxy answered {answer.status}")
        if self._inbox:
            raise httpx2.ProxyError("the proxy spoke before the tunnel was used")

    async def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Speak TLS from here on."""
        secured = await self._loop.start_tls(self._transport, self, context, server_hostname=host)
        assert secured is not None
        self._transport = secured

    async def send(self, request: Outgoing) -> Head:
        """Send `request` and return the head of its answer. After an exception the connection is of no more use."""
        self._reusable = False
        self._body = SizedBody(0)
        head = encode_head(request.method, request.target, request.headers)
        complete = await self._send(head, request)
        answer = await self._read_head(request.spans)
        self._body = body_of(answer, request.method)
        self._reusable = complete and answer.keeps_alive
        return answer

    async def read(self, span: float | None) -> bytes:
        """The next bytes of the body, as soon as there are any; empty when it is complete."""
        while not self._body.done:
            if self._inbox and (data := self._take()):
                return data
            if self._closed and not self._body.done:
                self._raise_fault()
                self._body.end()
            elif not self._body.done:
                await self._wait(span, httpx2.ReadTimeout)
        return b""

    def finish(self) -> bool:
        """Is the body complete with what has arrived? A reader may stop at the last event, just before the end mark."""
        if self._inbox and not self._body.done:
            try:
                self._take()
            except httpx2.RemoteProtocolError:
                return False
        return self._body.done

    def _take(self) -> bytes:
        data = self._body.take(self._inbox)
        self._resume()
        return data

    async def _send(self, head: bytes, request: Outgoing) -> bool:
        """Was the whole request sent? It stops early when the answer comes first."""
        spans, chunked = request.spans, request.chunked
        if request.content is not None:
            return await self._write(head + request.content, spans)
        await self._write(head, spans)
        assert request.stream is not None
        async for piece in request.stream:
            framed = b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
            if piece and not await self._write(framed, spans):
                return False
        return await self._write(b"0\r\n\r\n", spans) if chunked else True

    async def _write(self, data: bytes, spans: Spans) -> bool:
        if len(data) <= WRITE_SLICE:
            self._transport.write(data)
            return self._writable or await self._drain(spans)
        for start in range(0, len(data), WRITE_SLICE):
            self._transport.write(data[start : start + WRITE_SLICE])
            if not self._writable and not await self._drain(spans):
                return False
        return True

    async def _drain(self, spans: Spans) -> bool:
        """Wait until more can be written. False when the answer, or the end, comes before the request is out."""
        while not (self._writable or self._inbox or self._closed):
            await self._wait(spans.write, httpx2.WriteTimeout)
        return self._writable and not self._inbox and not self._closed

    async def _read_head(self, spans: Spans) -> Head:
        searched = interim = 0
        while True:
            head = take_head(self._inbox, searched) if self._inbox else None
            searched = len(self._inbox)
            if head is not None and head.status >= 200:
                self._resume()
                return head
            if head is not None:
                interim, searched = interim + 1, 0
                if head.status == 101 or interim > MAX_INTERIM:
                    raise httpx2.RemoteProtocolError("the answer is an upgrade or an endless row of interim answers")
            elif self._closed:
                self._raise_fault()
                raise httpx2.ReadError("the connection closed before an answer came")
            else:
                await self._wait(spans.read, httpx2.ReadTimeout)

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise httpx2.ReadError("the connection was lost") from self._fault

    def _resume(self) -> None:
        if self._paused and len(self._inbox) <= MAX_UNREAD:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    # Waiting: one future at a time, one timer that is moved only when it fires, for a stream waits very often

    async def _wait(self, span: float | None, late: type[httpx2.TimeoutException]) -> None:
        self._waiter = self._loop.create_future()
        self._late = late
        self._deadline = float("inf") if span is None else self._loop.time() + span
        if span is not None and (self._timer is None or self._timer.when() > self._deadline):
            self._set_timer()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done() or self._deadline == float("inf"):
            return
        if self._loop.time() < self._deadline:
            self._set_timer()
        else:
            self._waiter.set_exception(self._late("no byte moved in time"))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
