"""A provider for benchmarks: cheap, in two dialects, and its streamed words may say when they were sent. Trusts all.

    python benchmarks/_upstream.py        # serves until it is ended, and prints its base URL

Chat Completions and Anthropic Messages, whole and streamed. The model's name asks for the answer: so many `words`,
one every `interval` seconds, 0 for no pause (each is then the moment of its sending by `time.monotonic_ns()`, a clock
that all processes of a machine share), or each of `size` bytes, as fast as they are taken: `m?words=9&interval=0.01`.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_LISTED = json.dumps({"object": "list", "data": [{"type": "model", "id": "m", "object": "model"}]}).encode()
#: Bytes that wait for a slow reader before the next word has to.
_WAITING = 64 * 1024


def paced(words: int, interval: float) -> str:
    """The name of a model that streams so many stamped words at this pace."""
    return f"m?words={words}&interval={interval}"


class Dialect(NamedTuple):
    """How an answer is written."""

    whole: Callable[[str], bytes]
    opening: bytes
    word: Callable[[str], bytes]
    closing: Callable[[Mapping[str, Any]], bytes]


def _event(payload: Mapping[str, Any]) -> bytes:
    name = f"event: {payload['type']}\n" if "type" in payload else ""
    return f"{name}data: {json.dumps(payload, separators=(',', ':'))}\n\n".encode()


# Chat Completions, as long-winded as the original: a short answer has 830 bytes.

_ID = "chatcmpl-BgW8q2xP7mDkYc5VnT0rLhEaZs41f"
_DETAILS = {
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
_USAGE = {"prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15, **_DETAILS}
_TAIL = {"service_tier": "default", "system_fingerprint": "fp_51d9e0b6c2"}


def _completion(text: str) -> bytes:
    message = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    head = {"id": _ID, "object": "chat.completion", "created": 1794300000, "model": "m-2026-08-07"}
    return json.dumps({**head, "choices": [choice], "usage": _USAGE, **_TAIL}, indent=2).encode()


def _chunk(delta: Mapping[str, Any], finish: str | None = None, usage: Mapping[str, Any] | None = None) -> bytes:
    choices = [] if usage else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    head = {"id": _ID, "object": "chat.completion.chunk", "created": 1794300000, "model": "m-2026-08-07", **_TAIL}
    return _event({**head, "choices": choices, **({"usage": usage} if usage else {})})


def _closing(ask: Mapping[str, Any]) -> bytes:
    wanted = (ask.get("stream_options") or {}).get("include_usage")
    return _chunk({}, "stop") + (_chunk({}, usage=_USAGE) if wanted else b"") + b"data: [DONE]\n\n"


CHAT = Dialect(
    _completion,
    _chunk({"role": "assistant", "content": "", "refusal": None}),
    lambda text: _chunk({"content": text}),
    _closing,
)

# Anthropic Messages.

_MESSAGE = {"id": "msg_01XqWf5vJgkT7cAb2yNdRePz", "type": "message", "role": "assistant", "model": "m-2026-08-07"}
_TOKENS = {"input_tokens": 9, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 6}


def _message(text: str) -> bytes:
    end = {"stop_reason": "end_turn", "stop_sequence": None, "usage": _TOKENS}
    return json.dumps({**_MESSAGE, "content": [{"type": "text", "text": text}], **end}).encode()


def _opened() -> bytes:
    start = {**_MESSAGE, "content": [], "stop_reason": None, "stop_sequence": None, "usage": _TOKENS}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    return _event({"type": "message_start", "message": start}) + _event(block)


_CLOSED = (
    _event({"type": "content_block_stop", "index": 0})
    + _event({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": _TOKENS})
    + _event({"type": "message_stop"})
)
MESSAGES = Dialect(
    _message,
    _opened(),
    lambda text: _event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
    lambda _: _CLOSED,
)
DIALECTS: Mapping[str, Dialect] = {"/v1/chat/completions": CHAT, "/v1/messages": MESSAGES}


class _Connection(asyncio.Protocol):
    """Takes one request after the other; a whole answer goes out at once, a stream has a task."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=_WAITING)
        self._transport = transport
        self._inbox = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._inbox += data
        end = self._inbox.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        found = _LENGTH.search(self._inbox, 0, end)
        length = int(found[1]) if found else 0
        if len(self._inbox) < end + length:
            return
        path = self._inbox.split(b" ", 2)[1].decode().partition("?")[0]
        body = bytes(self._inbox[end : end + length])
        del self._inbox[: end + length]
        self._answer(path, body)

    def _answer(self, path: str, body: bytes) -> None:
        if path not in DIALECTS:
            self._transport.write(_sized(_LISTED))
            return
        ask = json.loads(body)
        how = dict(parse_qsl(ask["model"].partition("?")[2]))
        words = int(how.get("words", 6))
        if not ask.get("stream"):
            self._transport.write(_sized(DIALECTS[path].whole(" ".join(["hello"] * words))))
        elif "interval" not in how and "size" not in how:
            text = DIALECTS[path].word("hello ") * words
            self._transport.write(_STREAM + _framed(DIALECTS[path].opening + text) + _last(DIALECTS[path].closing(ask)))
        else:
            self._task = asyncio.create_task(self._stream(DIALECTS[path], ask, how))

    async def _stream(self, dialect: Dialect, ask: Mapping[str, Any], how: Mapping[str, str]) -> None:
        words, interval, size = int(how["words"]), float(how.get("interval", 0)), int(how.get("size", 0))
        loop = asyncio.get_running_loop()
        self._transport.write(_STREAM + _framed(dialect.opening))
        due = loop.time()
        for _ in range(words):
            self._transport.write(_framed(dialect.word("x" * size or f"@{time.monotonic_ns()}")))
            due += interval
            await asyncio.sleep(due - loop.time() if interval else 0)
            await self._writable.wait()
        self._transport.write(_last(dialect.closing(ask)))


def _sized(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _last(data: bytes) -> bytes:
    return _framed(data) + b"0\r\n\r\n"


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
