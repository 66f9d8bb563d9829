"""Promises of the transport, kept against real sockets."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path

import httpx2
import pytest

from osaurus_nb.providers.dial import AddressPolicy, AddressRefused, TlsFailed
from osaurus_nb.providers.transport import GUARD, LeanTransport
from osaurus_nb.testing.loopback import Behaviour, LoopbackUpstream

pytestmark = pytest.mark.anyio

PRIVATE = AddressPolicy(private=True)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def client(**settings: object) -> httpx2.AsyncClient:
    timeout = settings.pop("timeout", 5.0)
    transport = LeanTransport(**{"guard": PRIVATE, **settings})  # type: ignore[arg-type]
    return httpx2.AsyncClient(transport=transport, trust_env=False, timeout=timeout)  # type: ignore[arg-type]


def ask(model: str = "m", *, stream: bool = False) -> dict[str, object]:
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello?"}]}


@asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that runs `serve` for every connection; gives its port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_a_connection_is_kept() -> None:
    """Requests that follow each other share one connection."""
    async with LoopbackUpstream() as upstream, client() as http:
        for stream in (False, True, False):
            response = await http.post(f"{upstream.url}/chat/completions", json=ask(stream=stream))
            assert response.status_code == 200

        assert (len(upstream.requests), upstream.connections) == (3, 1)


async def test_at_most_so_many_connections() -> None:
    """More requests than the limit wait, and all are served."""
    async with LoopbackUpstream() as upstream, client(per_origin=3) as http:
        asked = [http.post(f"{upstream.url}/chat/completions", json=ask("m?delay=0.01")) for _ in range(20)]

        answers = await asyncio.gather(*asked)

        assert {answer.status_code for answer in answers} == {200}
        assert upstream.connections == 3


async def test_the_longest_waiting_goes_first() -> None:
    """The queue for a connection is fair."""
    served: list[int] = []

    async def one(number: int) -> None:
        await http.post(f"{upstream.url}/chat/completions", json=ask("m?delay=0.005"))
        served.append(number)

    async with LoopbackUpstream() as upstream, client(per_origin=1) as http:
        await asyncio.gather(*(one(number) for number in range(8)))

    assert served == list(range(8))


async def test_waiting_for_a_connection_ends() -> None:
    """The pool timeout bounds the wait, and leaving the queue harms nobody."""
    async with LoopbackUpstream() as upstream, client(per_origin=1) as http:
        slow = asyncio.create_task(http.post(f"{upstream.url}/chat/completions", json=ask("m?delay=0.2")))
        await asyncio.sleep(0.05)

        with pytest.raises(httpx2.PoolTimeout):
            await http.get(f"{upstream.url}/models", timeout=httpx2.Timeout(5, pool=0.05))

        assert (await slow).status_code == 200
        assert (await http.get(f"{upstream.url}/models")).status_code == 200
        assert upstream.connections == 1


async def test_a_cancelled_turn_is_passed_on() -> None:
    """A request that gives up in the queue does not take its place along."""
    async with LoopbackUpstream() as upstream, client(per_origin=1) as http:
        url = f"{upstream.url}/chat/completions"
        tasks = [asyncio.create_task(http.post(url, json=ask("m?delay=0.03"))) for _ in range(6)]
        await asyncio.sleep(0.01)
        for task in tasks[1:5]:
            task.cancel()

        assert (await asyncio.wait_for(tasks[5], 2)).status_code == 200
        assert (await asyncio.wait_for(http.post(url, json=ask()), 2)).status_code == 200


async def test_a_dead_kept_connection_goes_unnoticed() -> None:
    """When the peer closed an idle connection, the next request takes a fresh one in silence."""
    async with LoopbackUpstream() as upstream, client() as http:
        await http.get(f"{upstream.url}/models")
        upstream.hang_up()
        await asyncio.sleep(0)  # closes the socket there; here only the kernel knows of it by now

        response = await http.get(f"{upstream.url}/models")

        assert response.status_code == 200
        assert upstream.connections == 2


async def test_idle_connections_are_closed() -> None:
    """A connection that nobody needs for a while does not stay open."""
    async with LoopbackUpstream() as upstream, client(idle_seconds=0.05) as http:
        await http.get(f"{upstream.url}/models")
        assert len(upstream.open_connections) == 1

        await asyncio.sleep(0.15)

        assert not upstream.open_connections


async def test_a_request_is_sent_once() -> None:
    """A request that met a closing connection is not sent again: the peer may have begun the work."""
    requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            requests += 1
            if requests == 2:
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with serving(serve) as port, client() as http:
        await http.post(f"http://127.0.0.1:{port}/")

        with pytest.raises(httpx2.ReadError):
            await http.post(f"http://127.0.0.1:{port}/")

        assert requests == 2


async def test_a_failure_leaves_no_stale_connections() -> None:
    """After one kept connection was found dead, a retry gets a fresh one."""
    async with LoopbackUpstream() as upstream, client() as http:
        url = f"{upstream.url}/chat/completions"
        await asyncio.gather(*(http.post(url, json=ask("m?delay=0.02")) for _ in range(4)))

        with pytest.raises(httpx2.ReadError):
            await http.post(url, json=ask("slammed"))
        await asyncio.sleep(0.02)

        assert not upstream.open_connections


async def test_bytes_arrive_as_they_come() -> None:
    """A streamed chunk is handed on at once, not when some buffer is full."""
    async with LoopbackUpstream() as upstream, client() as http:
        arrivals: list[float] = []
        url = f"{upstream.url}/chat/completions"
        async with http.stream("POST", url, json=ask("m?words=5&interval=0.04", stream=True)) as response:
            async for _ in response.aiter_raw():
                arrivals.append(time.monotonic())

    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    assert len([gap for gap in gaps if gap > 0.02]) >= 5


async def test_a_slow_reader_slows_the_sender() -> None:
    """An endless answer does not pile up while nobody reads it."""
    async with LoopbackUpstream() as upstream, client() as http:
        async with http.stream("POST", f"{upstream.url}/chat/completions", json=ask("endless", stream=True)) as answer:
            pieces = answer.aiter_raw()
            await anext(pieces)
            await asyncio.sleep(0.2)
            before = upstream.requests[0].sent
            await asyncio.sleep(0.2)
            still = upstream.requests[0].sent
            read = 0
            while read < still + (1 << 20):  # and it goes on once somebody reads
                read += len(await anext(pieces))

        assert before == still
        assert still < 16 << 20  # what the kernel's socket buffers hold


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_leaving_an_answer_hangs_up_at_once(how: str) -> None:
    """Closing a half-read answer, or cancelling its reader, closes the socket: that is how a cancel gets upstream."""
    async with LoopbackUpstream() as upstream, client() as http:
        started = asyncio.Event()

        async def read() -> None:
            request = ask("m?words=1000&interval=0.01", stream=True)
            async with http.stream("POST", f"{upstream.url}/chat/completions", json=request) as response:
                async for _ in response.aiter_raw():
                    started.set()
                    if how == "close":
                        break

        task = asyncio.create_task(read())
        await started.wait()
        left = time.monotonic()
        task.cancel() if how == "cancel" else await task
        await asyncio.wait_for(upstream.requests[0].finished.wait(), 1)

        assert upstream.requests[0].hung_up_at is not None
        assert upstream.requests[0].hung_up_at - left < 0.1
        assert (await http.get(f"{upstream.url}/models")).status_code == 200


async def test_cancelling_before_the_answer_hangs_up() -> None:
    """A request that is cancelled while the peer still thinks is hung up, too."""
    async with LoopbackUpstream() as upstream, client() as http:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await http.post(f"{upstream.url}/chat/completions", json=ask("silent?delay=5"))

        await asyncio.wait_for(upstream.requests[0].finished.wait(), 1)

        assert upstream.requests[0].hung_up_at is not None


async def test_a_reader_that_stops_at_the_last_event_keeps_the_connection() -> None:
    """Who stops at the end marker of a stream, with the body's own end already there, wastes no connection."""
    async with LoopbackUpstream() as upstream, client() as http:
        for _ in range(3):
            async with http.stream("POST", f"{upstream.url}/chat/completions", json=ask(stream=True)) as response:
                async for piece in response.aiter_raw():
                    if b"[DONE]" in piece:
                        break

        assert upstream.connections == 1


@pytest.mark.parametrize("model", ["silent?delay=5", "stall"])
async def test_silence_is_a_read_timeout(model: str) -> None:
    """A peer that stops sending, before or inside its answer, is given up in time."""
    async with LoopbackUpstream() as upstream, client(timeout=0.1) as http:
        began = time.monotonic()

        with pytest.raises(httpx2.ReadTimeout):
            await http.post(f"{upstream.url}/chat/completions", json=ask(model, stream=True))

        assert time.monotonic() - began < 1


async def test_a_later_wait_may_be_shorter() -> None:
    """Each request has its own read timeout on a kept connection."""
    async with LoopbackUpstream() as upstream, client(timeout=60.0) as http:
        await http.post(f"{upstream.url}/chat/completions", json=ask("m?delay=0.01"))

        with pytest.raises(httpx2.ReadTimeout):
            await asyncio.wait_for(
                http.post(f"{upstream.url}/chat/completions", json=ask("silent?delay=5"), timeout=0.05), 2
            )


async def test_a_peer_that_takes_nothing_is_a_write_timeout() -> None:
    """A large request to a peer that does not read is given up in time."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(5)

    async with serving(serve) as port, client(timeout=httpx2.Timeout(5, write=0.1)) as http:
        with pytest.raises(httpx2.WriteTimeout):
            await http.post(f"http://127.0.0.1:{port}/", content=bytes(64 << 20))


async def test_an_early_answer_ends_the_upload() -> None:
    """A peer that refuses a large request before reading it all is heard."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await asyncio.sleep(1)

    async with serving(serve) as port, client() as http:
        response = await http.post(f"http://127.0.0.1:{port}/", content=bytes(64 << 20))

    assert (response.status_code, response.content) == (413, b"big")


async def test_a_body_may_be_streamed() -> None:
    """A body of unknown length goes out in chunks."""

    async def body() -> AsyncIterator[bytes]:
        for piece in (b'{"model": "m",', b"", b'"messages": []}'):
            yield piece

    async with LoopbackUpstream() as upstream, client() as http:
        response = await http.post(f"{upstream.url}/chat/completions", content=body())

        assert response.status_code == 200
        assert upstream.requests[0].json == {"model": "m", "messages": []}


async def test_interim_answers_are_skipped() -> None:
    """100 and 103 are not the answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await asyncio.sleep(0.01)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        await asyncio.sleep(1)

    async with serving(serve) as port, client() as http:
        assert (await http.get(f"http://127.0.0.1:{port}/")).text == "hi"


async def test_an_answer_nobody_asked_for_is_never_read() -> None:
    """Bytes on an idle connection end it, so that no answer is taken for another's."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue")
        await asyncio.sleep(0.01)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse")
        await asyncio.sleep(1)

    async with serving(serve) as port, client() as http:
        for _ in range(3):
            assert (await http.get(f"http://127.0.0.1:{port}/")).text == "true"
            await asyncio.sleep(0.03)


@pytest.mark.parametrize("model", ["garbage", "cut"])
async def test_broken_answers_are_told(model: str) -> None:
    """What is not HTTP, or ends early, is a protocol error and not an answer."""
    async with LoopbackUpstream() as upstream, client() as http:
        with pytest.raises(httpx2.RemoteProtocolError):
            await http.post(f"{upstream.url}/chat/completions", json=ask(model))


async def test_single_bytes_make_the_same_answer() -> None:
    """An answer that drips in byte by byte is read like any other."""
    async with LoopbackUpstream() as upstream, client() as http:
        url = f"{upstream.url}/chat/completions"

        whole = await http.post(url, json=ask(stream=True))
        upstream.script["m"] = Behaviour(split=1)
        dripped = await http.post(url, json=ask(stream=True))

        assert dripped.content == whole.content


async def test_guards_do_not_share_connections() -> None:
    """A request under a stricter guard does not ride on a connection that a laxer one opened."""
    async with LoopbackUpstream() as upstream, client() as http:
        await http.get(f"{upstream.url}/models")

        with pytest.raises(AddressRefused):
            await http.get(f"{upstream.url}/models", extensions={GUARD: AddressPolicy()})

        assert len(upstream.requests) == 1


async def test_closing_ends_everything() -> None:
    """After `aclose` no socket is left, and a reader hears of the end."""
    async with LoopbackUpstream() as upstream:
        http = client()
        await http.get(f"{upstream.url}/models")
        request = http.build_request(
            "POST", f"{upstream.url}/chat/completions", json=ask("m?words=99&interval=1", stream=True)
        )
        response = await http.send(request, stream=True)

        await http.aclose()

        with pytest.raises(httpx2.RemoteProtocolError):
            await response.aread()
        await asyncio.sleep(0.02)
        assert not upstream.open_connections


async def _tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A proxy that opens the tunnel for who brings the password `b:c`."""
    asked = (await reader.readuntil(b"\r\n\r\n")).decode()
    if "Proxy-Authorization: Basic Yjpj\r\n" not in asked:
        writer.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
        return await asyncio.sleep(0.05)
    host, _, port = asked.split()[1].rpartition(":")
    far_reader, far_writer = await asyncio.open_connection(host, int(port))
    writer.write(b"HTTP/1.1 200 Go\r\n\r\n")
    await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))
    return None


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def test_a_proxy_tunnels() -> None:
    """With a proxy configured, requests go through its tunnel with its password."""
    async with LoopbackUpstream() as upstream, serving(_tunnel) as port:
        async with client(proxy=f"http://b:c@127.0.0.1:{port}") as http:
            response = await http.get(f"{upstream.url}/models")

        assert response.json()["object"] == "list"
        assert "proxy-authorization" not in upstream.requests[0].headers


async def test_a_proxy_may_refuse() -> None:
    """A proxy that opens no tunnel is named as the culprit."""
    async with serving(_tunnel) as port, client(proxy=f"http://127.0.0.1:{port}") as http:
        with pytest.raises(httpx2.ProxyError, match="407"):
            await http.get("http://example.com/")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for `localhost`, with its key in the same file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command")
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    subprocess.run([*command, "-keyout", path, "-out", path.with_suffix(".crt")], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


async def _hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")


def _server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@pytest.mark.parametrize("through_proxy", [False, True])
async def test_tls_with_a_trusted_certificate(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, through_proxy: bool
) -> None:
    """HTTPS works with what SSL_CERT_FILE trusts, directly and through a proxy, and the connection is kept."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with serving(_hello, _server_side(certificate)) as port, serving(_tunnel) as proxy:
        settings = {"proxy": f"http://b:c@127.0.0.1:{proxy}"} if through_proxy else {}
        async with client(**settings) as http:
            answers = [(await http.get(f"https://localhost:{port}/")).text for _ in range(3)]

    assert answers == ["hi"] * 3


async def test_tls_with_an_unknown_certificate(certificate: Path) -> None:
    """A certificate that nobody vouches for is refused, with the reason."""
    async with serving(_hello, _server_side(certificate)) as port, client() as http:
        with pytest.raises(TlsFailed, match="self-signed"):
            await http.get(f"https://localhost:{port}/")


async def test_tls_with_a_certificate_for_another_host(certificate: Path) -> None:
    """A trusted certificate counts only for the host it names."""
    context = ssl.create_default_context(cafile=str(certificate))
    async with serving(_hello, _server_side(certificate)) as port, client(tls=context) as http:
        with pytest.raises(TlsFailed, match="127.0.0.1"):
            await http.get(f"https://127.0.0.1:{port}/")


async def test_a_handshake_that_never_ends_is_a_connect_timeout() -> None:
    """Connecting includes the TLS handshake, and ends in time."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    async with serving(serve) as port, client(timeout=httpx2.Timeout(5, connect=0.1)) as http:
        with pytest.raises(httpx2.ConnectTimeout):
            await http.get(f"https://127.0.0.1:{port}/")


async def test_a_peer_that_speaks_no_tls_is_told() -> None:
    """HTTPS to a plain server is a TLS failure, not a hang."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await asyncio.sleep(0.2)

    async with serving(serve) as port, client() as http:
        with pytest.raises(TlsFailed):
            await http.get(f"https://127.0.0.1:{port}/")
