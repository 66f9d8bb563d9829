"""What the reference Router may answer to a chat: behaviours by the model's name, and the lines of each. Pure.

`venice/model-b?status=503&times=2` fails twice for each key and then answers; see `RouterBehaviour`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import parse_qsl

from osaurus_nb.testing.router_books import Bill

WORDS = ("Hello", " from", " the", " loopback", " router", ".")
SAID: Mapping[str, tuple[int, str]] = {
    "UNAUTHORIZED": (401, "sign your request"),
    "INVALID_SIGNATURE": (401, "the signature is wrong"),
    "INSUFFICIENT_FUNDS": (402, "balance too low"),
    "ACCOUNT_FROZEN": (403, "account on hold"),
    "BELOW_MINIMUM_TOPUP": (400, "amount too small"),
    "MODEL_NOT_FOUND": (404, "no such model"),
    "NOT_FOUND": (404, "no such path"),
    "IDEMPOTENCY_CONFLICT": (409, "this idempotency key came with another body"),
    "RATE_LIMITED": (429, "slow down"),
    "INVALID_REQUEST": (400, "the request is malformed"),
    "PROVIDER_ERROR": (502, "the upstream failed"),
    "INTERNAL": (500, "an internal error"),
}

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RouterBehaviour:
    """How one chat is answered. Times are seconds, counts are stream chunks."""

    error: str = ""  #: refuse with this code and its status
    status: int = 0  #: refuse with this status and no JSON
    retry_after: str = ""
    times: int = 0  #: misbehave only so often for each key; 0 is always
    in_stream: str = ""  #: this code after the first words, inside the stream
    cut: int = 0  #: drop the connection after so many chunks; the charge stays
    empty: str = ""  #: one of the classes of empty answers
    split: int = 0  #: break each object over `data:` lines of so many characters
    bare: int = 0  #: 1: no `data:` at all, 2: one plain JSON object for the whole answer
    delay: float = 0.0  #: before the first byte
    interval: float = 0.0  #: between chunks
    words: int = -1  #: so many numbered words instead of the greeting
    finish: str = "stop"
    tool: str = ""  #: ask for this function instead of answering
    thinks: int = 0  #: with a thought in front
    summary: int = 1  #: 0: none, 2: one without an id, 3: one with a cost that is no number
    usage: int = 1  #: with a chunk of usage

    @classmethod
    def of(cls, model: str) -> RouterBehaviour:
        """The behaviour that this model name asks for."""
        given = dict(parse_qsl(model.partition("?")[2]))
        kinds = {"int": int, "float": float, "str": str}
        return cls(**{item.name: kinds[str(item.type)](given[item.name]) for item in fields(cls) if item.name in given})

    def answer(self) -> tuple[str, ...]:
        if self.empty or self.tool:
            return ()
        return WORDS if self.words < 0 else tuple(f"w{n} " for n in range(self.words))


def refusal(code: str) -> tuple[int, bytes]:
    """The status and the body of an error."""
    status, message = SAID.get(code, (400, "as asked for"))
    return status, json.dumps({"error": {"code": code, "message": message}}).encode()


def stream(model: str, words: Sequence[str], how: RouterBehaviour, bill: Bill) -> Iterator[bytes]:
    """The lines of one answer, chunk by chunk."""
    if how.empty == "raw-empty":
        return
    if how.bare == 2:
        yield json.dumps(_whole(model, words, how, bill), indent=2).encode()
        return
    for payload in _payloads(model, words, how, bill):
        yield written(payload, how)
    yield b"[DONE]\n" if how.bare else b"data: [DONE]\n\n"


def written(payload: Mapping[str, Any], how: RouterBehaviour) -> bytes:
    """One object, as properly as `how` wants."""
    text = json.dumps(payload)
    if how.bare:
        return text.encode() + b"\n"
    size = how.split or len(text)
    pieces = (text[start : start + size] for start in range(0, len(text), size))
    return "".join(f"data: {piece}\n" for piece in pieces).encode() + b"\n"


def _payloads(model: str, words: Sequence[str], how: RouterBehaviour, bill: Bill) -> Iterator[Payload]:
    if how.empty not in ("summary-only", "usage-only", "unrecognized-events"):
        yield from _chunks(model, words, how)
    if how.empty == "unrecognized-events":
        yield {"kind": "heartbeat"}
        return
    if how.usage and how.empty != "summary-only":
        yield _head(model) | {"choices": [], "usage": _usage(bill)}
    if how.summary and how.empty != "usage-only":
        yield {"osaurus": _summary(how, bill)}


def _chunks(model: str, words: Sequence[str], how: RouterBehaviour) -> Iterator[Payload]:
    yield _chunk(model, {"role": "assistant", "content": ""})
    if how.thinks:
        yield _chunk(model, {"reasoning_content": "Hm."})
    for number, word in enumerate(words):
        if how.in_stream and number == 2:
            break
        yield _chunk(model, {"content": word})
    if how.in_stream:
        yield {"error": {"code": how.in_stream, "message": SAID.get(how.in_stream, (0, "as asked for"))[1]}}
        return
    if how.tool:
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": how.tool, "arguments": ""}}
        yield _chunk(model, {"tool_calls": [call]})
        for piece in ('{"city": ', '"Paris"}'):
            yield _chunk(model, {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    yield _chunk(model, {}, "tool_calls" if how.tool else how.finish)


def _whole(model: str, words: Sequence[str], how: RouterBehaviour, bill: Bill) -> Payload:
    message = {"role": "assistant", "content": "".join(words)}
    choice = {"index": 0, "message": message, "finish_reason": how.finish}
    return _head(model) | {"choices": [choice], "usage": _usage(bill), "osaurus": _summary(how, bill)}


def _summary(how: RouterBehaviour, bill: Bill) -> Payload:
    said = bill.summary()
    if how.summary == 2:
        del said["request_id"]
    return said | ({"cost_micro": "much"} if how.summary == 3 else {})


def _usage(bill: Bill) -> Payload:
    used = {"prompt_tokens": bill.input_tokens, "completion_tokens": bill.output_tokens}
    return used | {"total_tokens": bill.input_tokens + bill.output_tokens}


def _head(model: str) -> Payload:
    return {"id": "chatcmpl-router", "object": "chat.completion.chunk", "created": 0, "model": model}


def _chunk(model: str, delta: Payload, finish: str | None = None) -> Payload:
    return _head(model) | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
