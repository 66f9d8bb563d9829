"""A ChatRequest becomes the bytes that the Router is sent and charges for: always the same for the same step."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from osaurus_nb.errors import Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.messages import Message
from osaurus_nb.models import ModelCard
from osaurus_nb.request import ChatRequest
from osaurus_nb.wire import openai_chat
from osaurus_nb.wire._codec import Encoded
from osaurus_nb.wire.body import content

#: For a request that says none: an upstream's own cap cuts long runs of an agent in silence.
DEFAULT_MAX_TOKENS = 16_384
KEY, CLAMP = "idempotency_key", "clamp_to_balance"

Body = dict[str, Any]


@dataclass(frozen=True, slots=True, repr=False)
class Frozen:
    """The very bytes of one step at one candidate, and the key under which they are charged once."""

    key: str
    content: bytes

    def __repr__(self) -> str:
        return f"Frozen(…{self.key[-12:]}, {len(self.content)} bytes)"


def encode_request(request: ChatRequest, card: ModelCard) -> Encoded:
    """The body without its key. Raises Unsupported for what the Router cannot carry."""
    messages, told = _without_prefill(request.messages)
    sampling = request.sampling
    if sampling.max_output_tokens is None:
        sampling = replace(sampling, max_output_tokens=DEFAULT_MAX_TOKENS)
    encoded = openai_chat.encode_request(replace(request, messages=messages, sampling=sampling), card)
    body: Body = {CLAMP: False, **encoded.body, "messages": _merged(map(_spoken, encoded.body["messages"]))}
    return replace(encoded, body=body, warnings=(*told, *encoded.warnings))


def freeze(body: Mapping[str, Any], *, run: str, step: str, given: str | None = None) -> Frozen:
    """The bytes to send, each time the same. `given` is a caller's own key.

    Our key holds a digest of all that is sent, so that one key never stands for two bodies. With a caller's key, or
    one in the body, it is for the caller to send the same again: another body is then a conflict.
    """
    unsealed = {name: body[name] for name in sorted(body) if name != KEY}
    given = given or body.get(KEY)
    if given:
        key = f"{given}:0:{_digest(str(body.get('model')).encode())}"
    else:
        key = f"{run}:{step}:{_digest(content(unsealed))}"
    sealed = {**unsealed, KEY: key}
    return Frozen(key, content({name: sealed[name] for name in sorted(sealed)}))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _without_prefill(messages: Sequence[Message]) -> tuple[tuple[Message, ...], tuple[Warned, ...]]:
    """The Router's upstreams go on with no unfinished turn. One that calls tools is none."""
    end = len(messages)
    while end > 1 and messages[end - 1].role == "assistant" and not messages[end - 1].tool_calls:
        end -= 1
    if end == len(messages):
        return tuple(messages), ()
    said = "The Router continues no turn of the assistant: the last one was left out."
    return tuple(messages[:end]), (Warned("prefill_dropped", said, "messages"),)


def _spoken(message: Body) -> Body:
    """A turn of the assistant is always a string here, also beside calls."""
    if message["role"] != "assistant":
        return message
    return {**message, "content": _text(message.get("content"))}


def _text(said: str | Sequence[Mapping[str, Any]] | None) -> str:
    if said is None or isinstance(said, str):
        return said or ""
    if any(part.get("type") != "text" for part in said):
        raise Unsupported("The Router takes only text in a turn of the assistant.", param="messages")
    return "".join(part["text"] for part in said)


def _merged(messages: Iterable[Body]) -> list[Body]:
    """Within one run of results those for the same call become one: upstreams refuse two."""
    kept: list[Body] = []
    run: dict[str, Body] = {}
    for message in messages:
        id = message.get("tool_call_id")
        if message["role"] != "tool" or not isinstance(id, str):
            run = {}
        elif id in run:
            run[id]["content"] = _joined(run[id]["content"], message["content"])
            continue
        else:
            message = run[id] = dict(message)  # noqa: PLW2901 - a copy that may grow
        kept.append(message)
    return kept


def _joined(one: str | list[Body], other: str | list[Body]) -> str | list[Body]:
    if one == other:
        return one
    if isinstance(one, str) and isinstance(other, str):
        return f"{one}\n{other}"
    return [*_parts(one), *_parts(other)]


def _parts(said: str | list[Body]) -> list[Body]:
    return [{"type": "text", "text": said}] if isinstance(said, str) else said
