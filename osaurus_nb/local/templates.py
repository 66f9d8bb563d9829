"""Messages as chat templates want them: plain dicts in the usual Hugging Face shape. Pure.

Text only: images and other media are refused. Instructions of the developer and of the system become one system
message where they lead the chat, because most templates accept no other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.messages import Media, Message, Reasoning, Text, ToolCall, ToolResult
from osaurus_nb.request import Tool

_INSTRUCTING = ("system", "developer")


def to_template(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The chat for `apply_chat_template`. Raises Unsupported for media, RequestError for a chat without words."""
    if not messages:
        raise RequestError("The chat is empty: send at least one message.", param="messages")
    leading = next((at for at, message in enumerate(messages) if message.role not in _INSTRUCTING), len(messages))
    chat = [_system(messages[:leading])] if leading else []
    for message in messages[leading:]:
        chat.extend(_turns(message))
    return chat


def tools_to_template(tools: Iterable[Tool]) -> list[dict[str, Any]]:
    """The tools for `apply_chat_template`."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)},
        }
        for tool in tools
    ]


def _system(messages: Sequence[Message]) -> dict[str, Any]:
    return {"role": "system", "content": "\n\n".join(_words(message) for message in messages)}


def _turns(message: Message) -> list[dict[str, Any]]:
    """One message as one or more turns: each result of a tool is a turn of its own."""
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    turns: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": result.call_id, "content": _result_text(result)} for result in results
    ]
    if results and not message.text:
        return turns
    return [*turns, _turn(message)]


def _turn(message: Message) -> dict[str, Any]:
    role = "system" if message.role == "developer" else message.role
    turn: dict[str, Any] = {"role": role, "content": _words(message)}
    if message.name:
        turn["name"] = message.name
    thoughts = "".join(part.text for part in message.parts if isinstance(part, Reasoning))
    if thoughts:
        turn["reasoning_content"] = thoughts
    if message.tool_calls:
        turn["tool_calls"] = [_call(call) for call in message.tool_calls]
    return turn


def _words(message: Message) -> str:
    for part in message.parts:
        if isinstance(part, Media):
            raise _no_media(part)
    return "".join(part.text for part in message.parts if isinstance(part, Text))


def _result_text(result: ToolResult) -> str:
    for part in result.parts:
        if isinstance(part, Media):
            raise _no_media(part)
    return result.text


def _call(call: ToolCall) -> dict[str, Any]:
    """Templates differ in how they print arguments; an object suits those that print JSON and those that loop."""
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        arguments = call.arguments
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


_CAPABILITIES = {"image": "vision", "audio": "audio", "document": "documents"}


def _no_media(part: Media) -> Unsupported:
    words = f"This model reads text only; it cannot take an {part.kind} part."
    return Unsupported(words, param="messages", needs=_CAPABILITIES.get(part.kind))
