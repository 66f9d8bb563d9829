"""An OpenAI-compatible upstream on 127.0.0.1 that misbehaves on request. For tests and benchmarks; it knows no key.

The model name says how it behaves: a preset (`tool-call`, `cut`, `garbage`, see `PRESETS`), or any name followed by
a query, which also refines a preset: `some-model?words=20&interval=0.01`, `slow?status=503&delay=0.2`, `cut?cut=5`.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import parse_qsl

GREETING = ("Hello", " from", " the", " loopback", " upstream", ".")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one request is answered. Times are seconds, counts are stream chunks, None means: it does not happen."""

    words: int | None = None  #: answer with so many numbered words instead of the greeting
    delay: float = 0.0  #: before the first byte
    interval: float = 0.0  #: between chunks
    status: int = 200
    cut: int | None = None  #: drop the connection after so many chunks
    stall: int | None = None  #: fall silent after so many chunks, connection open
    split: int | None = None  #: bytes per write
    endless: int = 0  #: repeat the words for ever
    tool: str = ""  #: ask for this function instead of answering
    finish: str = "stop"
    done: int = 1  #: end the stream with `[DONE]`
    retry_after: str = ""
    body: bytes | None = None  #: exactly this body
    content_type: str = ""
    encoding: str = ""
    raw: bytes | None = None  #: exactly these bytes, not even a head
    bomb: int = 0  #: a gzip body of so many MiB of zeros
    comments: int = 0  #: keep-alive comments for ever, and nothing else

    @classmethod
    def of(cls, model: str) -> Behaviour:
        """The behaviour that this model name asks for."""
        return _behaviour(model)

    def answer(self) -> tuple[str, ...]:
        return GREETING if self.words is None else tuple(f"w{n} " for n in range(self.words))


@dataclass(slots=True)
class Recorded:
    """One request as it arrived, and what became of it. `hung_up_at` is when the client left an unfinished answer."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    sent: int = 0
    hung_up_at: float | None = None
    finished: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


class LoopbackUpstream:
    """`async with LoopbackUpstream() as upstream:` serves `/v1/models` and `/v1/chat/completions` at `upstream.url`.

    `script` overrides the behaviour of whole model names. `requests` records all that arrived; `connections` counts
    how many connections were ever opened, `open_connections` those that are still there.
    """

    def __init__(
        self,
        script: Mapping[str, Behaviour] | None = None,
        *,
        models: tuple[str, ...] = ("loopback",),
        port: int = 0,
    ) -> None:
        self.script = dict(script or {})
        self.models = models
        self.requests: list[Recorded] = []
        self.connections = 0
        self.open_connections: set[_Connection] = set()
        self._port = port
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self._port, backlog=1024)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.hang_up()
        await asyncio.sleep(0)

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        """The base URL that a provider is configured with."""
        return f"http://127.0.0.1:{self._port}/v1"

    def hang_up(self) -> None:
        """Drop every connection, idle or not."""
        for connection in tuple(self.open_connections):
            connection.abort()

    def behaviour(self, model: str) -> Behaviour:
        return self.script.get(model) or Behaviour.of(model)


class _Connection(asyncio.Protocol):
    """One accepted connection: reads requests one after the other and answers each in a task."""

    def __init__(self, upstream: LoopbackUpstream) -> None:
        self._upstream = upstream
        self._inbox = bytearray()
        self._current: Recorded | None = None
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._upstream.connections += 1
        self._upstream.open_connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._upstream.open_connections.discard(self)
        self._writable.set()
        if self._current is not None:
            self._current.hung_up_at = time.monotonic()
            self._current.finished.set()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._inbox += data
        self._take_request()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def abort(self) -> None:
        self._transport.abort()

    def _take_request(self) -> None:
        if self._current is not None:
            return
        request, used = _parse(self._inbox)
        if request is None:
            return
        del self._inbox[:used]
        self._current = request
        self._upstream.requests.append(request)
        self._task = asyncio.get_running_loop().create_task(self._answer(request))

    async def _answer(self, request: Recorded) -> None:
        async for piece in _pieces(request, self._upstream):
            if piece is None:
                self._current = None
                request.finished.set()
                self._transport.abort()
                return
            await self._send(piece, request)
        self._current = None
        request.finished.set()
        self._take_request()

    async def _send(self, piece: bytes, request: Recorded) -> None:
        self._transport.write(piece)
        request.sent += len(piece)
        if not self._writable.is_set():
            await self._writable.wait()


async def _pieces(request: Recorded, upstream: LoopbackUpstream) -> AsyncIterator[bytes | None]:
    """What goes out, in the order and at the pace that was asked for. None drops the connection."""
    ask = request.json if request.body else {}
    behaviour = upstream.behaviour(str(ask.get("model", "")))
    if behaviour.delay:
        await asyncio.sleep(behaviour.delay)
    parts = _parts(request, ask, behaviour, upstream)
    for number, part in enumerate(parts):
        if number > 1 and behaviour.interval:
            await asyncio.sleep(behaviour.interval)
        if behaviour.stall is not None and number > behaviour.stall:
            await asyncio.Event().wait()
        if behaviour.cut is not None and number > behaviour.cut:
            yield None
        size = behaviour.split or len(part)
        for start in range(0, len(part), size):
            yield part[start : start + size]
            if behaviour.split:
                await asyncio.sleep(0)
    if behaviour.raw is not None:
        yield None


def _parts(request: Recorded, ask: Mapping[str, Any], how: Behaviour, upstream: LoopbackUpstream) -> Iterator[bytes]:
    """The head, then the chunks; or everything in one part when nothing is streamed."""
    if how.raw is not None:
        return iter((how.raw,))
    if request.path == "/v1/models":
        listed = {"object": "list", "data": [_listed(name) for name in upstream.models]}
        return iter((_whole(200, json.dumps(listed).encode()),))
    if request.path != "/v1/chat/completions" or request.method != "POST":
        return iter((_whole(404, _error(404, "no such path")),))
    if how.status != 200 or how.body is not None or how.bomb:
        body = _bomb(how.bomb) if how.bomb else how.body
        body = _error(how.status, "as asked for") if body is None else body
        return iter((_whole(how.status, body, how),))
    if not ask.get("stream"):
        return _slices(_whole(200, _completion(ask, how)), how)
    return _streamed(ask, how)


def _slices(answer: bytes, how: Behaviour) -> Iterator[bytes]:
    """One part, or as many as it takes for `cut` and `stall` to fall before the end."""
    limits = [limit for limit in (how.cut, how.stall) if limit is not None]
    size = -(-len(answer) // (min(limits) + 2)) if limits else len(answer)
    return (answer[start : start + size] for start in range(0, len(answer), size))


def _streamed(ask: Mapping[str, Any], how: Behaviour) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    while how.comments:
        yield _chunk(b": keep-alive\n\n")
    model = str(ask.get("model", ""))
    while True:
        for delta in _deltas(how):
            yield _event(model, [{"index": 0, "delta": delta, "finish_reason": None}])
        if not how.endless:
            break
    if how.finish:
        yield _event(model, [{"index": 0, "delta": {}, "finish_reason": _finish(how)}])
    if (ask.get("stream_options") or {}).get("include_usage"):
        yield _event(model, [], usage=_usage(how))
    yield (_chunk(b"data: [DONE]\n\n") if how.done else b"") + b"0\r\n\r\n"


def _deltas(how: Behaviour) -> Iterator[dict[str, Any]]:
    if not how.tool:
        yield {"role": "assistant", "content": ""}
        yield from ({"content": word} for word in how.answer())
        return
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": how.tool, "arguments": ""}}
    yield {"role": "assistant", "content": None, "tool_calls": [call]}
    for piece in ('{"city"', ': "Par', 'is"}'):
        yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


def _completion(ask: Mapping[str, Any], how: Behaviour) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(how.answer()), "refusal": None}
    if how.tool:
        function = {"name": how.tool, "arguments": '{"city": "Paris"}'}
        message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(how)}
    whole = {"id": "chatcmpl-loopback", "object": "chat.completion", "created": 0, "model": ask.get("model", "")}
    return json.dumps(whole | {"choices": [choice], "usage": _usage(how)}).encode()


def _event(model: str, choices: list[dict[str, Any]], **extra: Any) -> bytes:
    chunk = {"id": "chatcmpl-loopback", "object": "chat.completion.chunk", "created": 0, "model": model}
    return _chunk(b"data: " + json.dumps(chunk | {"choices": choices} | extra).encode() + b"\n\n")


def _finish(how: Behaviour) -> str:
    return "tool_calls" if how.tool and how.finish == "stop" else how.finish


def _usage(how: Behaviour) -> dict[str, int]:
    count = len(how.answer())
    return {"prompt_tokens": 7, "completion_tokens": count, "total_tokens": 7 + count}


def _listed(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "loopback"}


def _error(status: int, message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "loopback_error", "code": str(status)}}).encode()


def _whole(status: int, body: bytes, how: Behaviour | None = None) -> bytes:
    how = how or Behaviour()
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase if status in _STATUSES else ''}\r\n"
    head += f"Content-Type: {how.content_type or 'application/json'}\r\nContent-Length: {len(body)}\r\n"
    head += f"Content-Encoding: {how.encoding}\r\n" if how.encoding else ""
    head += f"Retry-After: {how.retry_after}\r\n" if how.retry_after else ""
    head += "Location: http://redirected.invalid/v1\r\n" if 300 <= status < 400 else ""
    return head.encode() + b"\r\n" + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _parse(inbox: bytearray) -> tuple[Recorded | None, int]:
    """The first complete request in the buffer and its length, or None. Trusts its client: it is a test double."""
    end = inbox.find(b"\r\n\r\n")
    if end < 0:
        return None, 0
    first, *lines = inbox[:end].decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    start = end + 4
    if "chunked" in headers.get("transfer-encoding", ""):
        body, used = _unchunk(inbox, start)
    else:
        used = start + int(headers.get("content-length", 0))
        body = bytes(inbox[start:used]) if len(inbox) >= used else None
    if body is None:
        return None, 0
    return Recorded(method, path.partition("?")[0], headers, body, time.monotonic()), used


def _unchunk(inbox: bytearray, at: int) -> tuple[bytes | None, int]:
    body = b""
    while (line := inbox.find(b"\r\n", at)) >= 0:
        size = int(inbox[at:line], 16)
        at = line + 2 + size + 2
        if len(inbox) < at:
            break
        if size == 0:
            return body, at
        body += inbox[line + 2 : at - 2]
    return None, 0


_STATUSES = frozenset(status.value for status in HTTPStatus)
_KINDS: dict[str, type] = {
    "int": int,
    "float": float,
    "str": str,
    "int | None": int,
    "bytes | None": str.encode,  # type: ignore[dict-item]
}


@lru_cache(maxsize=1)
def _bomb(mebibytes: int) -> bytes:
    return gzip.compress(bytes(mebibytes << 20), 9)


@lru_cache(maxsize=256)
def _behaviour(model: str) -> Behaviour:
    name, _, query = model.partition("?")
    kinds = {item.name: _KINDS[str(item.type)] for item in fields(Behaviour)}
    given = {key: kinds[key](value) for key, value in parse_qsl(query)}
    return replace(PRESETS.get(name, Behaviour()), **given)


#: Behaviours with a name of their own.
PRESETS: Mapping[str, Behaviour] = {
    "tool-call": Behaviour(tool="get_weather"),
    "cut": Behaviour(cut=3),
    "stall": Behaviour(stall=3),
    "silent": Behaviour(stall=0),
    "empty": Behaviour(words=0),
    "bytewise": Behaviour(split=1),
    "endless": Behaviour(endless=1),
    "comments": Behaviour(comments=1, interval=0.01),
    "unfinished": Behaviour(finish="", done=0),
    "rate-limited": Behaviour(status=429, retry_after="2"),
    "redirect": Behaviour(status=307),
    "page": Behaviour(body=b"<!doctype html><title>Portal</title>", content_type="text/html"),
    "error-in-200": Behaviour(body=_error(500, "as asked for")),
    "nothing": Behaviour(body=b""),
    "garbage": Behaviour(raw=b"\x00\xff\x13 this is not HTTP\r\n\r\n"),
    "slammed": Behaviour(raw=b""),
    "gzip-bomb": Behaviour(bomb=64, encoding="gzip"),
}


async def serve(port: int = 0) -> None:
    """Print the URL, then serve until killed: the upstream as a process of its own, for benchmarks."""
    async with LoopbackUpstream(port=port) as upstream:
        sys.stdout.write(upstream.url + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*map(int, sys.argv[1:2])))
