"""A provider's lines of /api/chat, or its body in one piece, become our events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from osaurus_nb import events as ev
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.wire import _errors
from osaurus_nb.wire._liberal import as_count, as_logprobs, as_mapping, as_rows
from osaurus_nb.wire._payloads import bad
from osaurus_nb.wire._reading import Reading, Relay
from osaurus_nb.wire.ollama_chat._lines import Lines

_REASONS: Mapping[str, ev.FinishReason] = MappingProxyType(
    {"stop": "stop", "length": "length", "content_filter": "content_filter"}
)


def event_decoder(card: ModelCard, relay: Relay | None = None) -> Reading:
    return Reading(Lines(card), _Meaning(card), relay)


class _Meaning:
    """What the lines of one answer say. `done` turns true at the line that says so: nothing after it counts."""

    def __init__(self, card: ModelCard) -> None:
        self.done = False
        self._card = card
        self._prefix: str | None = None  # of the ids that we invent; None before the first line
        self._next = 0
        self._open: tuple[str, int] | None = None
        self._called = False
        self._reason: ev.FinishReason = "unknown"
        self._usage: Usage | None = None

    def take(self, payload: Mapping[str, Any]) -> Iterator[ev.Event]:
        if payload.get("error"):
            raise _errors.in_band(payload, provider=self._card.provider, model=self._card.id)
        if self._prefix is None:
            moment = str(payload.get("created_at") or "")
            self._prefix = "call_" + "".join(filter(str.isdigit, moment))
            yield ev.Started(self._card.provider, str(payload.get("model") or self._card.id))
        message = payload.get("message")
        yield from self._said(as_mapping(message), payload)
        if payload.get("done") is True:
            self.done = True
            self._reason = _REASONS.get(str(payload.get("done_reason")), "unknown")
            self._usage = read_usage(payload)

    def _said(self, message: Mapping[str, Any], payload: Mapping[str, Any]) -> Iterator[ev.Event]:
        """/api/generate has the same words one level higher."""
        thinking = message.get("thinking") or payload.get("thinking")
        if isinstance(thinking, str) and thinking:
            yield from self._switch("reasoning")
            yield ev.ReasoningDelta(thinking, self._next - 1)
        content = message.get("content") or payload.get("response")
        if isinstance(content, str) and content:
            yield from self._switch("text")
            yield ev.TextDelta(content, self._next - 1, logprobs=as_logprobs(payload.get("logprobs")))
        for call in as_rows(message.get("tool_calls")):
            if isinstance(call.get("function"), dict):
                yield from self._call(call, call["function"])

    def _call(self, call: Mapping[str, Any], function: Mapping[str, Any]) -> Iterator[ev.Event]:
        """Calls come whole, so each ends where it starts."""
        yield from self._close_open()
        index, self._called = self._take(), True
        id, arguments = call.get("id"), function.get("arguments")
        yield ev.ToolCallStarted(str(id) if id else f"{self._prefix}_{index}", str(function.get("name") or ""), index)
        yield ev.ToolCallDelta(_text(arguments), index)
        yield ev.PartEnded(index)

    def _switch(self, kind: str) -> Iterator[ev.Event]:
        if self._open is None or self._open[0] != kind:
            yield from self._close_open()
            self._open = (kind, self._take())

    def _close_open(self) -> Iterator[ev.Event]:
        if self._open is not None:
            yield ev.PartEnded(self._open[1])
            self._open = None

    def _take(self) -> int:
        self._next += 1
        return self._next - 1

    def end(self, *, marked: bool) -> Iterator[ev.Event]:
        if not self.done:
            what = "ended without saying that it had finished" if self._prefix else "sent no answer"
            raise bad(self._card, what)
        yield from self._close_open()
        if self._usage is not None:
            yield ev.UsageReported(self._usage)
        # The dialect says stop after a call too; what was sent is what counts.
        yield ev.Finished("tool_calls" if self._called and self._reason == "stop" else self._reason)


def _text(arguments: Any) -> str:
    """Some servers send the JSON text instead of the object."""
    return arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)


def read_usage(body: Mapping[str, Any]) -> Usage | None:
    """The counts of the last line; thinking is inside the output. None where there are none."""
    prompt, output = body.get("prompt_eval_count"), body.get("eval_count")
    if prompt is None and output is None:
        return None
    return Usage(input_tokens=as_count(prompt), output_tokens=as_count(output))
