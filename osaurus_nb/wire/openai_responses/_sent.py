"""Messages become the items of a request's input."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from osaurus_nb.errors import Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.messages import Media, Message, Reasoning, Text, ToolCall, ToolResult
from osaurus_nb.wire._opaque import own
from osaurus_nb.wire.openai_responses._names import DIALECT


@dataclass(frozen=True, slots=True)
class Sent:
    items: list[dict[str, Any]]
    warnings: list[Warned] = field(default_factory=list)


def input_items(messages: Sequence[Message]) -> Sent:
    """The items, and what they could not carry."""
    items = [item for message in messages for item in _items(message)]
    return Sent(items, list(_warnings(messages)))


def _items(message: Message) -> Iterator[dict[str, Any]]:
    """Texts and media that stand together make one message item; thoughts, calls and results stand alone."""
    together: list[Text | Media] = []
    for part in message.parts:
        if isinstance(part, Text | Media):
            if together and _phase(together[-1]) != _phase(part):
                yield _message(message, together)
                together = []
            together.append(part)
            continue
        if together:
            yield _message(message, together)
            together = []
        match part:
            case ToolCall():
                yield _call(part)
            case ToolResult():
                yield {"type": "function_call_output", "call_id": part.call_id, "output": _output(part)}
            case Reasoning():
                yield from _thought(part)
    if together:
        yield _message(message, together)


def _message(message: Message, parts: list[Text | Media]) -> dict[str, Any]:
    role = "user" if message.role == "tool" else message.role
    said = role == "assistant"
    content: str | list[dict[str, Any]] = [_said(part) if said else _part(part) for part in parts]
    if not said and len(parts) == 1 and isinstance(parts[0], Text):
        content = parts[0].text
    phase = _phase(parts[0])
    return {"type": "message", "role": role, "content": content} | ({"phase": phase} if phase else {})


def _said(part: Text | Media) -> dict[str, Any]:
    if isinstance(part, Media):
        raise Unsupported(f"Responses cannot carry {part.kind} in what the assistant said.", param="messages")
    annotations = own(part.provider_metadata, DIALECT).get("annotations") or []
    return {"type": "output_text", "text": part.text, "annotations": annotations}


def _phase(part: Text | Media) -> Any:
    return own(part.provider_metadata, DIALECT).get("phase")


def _part(part: Text | Media) -> dict[str, Any]:
    match part:
        case Text(text=text):
            return {"type": "input_text", "text": text}
        case Media(kind="image"):
            detail = {"detail": part.detail} if part.detail else {}
            return {"type": "input_image", "image_url": _url(part)} | detail
        case Media(kind="document", data=None):
            named = {"filename": part.filename} if part.filename else {}
            return {"type": "input_file", "file_url": part.url} | named
        case Media(kind="document"):  # the vendor refuses data without a name
            return {"type": "input_file", "file_data": _url(part), "filename": part.filename or "document"}
        case _:
            raise Unsupported(f"Responses cannot carry {part.kind}.", param="messages")


def _url(media: Media) -> str:
    if media.data is None:
        return media.url or ""
    return f"data:{media.media_type or 'application/octet-stream'};base64,{base64.b64encode(media.data).decode()}"


def _output(result: ToolResult) -> str | list[dict[str, Any]]:
    if len(result.parts) == 1 and isinstance(result.parts[0], Text):
        return result.parts[0].text
    return [_part(part) for part in result.parts]


def _call(call: ToolCall) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}


def _thought(part: Reasoning) -> Iterator[dict[str, Any]]:
    """Only what this dialect can prove to be its own goes back; thinking in words is no input."""
    mine = own(part.provider_metadata, DIALECT)
    known = {"id": mine["id"]} if isinstance(mine.get("id"), str) else {}
    encrypted = {"encrypted_content": mine["encrypted_content"]} if mine.get("encrypted_content") else {}
    if mine.get("type") == "compaction":
        yield {"type": "compaction", **known, **encrypted}
    elif mine.get("raw"):
        content = [{"type": "reasoning_text", "text": part.text}]
        yield {"type": "reasoning", **known, "summary": [], "content": content, **encrypted}
    elif encrypted:
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        yield {"type": "reasoning", **known, "summary": summary, **encrypted}


def _warnings(messages: Sequence[Message]) -> Iterator[Warned]:
    results = [part for message in messages for part in message.parts if isinstance(part, ToolResult)]
    if any(result.is_error for result in results):
        yield Warned("parameter_dropped", "Responses has no mark for a tool's error; its text says it.", "is_error")
    if any(message.name for message in messages):
        yield Warned("parameter_dropped", "Responses has no names of speakers.", "name")
    thoughts = [part for message in messages for part in message.parts if isinstance(part, Reasoning)]
    if any(part.text and not part.provider_metadata for part in thoughts):  # what is another's is told of elsewhere
        yield Warned("reasoning_dropped", "Thinking in mere words was left out.", "messages")
    if any(value for message in messages for value in message.extra.values()):
        yield Warned("parameter_dropped", "Keys that Responses does not know were left out of messages.", "messages")
