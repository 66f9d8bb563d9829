"""A caller's messages become ours. The dialect has no ids of calls, so results find their calls by name and order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from osaurus_nb.errors import RequestError
from osaurus_nb.messages import Media, Message, Part, Reasoning, Text, ToolCall, ToolResult, sniff
from osaurus_nb.wire._inbound import base64_bytes
from osaurus_nb.wire.ollama_chat import _schema as schema


def messages(bodies: Iterable[schema.MessageBody]) -> Iterator[Message]:
    calls = _Calls()
    for at, body in enumerate(bodies):
        where = f"messages[{at}]"
        if body.role == "tool":
            yield _result(body, where, calls)
            continue
        if body.tool_calls and body.role != "assistant":
            raise RequestError(f"'{where}.tool_calls': only the assistant calls tools.", param=f"{where}.tool_calls")
        parts = (*_thoughts(body), *_said(body, where), *calls.made(body.tool_calls or (), at))
        if not parts and body.content is None and body.role != "assistant":
            raise RequestError(f"'{where}.content' is required.", param=f"{where}.content")
        yield Message(body.role, parts, extra=body.unknown())


def images(encoded: Sequence[str] | None, where: str) -> Iterator[Media]:
    for at, image in enumerate(encoded or ()):
        data = base64_bytes(image, f"{where}[{at}]")
        yield Media("image", sniff(data), data=data)


def _thoughts(body: schema.MessageBody) -> Iterator[Part]:
    if body.thinking:
        yield Reasoning(body.thinking)


def _said(body: schema.MessageBody, where: str) -> Iterator[Text | Media]:
    if body.content:
        yield Text(body.content)
    yield from images(body.images, f"{where}.images")


def _result(body: schema.MessageBody, where: str, calls: _Calls) -> Message:
    id = calls.answered(body.tool_call_id, body.tool_name)
    if id is None:
        raise RequestError(f"'{where}' answers no call of the assistant.", param=where)
    return Message("tool", (ToolResult(id, tuple(_said(body, where))),), extra=body.unknown())


class _Calls:
    """The calls that wait for their results."""

    def __init__(self) -> None:
        self._open: list[ToolCall] = []

    def made(self, bodies: Sequence[schema.CallBody], at: int) -> list[ToolCall]:
        """Ids that are not there are invented from the place in the conversation, which does not change."""
        calls = [
            ToolCall(
                body.id or f"call_{at}_{number}",
                body.function.name,
                json.dumps(body.function.arguments, ensure_ascii=False),
            )
            for number, body in enumerate(bodies)
        ]
        self._open += calls
        return calls

    def answered(self, id: str | None, name: str | None) -> str | None:
        """By id, else the first waiting call of that name, else the first of all."""
        wanted = (call for call in self._open if (call.id == id if id is not None else name in (None, "", call.name)))
        call = next(wanted, None)
        if call is None:
            return id
        self._open.remove(call)
        return call.id
