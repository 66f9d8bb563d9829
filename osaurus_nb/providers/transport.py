"""The transport behind the HTTP client: `httpx2.AsyncClient(transport=LeanTransport())`. HTTP/1.1, TLS always verified.

It replaces the stock transport, whose pool rescans every connection for every request. A request is sent once: when
a kept connection turns out to be dead before any byte was written, a fresh one is taken in silence; once a byte went
out, the failure is raised and the layer above decides, for the peer may have started the work. All idle connections
to that origin are dropped then, so that a retry gets a fresh one.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from functools import lru_cache, partial
from typing import NamedTuple
from urllib.parse import unquote

import httpx2

from osaurus_nb.providers.connection_pool import ConnectionPool
from osaurus_nb.providers.dial import AddressPolicy, Guard, TlsFailed, Within, check_unresolved, dial
from osaurus_nb.providers.http1 import Head
from osaurus_nb.providers.http1_connection import Connection, Outgoing, Spans

#: The key of `request.extensions` that holds a Guard for this one request.
GUARD = "osaurus.guard"


class Origin(NamedTuple):
    """What connections are kept by. The guard is part of it: no request rides on what a laxer one opened."""

    tls: bool
    host: str
    port: int
    guard: Guard


class LeanTransport(httpx2.AsyncBaseTransport):
    """Sends requests over kept connections, at most `per_origin` at once to one origin; more wait in order.

    `guard` decides which addresses may be dialled; `request.extensions[GUARD]` overrides it for one request.
    `proxy` is the URL of an HTTP proxy that tunnels (CONNECT) everything; names are resolved by it then.
    With `local_only` nothing outside this machine and its networks is dialled, whatever the guard of a request allows.
    """

    def __init__(
        self,
        *,
        guard: Guard | None = None,
        proxy: str | None = None,
        local_only: bool = False,
        per_origin: int = 256,
        idle_seconds: float = 30.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._guard: Guard = guard or AddressPolicy()
        self._local_only = local_only
        self._proxy = None if proxy is None else _proxy(proxy)
        self._pool: ConnectionPool[Origin, Connection] = ConnectionPool(limit=per_origin, idle_seconds=idle_seconds)
        self._open_connections: set[Connection] = set()
        self._tls = tls

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send `request`; the answer's body comes as it arrives. Raises httpx2's own exceptions."""
        head, body = await self.exchange(request.url, _outgoing(request), request.extensions.get(GUARD))
        return httpx2.Response(
            head.status,
            headers=head.headers,
            stream=body,
            extensions={"http_version": b"HTTP/1.%d" % head.minor_version, "reason_phrase": head.reason},
        )

    async def exchange(
        self, url: httpx2.URL, request: Outgoing, guard: Guard | None = None
    ) -> tuple[Head, httpx2.AsyncByteStream]:
        """The same without httpx2's own objects, which cost more than sending does."""
        origin, spans = self._origin(url, guard), request.spans
        connection = await self._connection(origin, spans)
        try:
            head = await connection.send(request)
        except BaseException as exc:
            self._pool.drop(origin, connection)
            if isinstance(exc, httpx2.ReadError | httpx2.RemoteProtocolError):
                self._pool.drop_idle(origin)
            raise
        return head, _Answer(connection, origin, self._pool, spans.read)

    async def aclose(self) -> None:
        """Close every connection; answers that are still being read end with an error."""
        self._pool.close()
        for connection in tuple(self._open_connections):
            connection.abort()
        await asyncio.sleep(0)  # lets the event loop really close the sockets

    def _origin(self, url: httpx2.URL, guard: Guard | None) -> Origin:
        tls, host, port = _endpoint(url)
        given = guard or self._guard
        return Origin(tls, host, port, Within(given) if self._local_only else given)

    async def _connection(self, origin: Origin, spans: Spans) -> Connection:
        try:
            return await self._pool.take(origin, partial(self._open, origin, spans), patience=spans.pool)
        except TimeoutError as exc:
            raise httpx2.PoolTimeout("no connection became free in time") from exc

    async def _open(self, origin: Origin, spans: Spans) -> Connection:
        try:
            async with asyncio.timeout(spans.connect):
                return await (self._direct(origin) if self._proxy is None else self._tunnel(origin, self._proxy))
        except TimeoutError as exc:
            raise httpx2.ConnectTimeout("no connection in time") from exc
        except ssl.SSLCertVerificationError as exc:
            raise TlsFailed(f"the certificate of {origin.host} was not accepted: {exc.verify_message}") from exc
        except (ssl.SSLError, OSError) as exc:
            raise TlsFailed(f"the TLS handshake with {origin.host} failed") from exc

    async def _direct(self, origin: Origin) -> Connection:
        sock = await dial(origin.host, origin.port, origin.guard)
        _, connection = await asyncio.get_running_loop().create_connection(
            partial(self._new, origin),
            sock=sock,
            ssl=self._context() if origin.tls else None,
            server_hostname=origin.host if origin.tls else None,
        )
        return connection

    async def _tunnel(self, origin: Origin, proxy: _Proxy) -> Connection:
        check_unresolved(origin.host, origin.guard)
        sock = await dial(proxy.host, proxy.port, AddressPolicy(private=True))
        _, connection = await asyncio.get_running_loop().create_connection(partial(self._new, origin), sock=sock)
        try:
            host = f"[{origin.host}]" if ":" in origin.host else origin.host
            authority = f"{host}:{origin.port}".encode("ascii")
            await connection.tunnel(authority, [(b"Host", authority), *proxy.headers], Spans())
            if origin.tls:
                await connection.secure(self._context(), origin.host)
        except BaseException:
            connection.abort()
            raise
        return connection

    def _new(self, origin: Origin) -> Connection:
        return Connection(opened=self._open_connections.add, lost=partial(self._lost, origin))

    def _lost(self, origin: Origin, connection: Connection) -> None:
        self._open_connections.discard(connection)
        self._pool.lost(origin, connection)

    def _context(self) -> ssl.SSLContext:
        """Made at the first need: it takes 15 ms. The system's trust store, or SSL_CERT_FILE where that is set."""
        if self._tls is None:
            self._tls = httpx2.create_ssl_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls


class _Answer(httpx2.AsyncByteStream):
    """A body on its way. Closing it before its end closes the connection."""

    def __init__(
        self,
        connection: Connection,
        origin: Origin,
        pool: ConnectionPool[Origin, Connection],
        timeout: float | None,
    ) -> None:
        self._connection = connection
        self._origin = origin
        self._pool = pool
        self._timeout = timeout
        self._over = False
        if connection.done:
            self._leave()

    # A plain iterator: a generator that its reader leaves would be closed later, by a task of its own.

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._over:
            raise StopAsyncIteration
        try:
            data = await self._connection.read(self._timeout)
        except BaseException:
            self._leave()
            raise
        if not data or self._connection.done:
            self._leave()  # before the reader sees the last bytes: it may well stop there
        if not data:
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._over:
            return
        self._over = True
        if self._connection.finish():
            self._pool.give_back(self._origin, self._connection)
        else:
            self._pool.drop(self._origin, self._connection)


class _Proxy(NamedTuple):
    host: str
    port: int
    headers: list[tuple[bytes, bytes]]


_PORTS = {"http": 80, "https": 443}


@lru_cache(maxsize=128)
def _endpoint(url: httpx2.URL) -> tuple[bool, str, int]:
    if url.scheme not in _PORTS:
        raise httpx2.UnsupportedProtocol("an address must start with http:// or https://")
    return url.scheme == "https", url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme]


def _outgoing(request: httpx2.Request) -> Outgoing:
    try:
        content, stream = request.content, None
    except httpx2.RequestNotRead:
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        content, stream = None, request.stream
    spans = Spans(**request.extensions.get("timeout", {}))
    return Outgoing(request.method, request.url.raw_path, request.headers.raw, content, spans, stream)


def _proxy(address: str) -> _Proxy:
    url = httpx2.URL(address)
    if url.scheme != "http" or not url.host:
        raise httpx2.UnsupportedProtocol("a proxy address must start with http://")
    userinfo = unquote(url.userinfo.decode("ascii")).encode()
    headers = [(b"Proxy-Authorization", b"Basic " + base64.b64encode(userinfo))] if userinfo else []
    return _Proxy(url.raw_host.decode("ascii"), url.port or 80, headers)
