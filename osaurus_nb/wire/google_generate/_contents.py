"""Our messages become contents: system apart, results of parallel calls together, signatures where they were."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.messages import Media, Message, Part, Reasoning, Text, ToolCall, ToolResult, sniff
from osaurus_nb.models import ModelCard
from osaurus_nb.wire._inbound import data_url
from osaurus_nb.wire._opaque import AS_SENT, own
from osaurus_nb.wire.google_generate import _signatures as signatures
from osaurus_nb.wire.google_generate._names import NAME, SKIP_SIGNATURE, UNSIGNED_CALLS

Body = dict[str, Any]
_SYSTEM = ("system", "developer")
_DEFAULT_TYPES = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4", "document": "application/pdf"}


def encode(messages: Sequence[Message], card: ModelCard) -> tuple[Body | None, list[Body], tuple[Warned, ...]]:
    """The system instruction, the contents, and what was moved or left out."""
    writer = _Writer(card)
    system = writer.parts(part for message in messages if message.role in _SYSTEM for part in message.parts)
    said = (message for message in messages if message.role not in _SYSTEM)
    contents = [body for group in _groups(said) if (body := writer.content(group)) is not None]
    return {"parts": system} if system else None, contents, (*_warnings(messages), *writer.warnings())


def _groups(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """Results in a row are one content: the API counts them against the calls."""
    for is_tool, run in groupby(messages, lambda message: message.role == "tool"):
        if is_tool:
            yield list(run)
        else:
            yield from ([message] for message in run)


class _Writer:
    """Writes the parts of one conversation; knows which function a result answers."""

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        self._functions: dict[str, str] = {}
        self._unsigned = False
        self._unthought = False

    def content(self, group: Sequence[Message]) -> Body | None:
        message = group[0]
        if message.role == "assistant":
            return self._model(message)
        if message.role == "tool":
            parts = [self._result(part, turn) for turn in group for part in turn.parts if isinstance(part, ToolResult)]
        else:
            parts = self.parts(message.parts)
        return {"role": "user", "parts": parts} if parts else None

    def parts(self, parts: Iterable[Part]) -> list[Body]:
        return [body for part in parts if (body := self._part(part)) is not None]

    def warnings(self) -> Iterator[Warned]:
        if self._unsigned:
            said = f"A signature that another model than '{self._card.name}' made was left out."
            yield Warned("opaque_state_dropped", said, "messages")
        if self._unthought:
            yield Warned("reasoning_dropped", "Thinking of another provider was left out.", "messages")

    def _model(self, message: Message) -> Body | None:
        parts = self.parts(message.parts)
        first = next((part for part in parts if "functionCall" in part), None)
        if first is not None and UNSIGNED_CALLS not in self._card.quirks:
            first.setdefault(signatures.KEY, SKIP_SIGNATURE)  # of parallel calls only the first is signed
        return {"role": "model", "parts": parts} if parts else None

    def _part(self, part: Part) -> Body | None:
        state = self._state(part)
        match part:
            case Text(text=text):
                return {**state, "text": text} if text or state else None
            case Reasoning(text=text):
                return self._thought(part, text, state)
            case Media():
                return {**state, **_media(part)}
            case ToolCall():
                self._functions[part.id] = part.name
                return {**state, "functionCall": {"id": part.id, "name": part.name, "args": _arguments(part)}}
            case ToolResult():
                raise RequestError("A tool's result stands in no message of the role 'tool'.", param="messages")

    def _state(self, part: Part) -> Body:
        state = own(part.provider_metadata, NAME)
        self._unsigned |= signatures.strange(part.provider_metadata, self._card)
        signature = signatures.usable(part.provider_metadata, self._card)
        rest = {key: value for key, value in state.items() if key not in (signatures.KEY, signatures.MODEL, AS_SENT)}
        return {**rest, **({signatures.KEY: signature} if signature else {})}

    def _thought(self, part: Reasoning, text: str, state: Body) -> Body | None:
        """The vendor reads its own thoughts again; those of others mean nothing to it."""
        if part.provider_metadata and NAME not in part.provider_metadata:
            self._unthought |= bool(text)
            return None
        return {**state, "text": text, "thought": True} if text or state else None

    def _result(self, result: ToolResult, message: Message) -> Body:
        name = self._functions.get(result.call_id) or message.name
        if name is None:
            said = "A tool's result answers no call in this conversation; Google wants the function's name."
            raise RequestError(said, param="messages")
        as_sent = (own(result.provider_metadata, NAME).get(AS_SENT) or {}).get("response")
        body = {"id": result.call_id, "name": name, "response": as_sent or _response(result)}
        if media := [_media(part) for part in result.parts if isinstance(part, Media)]:
            body["parts"] = media
        return {"functionResponse": {**self._state(result), **body}}


def _response(result: ToolResult) -> Body:
    if not any(isinstance(part, Text) for part in result.parts) and not result.is_error:
        return {}
    return {"error" if result.is_error else "output": result.text}


def _arguments(call: ToolCall) -> Body:
    try:
        value = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise RequestError(f"The arguments of the call of '{call.name}' are no JSON object.", param="messages")
    return value


def _media(media: Media) -> Body:
    kind, data = media.media_type, media.data
    if data is None and media.url is not None and media.url.startswith("data:"):
        kind, data = data_url(media.url, "messages")
    if data is not None:
        named = kind or sniff(data) or _DEFAULT_TYPES[media.kind]
        return {"inlineData": {"mimeType": named, "data": base64.b64encode(data).decode()}}
    if media.url is None:
        raise Unsupported(f"An {media.kind} without bytes and without an address.", param="messages")
    return {"fileData": {"fileUri": media.url} | ({"mimeType": kind} if kind else {})}


def _warnings(messages: Sequence[Message]) -> Iterator[Warned]:
    talk = [at for at, message in enumerate(messages) if message.role not in _SYSTEM]
    if talk and any(message.role in _SYSTEM for message in messages[talk[0] :]):
        yield Warned("system_moved", "What the system said later was put in front of the conversation.", "messages")
    if any(message.name is not None and message.role != "tool" for message in messages):
        yield Warned("parameter_dropped", "Google has no names of speakers.", "messages.name")
    if strange := sorted({key for message in messages for key, value in message.extra.items() if value}):
        yield Warned("parameter_dropped", f"Google's contents have no {', '.join(strange)}.", "messages")
    media = [part for message in messages for part in message.parts if isinstance(part, Media)]
    if any(part.detail not in (None, "auto") for part in media):
        yield Warned("parameter_dropped", "Google has no 'detail' of an image.", "messages.detail")
    if any(part.filename for part in media):
        yield Warned("parameter_dropped", "Google has no names of files.", "messages.filename")
