"""Items become messages: those of a request's input, and those of a stored response that is continued."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.messages import Media, Message, Opaque, Part, Reasoning, Text, ToolCall, ToolResult, user
from osaurus_nb.wire._inbound import base64_bytes, data_url, validate
from osaurus_nb.wire._opaque import keep, own, unseal
from osaurus_nb.wire.openai_responses import _schema as schema
from osaurus_nb.wire.openai_responses._names import DIALECT, KEPT, OF, SUMMARY

P = TypeVar("P", bound=Part)


def items_to_messages(items: Iterable[Mapping[str, Any]]) -> tuple[Message, ...]:
    """The conversation that these items spell out. Raises RequestError that names the item at fault."""
    return messages(parse(items))


def parse(items: Iterable[Mapping[str, Any]]) -> list[schema.Item]:
    """Items checked against their schema."""
    body = json.dumps({"input": [dict(item) for item in items]})
    return validate(schema.ItemsBody, body.encode()).input


def messages(items: Sequence[schema.Item]) -> tuple[Message, ...]:
    """The messages of items that were checked already."""
    turns = _Turns()
    for at, item in enumerate(items):
        turns.add(item, f"input[{at}]")
    return turns.done()


class _Turns:
    """Joins what the assistant said in one turn: its items stand apart, its message is one."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._parts: list[Part] = []

    def add(self, item: schema.Item, where: str) -> None:
        match item:
            case schema.MessageItem(role="assistant"):
                self._said(item, where)
            case schema.MessageItem():
                self._end(Message(item.role, _content(item.content, f"{where}.content")))
            case schema.CallItem():
                self._parts.append(ToolCall(item.call_id, item.name, item.arguments))
            case schema.ResultItem():
                self._end(Message("tool", (ToolResult(item.call_id, _content(item.output, f"{where}.output")),)))
            case schema.ReasoningItem():
                self._thought(item)
            case schema.CompactionItem():
                self._compaction(item, where)
            case schema.ReferenceItem():
                raise RequestError(f"'{where}' refers to an item that is not stored here.", param=where)
            case schema.OtherItem():
                field = f"{where}.type"
                raise Unsupported(f"'{field}' names an item of a tool that only its own provider runs.", param=field)

    def done(self) -> tuple[Message, ...]:
        self._end()
        return tuple(self._messages)

    def _end(self, message: Message | None = None) -> None:
        if self._parts:
            self._messages.append(Message("assistant", tuple(self._parts)))
            self._parts = []
        if message is not None:
            self._messages.append(message)

    def _said(self, item: schema.MessageItem, where: str) -> None:
        """A second message in a row is a message of its own; thoughts and calls join the one beside them."""
        if self._parts and isinstance(self._parts[-1], Text):
            self._end()
        parts = _content(item.content, f"{where}.content")
        if item.phase is not None:
            parts = tuple(_with(part, {DIALECT: {"phase": item.phase}}) for part in parts)
        self._parts.extend(parts)

    def _thought(self, item: schema.ReasoningItem) -> None:
        state = unseal(item.encrypted_content) if item.encrypted_content else None
        if state is None:
            self._parts.append(Reasoning(_thinking(item), _kept(item)))
        elif OF in (owner := own(state, DIALECT)):
            self._give_back(owner, {name: fields for name, fields in state.items() if name != DIALECT})
        else:
            self._parts.append(Reasoning(_thinking(item), state))

    def _give_back(self, owner: Mapping[str, Any], state: Opaque) -> None:
        """State of a text or call that stood in an item of its own. Without its owner it means nothing."""
        for at, part in reversed(list(enumerate(self._parts))):
            if isinstance(part, Text) if owner[OF] == "text" else _is_call(part, owner.get("call_id")):
                self._parts[at] = _with(part, state)
                return

    def _compaction(self, item: schema.CompactionItem, where: str) -> None:
        state = own(unseal(item.encrypted_content), DIALECT)
        summary = state.get(SUMMARY)
        if isinstance(summary, str):
            for message in _sealed(state.get(KEPT), f"{where}.encrypted_content"):
                self.add(message, where)
            self._end(user(summary))
            return
        fields = {"type": item.type, "id": item.id, "encrypted_content": item.encrypted_content}
        self._parts.append(Reasoning("", keep(DIALECT, fields)))


def _sealed(items: Any, where: str) -> Iterator[schema.MessageItem]:
    """The messages that a compaction holds. A stranger may seal too, and anything."""
    try:
        found = parse(items or ())
    except (RequestError, TypeError, ValueError, RecursionError):
        raise RequestError(f"'{where}' holds no messages.", param=where) from None
    for item in found:
        if not isinstance(item, schema.MessageItem) or item.role == "assistant":
            raise RequestError(f"'{where}' holds something else than messages.", param=where)
        yield item


def _is_call(part: Part, id: Any) -> bool:
    return isinstance(part, ToolCall) and part.id == id


def _thinking(item: schema.ReasoningItem) -> str:
    return "".join(part.text for part in item.content or ()) or "\n\n".join(part.text for part in item.summary)


def _kept(item: schema.ReasoningItem) -> Opaque | None:
    """What its provider wants back. An id alone says nothing to a provider that stores nothing."""
    raw = True if item.content else None
    if item.encrypted_content is None and raw is None:
        return None
    return keep(DIALECT, {"id": item.id, "encrypted_content": item.encrypted_content, "raw": raw})


def _with(part: P, metadata: Opaque) -> P:
    old = part.provider_metadata or {}
    merged = {name: {**own(old, name), **fields} for name, fields in metadata.items()}
    return replace(part, provider_metadata={**old, **merged})


def _content(content: str | list[schema.ContentPart], where: str) -> tuple[Text | Media, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple(_part(part, f"{where}[{at}]") for at, part in enumerate(content))


def _part(part: schema.ContentPart, where: str) -> Text | Media:
    match part:
        case schema.TextPart():
            return Text(part.text, keep(DIALECT, {"annotations": part.annotations or None}))
        case schema.RefusalPart():
            return Text(part.refusal)
        case schema.ImagePart():
            return _image(part, where)
        case schema.FilePart():
            return _file(part, where)
        case schema.AudioPart(input_audio=audio):
            return Media("audio", f"audio/{audio.format}", data=base64_bytes(audio.data, f"{where}.input_audio.data"))
        case schema.VideoPart():
            return _fetched("video", part.video_url, f"{where}.video_url")


def _image(part: schema.ImagePart, where: str) -> Media:
    if part.image_url is None:
        raise _needed(f"{where}.image_url", uploaded=part.file_id is not None)
    return replace(_fetched("image", part.image_url, f"{where}.image_url"), detail=part.detail)


def _file(part: schema.FilePart, where: str) -> Media:
    if part.file_data is not None:
        media_type, data = data_url(part.file_data, f"{where}.file_data")
        return Media("document", media_type, data=data, filename=part.filename)
    if part.file_url is not None:
        return replace(_fetched("document", part.file_url, f"{where}.file_url"), filename=part.filename)
    raise _needed(f"{where}.file_data", uploaded=part.file_id is not None)


def _fetched(kind: Any, url: str, field: str) -> Media:
    if url.startswith("data:"):
        media_type, data = data_url(url, field)
        return Media(kind, media_type, data=data)
    if url.startswith(("http://", "https://")):
        return Media(kind, url=url)
    raise RequestError(f"'{field}' must be a data: URL or an http(s) URL.", param=field)


def _needed(field: str, *, uploaded: bool) -> RequestError:
    why = ": uploaded file ids belong to one provider" if uploaded else ""
    return RequestError(f"'{field}' is required{why}.", param=field)
