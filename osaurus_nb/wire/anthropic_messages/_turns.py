"""Our messages become Anthropic's turns: system apart, tool results first and together, thinking only as signed."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.messages import Media, Message, Opaque, Part, Reasoning, Text, ToolCall, ToolResult
from osaurus_nb.wire._inbound import data_url
from osaurus_nb.wire._opaque import AS_SENT, own
from osaurus_nb.wire.anthropic_messages._versions import NAME

Block = dict[str, Any]
Content = str | list[Block]
_SYSTEM = ("system", "developer")


def encode(messages: Sequence[Message]) -> tuple[Content | None, list[dict[str, Any]], tuple[Warned, ...]]:
    """The system prompt, the turns, and what was moved or left out."""
    system = [part for message in messages if message.role in _SYSTEM for part in message.parts]
    said = [message for message in messages if message.role not in _SYSTEM]
    turns = [turn for group in _groups(said) if (turn := _turn(group)) is not None]
    return _content(_blocks(system)), turns, tuple(_warnings(messages))


def needs_old(turns: Iterable[Mapping[str, Any]]) -> bool:
    """Is there anything that the newer version of the API refuses?"""
    return any(
        (turn["role"] == "assistant" and block["type"] == "document")
        or (turn["role"] == "user" and block["type"] == "text" and "citations" in block)
        for turn in turns
        for block in turn["content"]
        if isinstance(block, dict)
    )


def _groups(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """Tool results in a row, with the user's words after them, are one turn."""
    group: list[Message] = []
    for message in messages:
        if group and not (group[-1].role == "tool" and message.role in ("tool", "user")):
            yield group
            group = []
        group.append(message)
    if group:
        yield group


def _turn(group: Sequence[Message]) -> dict[str, Any] | None:
    content = _content(_blocks(part for message in group for part in message.parts))
    role = "assistant" if group[0].role == "assistant" else "user"
    return None if content is None else {"role": role, "content": content}


def _content(blocks: Iterable[Block]) -> Content | None:
    """A single plain text as a string. The API refuses empty texts, so they are left out."""
    found = list(blocks)
    if len(found) == 1 and found[0].keys() == {"type", "text"}:
        return str(found[0]["text"])
    return found or None


def _blocks(parts: Iterable[Part]) -> Iterator[Block]:
    for part in parts:
        own_state = own(part.provider_metadata, NAME)
        if (as_sent := own_state.pop(AS_SENT, None)) is not None:
            yield dict(as_sent)
        elif (block := _block(part, own_state)) is not None:
            yield block


def _block(part: Part, state: dict[str, Any]) -> Block | None:
    match part:
        case Text(text=text):
            return {**state, "type": "text", "text": text} if text else None
        case Reasoning(text=text):
            return _thinking(text, state)
        case Media():
            return {**state, **_media(part)}
        case ToolCall(id=id, name=name):
            return {**state, "type": "tool_use", "id": _id(id), "name": name, "input": _arguments(part)}
        case ToolResult():
            return {**state, **_result(part)}


def _thinking(text: str, state: dict[str, Any]) -> Block | None:
    if "data" in state:
        return {"type": "redacted_thinking", "data": state["data"]}
    return {"type": "thinking", "thinking": text, "signature": state["signature"]} if "signature" in state else None


def _arguments(call: ToolCall) -> dict[str, Any]:
    try:
        value = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise RequestError(f"The arguments of the call of '{call.name}' are no JSON object.", param="messages")
    return value


def _result(result: ToolResult) -> Block:
    body: Block = {"type": "tool_result", "tool_use_id": _id(result.call_id)}
    content = _content(_blocks(result.parts))
    if content is not None:
        body["content"] = content
    if result.is_error:
        body["is_error"] = True
    return body


def _id(id: str) -> str:
    """The API takes letters, digits, `_` and `-`; whatever else another provider used is spelt by its number."""
    return re.sub(r"[^a-zA-Z0-9_-]", lambda found: f"_{ord(found[0]):x}", id) or "_"


def _media(media: Media) -> Block:
    if media.kind not in ("image", "document"):
        raise Unsupported(f"Anthropic takes no {media.kind}; send text, images or documents.", param="messages")
    block: Block = {"type": media.kind, "source": _source(media)}
    return block | ({"title": media.filename} if media.filename and media.kind == "document" else {})


def _source(media: Media) -> Block:
    kind, data = media.media_type, media.data
    if data is None and media.url and media.url.startswith("data:"):
        named, data = data_url(media.url, "url")
        kind = kind or named
    if data is None:
        return {"type": "url", "url": media.url or ""}
    if media.kind == "document" and (kind or "").startswith("text/"):
        return {"type": "text", "media_type": "text/plain", "data": _utf8(data)}
    default = "image/png" if media.kind == "image" else "application/pdf"
    return {"type": "base64", "media_type": kind or default, "data": base64.b64encode(data).decode()}


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise RequestError("A text document is not UTF-8.", param="messages") from None


def _warnings(messages: Sequence[Message]) -> Iterator[Warned]:
    talk = [at for at, message in enumerate(messages) if message.role not in _SYSTEM]
    if talk and any(message.role in _SYSTEM for message in messages[talk[0] :]):
        yield Warned("system_moved", "What the system said later was put in front of the conversation.", "messages")
    if any(message.name is not None for message in messages):
        yield Warned("parameter_dropped", "Anthropic has no names of speakers.", "messages.name")
    if strange := sorted({key for message in messages for key, value in message.extra.items() if value}):
        yield Warned("parameter_dropped", f"Anthropic's messages have no {', '.join(strange)}.", "messages")
    parts = [part for message in messages for part in message.parts]
    if any(isinstance(part, Media) and part.detail not in (None, "auto") for part in parts):
        yield Warned("parameter_dropped", "Anthropic has no 'detail' of an image.", "messages.detail")
    if any(isinstance(part, Reasoning) and part.text and not _signed(part.provider_metadata) for part in parts):
        yield Warned("reasoning_dropped", "Thinking that Anthropic did not sign was left out.", "messages")


def _signed(metadata: Opaque | None) -> bool:
    return not {"signature", "data"}.isdisjoint(own(metadata, NAME))
