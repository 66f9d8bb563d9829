"""A caller's contents become messages. Refuses parts that only the vendor's own tools write."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.messages import Media, MediaKind, Message, Opaque, Part, Reasoning, Text, ToolCall, ToolResult
from osaurus_nb.wire._inbound import base64_bytes
from osaurus_nb.wire._opaque import AS_SENT, keep
from osaurus_nb.wire.google_generate import _schema as schema
from osaurus_nb.wire.google_generate._names import NAME
from osaurus_nb.wire.google_generate._signatures import read as read_signature

_CALLERS = ("user", "function", "tool")
_DATA = ("text", "inline_data", "file_data", "function_call", "function_response")
_VENDORS = ("executable_code", "code_execution_result", "tool_call", "tool_response")


def messages(contents: Iterable[schema.Content], where: str = "contents") -> Iterator[Message]:
    """The turns of a conversation. What the model said in several contents in a row is one message.

    The vendor's SDK keeps each chunk of a stream as a content of its own.
    """
    calls = _Calls()
    said: list[Message] = []
    for at, content in enumerate(contents):
        turn = _turn(content, f"{where}[{at}]", calls)
        if content.role == "model":
            said += turn
            continue
        yield from _joined(said)
        said = []
        yield from turn
    yield from _joined(said)


def system(content: schema.SystemContent, where: str) -> Message:
    return Message("system", tuple(_belonging(content, "system", where, _Calls())))


def _turn(content: schema.Content, where: str, calls: _Calls) -> list[Message]:
    role = content.role or "user"
    parts = list(_belonging(content, role, where, calls))
    if role == "model":
        return [Message("assistant", tuple(parts), extra=content.unknown())]
    if not parts:
        raise RequestError(f"'{where}.parts' is required.", param=f"{where}.parts")
    results = [part for part in parts if isinstance(part, ToolResult)]
    turns = [Message("tool", (result,)) for result in results]
    if len(results) < len(parts):
        rest = tuple(part for part in parts if not isinstance(part, ToolResult))
        turns.append(Message("user", rest, extra=content.unknown()))
    return turns


_SAYS = (Text, Media)
_BELONGS: Mapping[str, tuple[type[Part], ...]] = MappingProxyType(
    {"system": _SAYS, "model": (*_SAYS, Reasoning, ToolCall), **dict.fromkeys(_CALLERS, (*_SAYS, ToolResult))}
)


def _belonging(content: schema.Content | schema.SystemContent, role: str, where: str, calls: _Calls) -> Iterator[Part]:
    for at, body in enumerate(content.parts or ()):
        part = _part(body, f"{where}.parts[{at}]", calls)
        if not isinstance(part, _BELONGS[role]):
            said = f"a {type(part).__name__} does not belong in a content of the role '{role}'"
            raise RequestError(f"'{where}.parts[{at}]': {said}.", param=f"{where}.parts[{at}]")
        yield part


def _joined(said: Sequence[Message]) -> Iterator[Message]:
    if said:
        extra = {key: value for message in said for key, value in message.extra.items()}
        yield Message("assistant", _whole(part for message in said for part in message.parts), extra=extra)


def _whole(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Text and thinking in pieces become whole again, with what another dialect attached to the last piece.

    The vendor's own signatures stay on the parts on which they came.
    """
    made: list[Part] = []
    for part in parts:
        if isinstance(part, Text) and not part.text and not part.provider_metadata:
            continue  # the last chunk of a stream
        last = made[-1] if made else None
        joins = isinstance(part, Text | Reasoning) and type(last) is type(part) and NAME not in _names(part)
        if joins and isinstance(last, Text | Reasoning) and isinstance(part, Text | Reasoning) and not _names(last):
            made[-1] = replace(part, text=last.text + part.text)
        else:
            made.append(part)
    return tuple(made)


def _names(part: Part) -> frozenset[str]:
    return frozenset(part.provider_metadata or ())


def _part(body: schema.PartBody, where: str, calls: _Calls) -> Part:
    for name in _VENDORS:
        if getattr(body, name) is not None:
            raise Unsupported(f"'{where}' belongs to a tool that only Google runs.", param=where)
    held = [name for name in _DATA if getattr(body, name) is not None]
    if len(held) != 1 and not (not held and body.thought_signature):
        raise RequestError(f"'{where}' must hold one of text, inlineData, fileData or a function's.", param=where)
    metadata = _metadata(body)
    if body.inline_data is not None:
        return _inline(body.inline_data, f"{where}.inlineData.data", metadata)
    if body.file_data is not None:
        return _file(body.file_data, f"{where}.fileData.fileUri", metadata)
    if body.function_call is not None:
        return calls.call(body.function_call, metadata)
    if body.function_response is not None:
        return calls.result(body.function_response, f"{where}.functionResponse", metadata)
    return (Reasoning if body.thought else Text)(body.text or "", metadata)


def _metadata(body: schema.PartBody) -> Opaque | None:
    """What a signature stands for, and the keys that we only hand on."""
    state = read_signature(body.thought_signature)
    own = keep(NAME, {**body.unknown(), "thought": body.thought if body.text is None else None})
    if state is None or own is None:
        return state or own
    return {**state, NAME: {**state.get(NAME, {}), **own[NAME]}}


def _inline(blob: schema.Blob, field: str, metadata: Opaque | None) -> Media:
    standard = blob.data.translate(_URL_SAFE)  # the vendor's SDK writes the URL-safe alphabet
    data = base64_bytes(standard + "=" * (-len(standard) % 4), field)
    kind = _kind(blob.mime_type)
    return Media(kind, blob.mime_type, data=data, filename=blob.display_name, provider_metadata=metadata)


_URL_SAFE = str.maketrans("-_", "+/")


def _file(file: schema.FileData, field: str, metadata: Opaque | None) -> Media:
    if not file.file_uri.startswith(("http://", "https://")):
        said = "must be an http(s) URL: other storage belongs to one provider"
        raise RequestError(f"'{field}' {said}.", param=field)
    kind = _kind(file.mime_type)
    return Media(kind, file.mime_type, url=file.file_uri, filename=file.display_name, provider_metadata=metadata)


def _kind(media_type: str | None) -> MediaKind:
    match (media_type or "").partition("/")[0]:
        case "image" | "audio" | "video" as kind:
            return kind
        case _:
            return "document"


class _Calls:
    """The calls that were made, for results that name only the function, as in the vendor's older API."""

    def __init__(self) -> None:
        self._made = 0
        self._open: list[ToolCall] = []

    def call(self, body: schema.FunctionCall, metadata: Opaque | None) -> ToolCall:
        self._made += 1
        id = body.id or f"call_{self._made}"
        call = ToolCall(id, body.name, json.dumps(body.args or {}, ensure_ascii=False), metadata)
        self._open.append(call)
        return call

    def result(self, body: schema.FunctionResponse, where: str, metadata: Opaque | None) -> ToolResult:
        call = self._answered(body)
        if call is not None:
            self._open.remove(call)
        elif body.id is None:
            raise RequestError(f"'{where}' answers no call of that name.", param=where)
        id = call.id if call is not None else str(body.id)
        text, is_error, as_sent = _spoken(body.response or {})
        state = {**body.unknown(), AS_SENT: as_sent}
        own = keep(NAME, {**(metadata or {}).get(NAME, {}), **state})
        parts = (*((Text(text),) if text is not None else ()), *_media(body, where))
        return ToolResult(id, parts, is_error, {**(metadata or {}), **(own or {})} or None)

    def _answered(self, body: schema.FunctionResponse) -> ToolCall | None:
        """By id, else the first unanswered call of the function."""
        wanted = (call for call in self._open if (call.id == body.id if body.id else call.name == body.name))
        return next(wanted, None)


def _spoken(response: dict[str, Any]) -> tuple[str | None, bool, dict[str, Any] | None]:
    """What a response says as text, whether it is an error, and the response itself where the text is not it.

    The vendor's keys are `output` and `error`; without them the whole object is what the function answered.
    """
    if not response:
        return None, False, None
    key = next(iter(response)) if len(response) == 1 else ""
    value = response[key] if key in ("output", "error") else response
    if isinstance(value, str):
        return value, key == "error", None
    return json.dumps(value, ensure_ascii=False), key == "error", {"response": response}


def _media(body: schema.FunctionResponse, where: str) -> Iterator[Media]:
    for at, part in enumerate(body.parts or ()):
        if part.inline_data is not None:
            yield _inline(part.inline_data, f"{where}.parts[{at}].inlineData.data", None)
        elif part.file_data is not None:
            yield _file(part.file_data, f"{where}.parts[{at}].fileData.fileUri", None)
