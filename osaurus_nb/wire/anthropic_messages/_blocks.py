"""Content blocks of a caller's messages become parts. Refuses blocks that do not belong where they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.messages import Media, Message, Opaque, Part, Reasoning, Text, ToolCall, ToolResult
from osaurus_nb.wire._inbound import Open, base64_bytes
from osaurus_nb.wire._opaque import AS_SENT, keep, unseal
from osaurus_nb.wire.anthropic_messages import _schema as schema
from osaurus_nb.wire.anthropic_messages._versions import NAME, NEW

_BELONGS: dict[str, frozenset[str]] = {
    "user": frozenset({"text", "image", "document", "search_result", "tool_result"}),
    "assistant": frozenset({"text", "image", "document", "thinking", "redacted_thinking", "tool_use"}),
    "system": frozenset({"text"}),
}


def turn(message: schema.MessageBody, where: str, *, strict: bool) -> Iterator[Message]:
    """A user's message with tool results becomes one message for each result, then one for the rest.

    `strict` applies what the newer version of the API refuses.
    """
    if isinstance(message.content, str):
        yield Message(message.role, (Text(message.content),), extra=message.unknown())
        return
    parts = [
        _checked(block, message.role, f"{where}.content[{at}]", strict=strict)
        for at, block in enumerate(message.content)
    ]
    results = [part for part in parts if isinstance(part, ToolResult)]
    yield from (Message("tool", (result,)) for result in results)
    if len(results) < len(parts) or not parts:
        rest = tuple(part for part in parts if not isinstance(part, ToolResult))
        yield Message(message.role, rest, extra=message.unknown())


def text(block: schema.TextBlock) -> Text:
    return Text(block.text, _rest(block))


def _checked(block: schema.Block, role: str, where: str, *, strict: bool) -> Part:
    if isinstance(block, schema.ServerBlock):
        raise _server_run(block, where)
    if block.type not in _BELONGS[role]:
        raise RequestError(f"'{where}': a {block.type} block does not belong in a {role} message.", param=where)
    if strict and role == "assistant" and block.type == "document":
        raise RequestError(f"'{where}': version {NEW} takes no document from the assistant.", param=where)
    if strict and role == "user" and isinstance(block, schema.TextBlock) and block.unknown().get("citations"):
        field = f"{where}.citations"
        raise RequestError(f"'{field}': version {NEW} takes no citations on a user's text.", param=field)
    return _part(block, where)


def _part(block: schema.Block, where: str) -> Part:
    match block:
        case schema.ThinkingBlock():
            return Reasoning(block.thinking, _signed(block.signature))
        case schema.RedactedBlock():
            return Reasoning("", unseal(block.data) or keep(NAME, {"data": block.data}))
        case schema.ToolUseBlock():
            return ToolCall(block.id, block.name, json.dumps(block.input, ensure_ascii=False), _rest(block))
        case schema.ToolResultBlock():
            return _result(block, where)
        case _:
            return _shown(block, where)


def _shown(block: schema.ResultBlock, where: str) -> Text | Media:
    match block:
        case schema.TextBlock():
            return text(block)
        case schema.ImageBlock():
            return _image(block, where)
        case schema.DocumentBlock():
            return _document(block, where)
        case schema.SearchResultBlock():
            found = "\n".join(passage.text for passage in block.content)
            return Text(f"{block.title}\n{block.source}\n{found}", _as_sent(block))
        case schema.ServerBlock():
            raise _server_run(block, where)


def _image(block: schema.ImageBlock, where: str) -> Media:
    match block.source:
        case schema.Base64Source(media_type=kind, data=data):
            content = base64_bytes(data, f"{where}.source.data")
            return Media("image", kind, data=content, provider_metadata=_rest(block))
        case schema.UrlSource(url=url):
            return Media("image", url=_web(url, f"{where}.source.url"), provider_metadata=_rest(block))
        case schema.FileSource():
            raise _stored(where)


def _document(block: schema.DocumentBlock, where: str) -> Media:
    title, rest = block.title, _rest(block)
    match block.source:
        case schema.Base64Source(media_type=kind, data=data):
            content = base64_bytes(data, f"{where}.source.data")
            return Media("document", kind, data=content, filename=title, provider_metadata=rest)
        case schema.UrlSource(url=url):
            url = _web(url, f"{where}.source.url")
            return Media("document", url=url, filename=title, provider_metadata=rest)
        case schema.TextSource(media_type=kind, data=data):
            return Media("document", kind, data=data.encode(), filename=title, provider_metadata=rest)
        case schema.ContentSource(content=inner):
            plain = _plain(inner, f"{where}.source.content").encode()
            return Media("document", "text/plain", data=plain, filename=title, provider_metadata=_as_sent(block))
        case schema.FileSource():
            raise _stored(where)


def _plain(content: str | list[schema.SourceContent], where: str) -> str:
    if isinstance(content, str):
        return content
    for at, block in enumerate(content):
        if isinstance(block, schema.ImageBlock):
            field = f"{where}[{at}]"
            raise Unsupported(f"'{field}': an image inside a document; send it beside the document.", param=field)
    return "\n".join(block.text for block in content if isinstance(block, schema.TextBlock))


def _result(block: schema.ToolResultBlock, where: str) -> ToolResult:
    if isinstance(block.content, str):
        parts: tuple[Text | Media, ...] = (Text(block.content),)
    else:
        inner = enumerate(block.content or ())
        parts = tuple(_shown(part, f"{where}.content[{at}]") for at, part in inner)
    return ToolResult(block.tool_use_id, parts, bool(block.is_error), _rest(block))


def _signed(signature: str) -> Opaque | None:
    return unseal(signature) or keep(NAME, {"signature": signature or None})


def _rest(block: Open) -> Opaque | None:
    """The keys of a block that we only hand on. A direct call and an empty list say nothing."""
    silent: tuple[Any, ...] = (None, [], {"type": "direct"})
    return keep(NAME, {key: value for key, value in block.unknown().items() if value not in silent})


def _as_sent(block: Open) -> Opaque:
    return {NAME: {AS_SENT: block.model_dump(exclude_unset=True)}}


def _web(url: str, field: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise RequestError(f"'{field}' must be an http(s) URL.", param=field)
    return url


def _stored(where: str) -> RequestError:
    field = f"{where}.source"
    return RequestError(f"'{field}': uploaded file ids belong to one provider; send the bytes.", param=field)


def _server_run(block: schema.ServerBlock, where: str) -> Unsupported:
    return Unsupported(f"'{where}': a {block.type} block belongs to a tool that Anthropic runs.", param=where)
