"""What a loopback upstream may answer: behaviours by name, and the bytes of each. Pure: no I/O, no clock."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from osaurus_nb.testing.vectors import vector

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


def answer(target: str, ask: Mapping[str, Any], how: Behaviour, models: Iterable[str]) -> Iterator[bytes]:
    """The bytes of one answer: the head, then the chunks; or one part when nothing is streamed."""
    if how.raw is not None:
        return iter((how.raw,))
    if target == "GET /v1/models":
        listed = {"object": "list", "data": [_listed(name) for name in models]}
        return iter((_whole(200, json.dumps(listed).encode()),))
    if target not in ("POST /v1/chat/completions", "POST /v1/embeddings"):
        return iter((_whole(404, _error(404, "no such path")),))
    if how.status != 200 or how.body is not None or how.bomb:
        return fixed(how)
    if target == "POST /v1/embeddings":
        return _slices(_whole(200, _vectors(ask), how), how)
    if not ask.get("stream"):
        return _slices(_whole(200, _completion(ask, how)), how)
    return _streamed(ask, how)


def fixed(how: Behaviour) -> Iterator[bytes]:
    """The bytes of an answer that is the same for every question: an error, or its very body."""
    body = _bomb(how.bomb) if how.bomb else how.body
    body = _error(how.status, "as asked for") if body is None else body
    return iter((_whole(how.status, body, how),))


def _vectors(ask: Mapping[str, Any]) -> bytes:
    """Plain numbers, also where packed ones were asked for: many servers know no other."""
    texts = [ask["input"]] if isinstance(ask["input"], str) else ask["input"]
    found = [vector(text, ask.get("dimensions") or 8) for text in texts]
    rows = [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(found)]
    used = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return json.dumps({"object": "list", "model": ask["model"], "data": rows, "usage": used}).encode()


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
