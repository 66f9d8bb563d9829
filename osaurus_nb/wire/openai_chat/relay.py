"""A Chat Completions body for a provider of Chat Completions, as the caller wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osaurus_nb.models import ModelCard
from osaurus_nb.request import ChatRequest, Sent
from osaurus_nb.wire import _relay
from osaurus_nb.wire._codec import Carried, Encoded
from osaurus_nb.wire._payloads import Frame
from osaurus_nb.wire.openai_chat import _turns, outbound
from osaurus_nb.wire.openai_chat.decode import event_decoder

_TOUCHED: _relay.Touched = {
    outbound.REASONER: ("max_tokens", *outbound.DEFAULT_ONLY),
    outbound.FEW_KNOBS: outbound.KNOBS,
    outbound.ALWAYS_THINKS: ("reasoning_effort",),
    outbound.THINKING_SWITCH: ("reasoning_effort",),
    outbound.TOOLS_ON_RESPONSES: ("tools",),
    outbound.TOOLS_UNTHINKING: ("tools",),
    outbound.PLAIN_SCHEMAS: (),
    outbound.STRICT_KEYS: None,
    _turns.SHORT_IDS: None,
    _turns.ECHO_REASONING: None,
    _turns.THINK_TAGS: None,
}


def read_head(body: bytes) -> _relay.Head | None:
    """What is needed of a request to know whom it may go to as it is; None where it has to be translated."""
    return _relay.read_head(body)


def relay(sent: Sent, request: ChatRequest, card: ModelCard) -> Carried | None:
    """The body with the model's name as the provider spells it. A stream is always asked to report its usage."""
    body = _relay.unchanged(sent, card, _TOUCHED)
    if body is None:
        return None
    body["model"] = card.id
    stream, wanted = request.delivery.stream, False
    if stream:
        options = body.get("stream_options")
        options = options if isinstance(options, dict) else {}
        wanted = bool(options.get("include_usage"))
        body["stream_options"] = {**options, "include_usage": True}

    def mend(frame: Frame) -> bytes:
        return _mended(frame, usage=wanted)

    words = _relay.Words(_words, b'"content":"', b'"content": "')
    return Carried(Encoded(body), event_decoder(card, _relay.relay(mend, stream=stream, words=words)))


def _words(data: bytes) -> int:
    """Chunks that hold a piece of text and nothing else that counts."""
    count = _relay.strict_events(data, b"data: {")
    if not count or b"tool_calls" in data or b'"error"' in data or b'"choices"' not in data:
        return 0
    texts = data.count(b'"delta":{"content":"') or data.count(b'"delta": {"content": "')
    nulls = data.count(b'"finish_reason":null') or data.count(b'"finish_reason": null')
    unused = data.count(b'"usage":null') or data.count(b'"usage": null')
    ends, used = data.count(b'"finish_reason"'), data.count(b'"usage"')
    return count if texts == count and nulls == ends and unused == used else 0


def _mended(frame: Frame, *, usage: bool) -> bytes:
    """A chunk that official parsers take: they want a list of choices, and to know which call a delta is about."""
    choices = frame.payload.get("choices")
    if not isinstance(choices, list) or (not choices and not usage and frame.payload.get("usage")):
        return b""
    if any(map(_lost, choices)):
        return b"data: " + _relay.rewritten({**frame.payload, "choices": [*map(_found, choices)]}) + b"\n\n"
    return _relay.data_line(frame)


def _calls(choice: Any) -> list[Any]:
    delta = choice.get("delta") if isinstance(choice, dict) else None
    calls = delta.get("tool_calls") if isinstance(delta, dict) else None
    return calls if isinstance(calls, list) else []


def _lost(choice: Any) -> bool:
    return any(isinstance(call, dict) and not isinstance(call.get("index"), int) for call in _calls(choice))


def _found(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """Calls without an index come whole, in their order."""
    calls = [{"index": at, **call} if isinstance(call, dict) else call for at, call in enumerate(_calls(choice))]
    return {**choice, "delta": {**choice["delta"], "tool_calls": calls}} if calls else choice
