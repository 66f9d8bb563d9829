"""A conversation made shorter: the question that asks a model for a summary, and the item that holds it. Pure.

What users, developers and systems said stays word for word; everything else, answers, thoughts, tool calls and their
results, is left to the summary, which the model that the caller named writes like any answer. Both are sealed into one
item, which says all of it to any model when it is sent again, here or to another server of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from osaurus_nb import request as ask
from osaurus_nb.events import Warned
from osaurus_nb.messages import Media, Message, Part, Reasoning, Text, ToolCall, ToolResult, user
from osaurus_nb.models import Usage
from osaurus_nb.wire._opaque import own, seal, unseal
from osaurus_nb.wire.openai_responses import _schema as schema
from osaurus_nb.wire.openai_responses._names import DIALECT, KEPT, SUMMARY
from osaurus_nb.wire.openai_responses.inbound import Turn
from osaurus_nb.wire.openai_responses.items import parse
from osaurus_nb.wire.openai_responses.usage import write_usage

_QUESTION = (
    "Write a summary of this conversation so far, for an assistant who will go on with it and sees nothing else of it "
    "but the messages of the user. Keep every fact, decision, result of a tool, name, number and open task that may "
    "still matter, and say what was to be done next. Answer with the summary alone."
)
_HEADING = "Summary of the conversation so far:\n\n"
#: What of a body tells a provider how to serve it, and changes nothing in the summary.
_PASSED = ("service_tier", "safety_identifier", "prompt_cache_key")


def summary_request(turn: Turn, stored: Iterable[Mapping[str, Any]] = ()) -> ask.ChatRequest:
    """The conversation with a question for its summary at its end. Calls and results of tools are told in words:
    a model that is offered no tools could not read them."""
    request = turn.after(stored)
    names = {call.id: call.name for message in request.messages for call in message.tool_calls}
    told = (_told(message, names) for message in request.messages)
    extra = {key: request.extra[key] for key in _PASSED if key in request.extra}
    return ask.ChatRequest(
        model=request.model,
        messages=(*(message for message in told if message.parts), user(_QUESTION)),
        sampling=request.sampling,
        reasoning_effort=request.reasoning_effort,
        route=request.route,
        extra={**extra, "store": False},
        warnings=tuple(_ignored(request)),
    )


def compaction_body(
    items: Iterable[Mapping[str, Any]], summary: str, *, usage: Usage, id: str, created: int
) -> dict[str, Any]:
    """The answer to `POST /v1/responses/compact`: the conversation of these items as one item.

    The vendor's has the messages that stay beside it; openai 3.52 in strict mode refuses any but the assistant's
    there (seen 2026-11).
    """
    state = {SUMMARY: _HEADING + summary, KEPT: list(_kept(parse(items)))}
    return {
        "id": f"resp_{id}",
        "object": "response.compaction",
        "created_at": created,
        "output": [{"id": f"cmp_{id}", "type": "compaction", "encrypted_content": seal({DIALECT: state})}],
        "usage": write_usage(usage),
    }


def _kept(items: Sequence[schema.Item]) -> Iterator[Mapping[str, Any]]:
    """What stays word for word; of what was compacted before, what stayed then."""
    for item in items:
        match item:
            case schema.MessageItem(role="assistant"):
                pass
            case schema.MessageItem():
                yield {"type": "message", **item.model_dump(by_alias=True, exclude_unset=True)}
            case schema.CompactionItem():
                yield from own(unseal(item.encrypted_content), DIALECT).get(KEPT) or ()
            case _:
                pass


def _told(message: Message, names: Mapping[str, str]) -> Message:
    parts = tuple(told for part in message.parts for told in _in_words(part, names))
    return replace(message, role="user" if message.role == "tool" else message.role, parts=parts)


def _in_words(part: Part, names: Mapping[str, str]) -> Iterator[Part]:
    match part:
        case Text() | Media():
            yield part
        case ToolCall():
            yield Text(f"[Called the tool {part.name} with {part.arguments}]")
        case ToolResult():
            yield Text(f"[The tool {names.get(part.call_id, part.call_id)} answered:]\n")
            yield from part.parts
        case Reasoning():  # a provider's own compaction, which it alone can read; thoughts are not needed
            if own(part.provider_metadata, DIALECT).get("type") == "compaction":
                yield part


def _ignored(request: ask.ChatRequest) -> Iterator[Warned]:
    given = {"tools": request.tools, "tool_choice": request.tool_choice, "text": request.response_format}
    for name, value in {**given, **request.extra}.items():
        if value and name not in (*_PASSED, "metadata"):
            yield Warned("parameter_dropped", f"Compacting does not know '{name}'.", name)
