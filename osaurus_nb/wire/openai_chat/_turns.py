"""Our messages become those of Chat Completions, in the way that the model's family wants its thoughts and ids."""

from __future__ import annotations

import base64
import hashlib
import re
import string
from collections.abc import Iterator, Sequence
from typing import Any, Final

from osaurus_nb.errors import Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.messages import Media, Message, Reasoning, Text, ToolCall, ToolResult
from osaurus_nb.models import ModelCard

Body = dict[str, Any]

#: Cards with these quirks: see `models.Quirk`.
ECHO_REASONING: Final = "echo_reasoning"
SHORT_IDS: Final = "short_ids"
THINK_TAGS: Final = "think_tags"

_SHORT = re.compile(r"[a-zA-Z0-9]{9}")
_DIGITS = string.digits + string.ascii_letters


def encode(messages: Sequence[Message], card: ModelCard) -> tuple[list[Body], tuple[Warned, ...]]:
    """The messages, and what they could not carry."""
    bodies = [body for message in messages for body in _bodies(message, card)]
    lost = any(_thoughts(message) and not _keeps(message, card) for message in messages)
    said = f"Thinking was left out: '{card.name}' takes none back."
    told = [Warned("reasoning_dropped", said)] if lost else []
    if any(isinstance(part, ToolResult) and part.is_error for message in messages for part in message.parts):
        said = "Chat Completions has no mark for a tool's error; its text says it."
        told.append(Warned("parameter_dropped", said, "messages.is_error"))
    return bodies, tuple(told)


def short(id: str) -> str:
    """Nine letters and digits: the id itself where it is that already, else always the same for the same id."""
    if _SHORT.fullmatch(id):
        return id
    number = int.from_bytes(hashlib.sha256(id.encode()).digest())
    return "".join(_DIGITS[number // 62**place % 62] for place in range(9))


def _bodies(message: Message, card: ModelCard) -> Iterator[Body]:
    if message.role == "tool":
        for result in (part for part in message.parts if isinstance(part, ToolResult)):
            id = _id(result.call_id, card)
            yield {**message.extra, "role": "tool", "tool_call_id": id, "content": _result(result)}
        return
    body: Body = {**message.extra, "role": message.role, "content": _content(message)}
    if message.role == "assistant":
        body |= _thinking(message, body["content"], card)
    if message.name is not None:
        body["name"] = message.name
    if message.tool_calls:
        body["tool_calls"] = [_call(call, card) for call in message.tool_calls]
    yield body


def _thoughts(message: Message) -> str:
    return "\n\n".join(part.text for part in message.parts if isinstance(part, Reasoning) and part.text)


def _keeps(message: Message, card: ModelCard) -> bool:
    """Does this family want the thoughts of this message back?"""
    return THINK_TAGS in card.quirks or (ECHO_REASONING in card.quirks and bool(message.tool_calls))


def _thinking(message: Message, content: str | list[Body] | None, card: ModelCard) -> Body:
    if not _keeps(message, card):
        return {}
    thoughts = _thoughts(message)
    if ECHO_REASONING in card.quirks:
        return {"reasoning_content": thoughts}
    if not thoughts:
        return {}
    tagged = f"<think>\n{thoughts}\n</think>\n\n"
    return {
        "content": [{"type": "text", "text": tagged}, *content]
        if isinstance(content, list)
        else tagged + (content or "")
    }


def _content(message: Message) -> str | list[Body] | None:
    shown = [part for part in message.parts if isinstance(part, Text | Media)]
    if not shown and message.tool_calls:
        return None
    if all(isinstance(part, Text) for part in shown):
        return message.text
    return [_part(part) for part in shown]


def _part(part: Text | Media) -> Body:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Media(kind="image"):
            image = {"url": _url(part)} | ({"detail": part.detail} if part.detail else {})
            return {"type": "image_url", "image_url": image}
        case Media(kind="audio", data=bytes() as data):
            fmt = (part.media_type or "audio/wav").rpartition("/")[2]
            return {"type": "input_audio", "input_audio": {"data": base64.b64encode(data).decode(), "format": fmt}}
        case Media(kind="document", data=bytes()):
            named = {"filename": part.filename} if part.filename else {}
            return {"type": "file", "file": {"file_data": _url(part)} | named}
        case _:
            raise Unsupported(f"Chat Completions cannot carry {part.kind} this way; send its bytes as another kind.")


def _url(media: Media) -> str:
    if media.data is None:
        return media.url or ""
    return f"data:{media.media_type or 'application/octet-stream'};base64,{base64.b64encode(media.data).decode()}"


def _result(result: ToolResult) -> str | list[Body]:
    if all(isinstance(part, Text) for part in result.parts):
        return result.text
    return [_part(part) for part in result.parts]


def _call(call: ToolCall, card: ModelCard) -> Body:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": _id(call.id, card), "type": "function", "function": function}


def _id(id: str, card: ModelCard) -> str:
    return short(id) if SHORT_IDS in card.quirks else id
