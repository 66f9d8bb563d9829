"""How large a prompt is where nobody counts its tokens. An estimate, and marked as one. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from osaurus_nb.messages import Media, Part, Reasoning, Text, ToolCall, ToolResult
from osaurus_nb.models import TokenCount, Usage
from osaurus_nb.request import ChatRequest

#: Bytes of UTF-8 in a token of prose or code; tokenizers of today lie between 3 and 4.5.
_BYTES_PER_TOKEN = 4
#: What roles and separators cost in each message.
_PER_MESSAGE = 4
#: Vendors price a picture of usual size at 250 to 1,600 tokens.
_PER_MEDIA = 800


def estimate(request: ChatRequest) -> TokenCount:
    """The prompt's tokens, messages and tools together."""
    media = sum(isinstance(part, Media) for message in request.messages for part in message.parts)
    tokens = _tokens(_texts(request)) + _PER_MESSAGE * len(request.messages) + _PER_MEDIA * media
    return TokenCount(tokens, estimated=True)


def estimate_texts(texts: Iterable[str]) -> Usage:
    """What these texts use, none of them part of a conversation."""
    return Usage(input_tokens=_tokens(texts), estimated=True)


def _tokens(texts: Iterable[str]) -> int:
    return -(-sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) // _BYTES_PER_TOKEN)


def _texts(request: ChatRequest) -> Iterator[str]:
    for message in request.messages:
        for part in message.parts:
            yield _text(part)
    for tool in request.tools:
        yield tool.name + tool.description + json.dumps(dict(tool.parameters))


def _text(part: Part) -> str:
    match part:
        case Text() | Reasoning() | ToolResult():
            return part.text
        case ToolCall():
            return part.name + part.arguments
        case Media():
            return ""
