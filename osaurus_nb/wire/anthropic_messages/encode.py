"""Our events become a Messages stream, a whole answer its body, an error its error object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osaurus_nb import events as ev
from osaurus_nb.errors import BadAnswer, OsaurusError
from osaurus_nb.messages import Opaque, Part, Text, ToolCall
from osaurus_nb.models import Usage
from osaurus_nb.request import ChatRequest
from osaurus_nb.wire._opaque import AS_SENT, own
from osaurus_nb.wire._osaurus import Route
from osaurus_nb.wire._sse import frame
from osaurus_nb.wire.anthropic_messages import _write as write
from osaurus_nb.wire.anthropic_messages._versions import NAME

#: Sent in a silence. A comment would do for the vendor's SDK, but not for everyone's.
PING = frame({"type": "ping"}, event="ping")


def event_encoder(request: ChatRequest, *, id: str, created: int) -> MessagesEncoder:
    return MessagesEncoder(request, id=id)


class MessagesEncoder:
    """Writes one answer: one block after the other, each opened and closed once.

    A block is closed before the next one starts. So while a call is being written, what belongs to later parts waits
    for its end: only a finished call may be closed.
    """

    def __init__(self, request: ChatRequest, *, id: str) -> None:
        thinking = (own(request.provider_metadata, NAME).get(AS_SENT) or {}).get("thinking") or {}
        self._quiet = thinking.get("display") == "omitted"
        self._id = id
        self._model = request.model
        self._usage: Usage | None = None
        self._route = Route(id, explained=request.route.explain)
        self._begun = False
        self._finished = False
        self._next = 0
        self._open: _Block | None = None
        self._waiting: list[_PartEvent] = []

    def encode(self, event: ev.Event) -> bytes:
        match event:
            case ev.TextDelta() | ev.ReasoningDelta() | ev.ToolCallStarted() | ev.ToolCallDelta() | ev.PartEnded():
                return self._part(event) if event.choice == 0 else b""
            case ev.UsageReported():
                self._usage = event.usage
            case ev.Finished():
                return self._finish(event) if event.choice == 0 else b""
            case ev.Failed():
                return frame(write.error(event.error, request_id=self._id), event="error")
            case ev.Relayed():
                pass
            case _:  # what is told of the route
                self._route.note(event)
                if isinstance(event, ev.Substituted):
                    self._model = event.answering
        return b""

    def close(self) -> bytes:
        return frame({"type": "message_stop"}, event="message_stop") if self._finished else b""

    def body(self, answer: ev.Answer) -> dict[str, Any]:
        self._route.take(answer)
        if answer.asked is not None:
            self._model = answer.model
        choice = answer.choices[0]
        blocks = [block for part in choice.message.parts for block in self._whole(part, answer)]
        return {
            **self._head(),
            "content": blocks,
            **write.ending(choice.finish_reason, choice.stop_sequence),
            "usage": write.usage(answer.usage),
            "osaurus": {**self._route.first(), **(self._route.last() or {})},
        }

    def _whole(self, part: Part, answer: ev.Answer) -> list[dict[str, Any]]:
        if isinstance(part, Text | ToolCall):
            self._note_lost(part.provider_metadata)
        if not isinstance(part, ToolCall) or (arguments := write.arguments(part)) is not None:
            return write.whole(part, arguments if isinstance(part, ToolCall) else None, quiet=self._quiet)
        if answer.finish_reason == "tool_calls":
            said = f"{answer.provider} called '{part.name}' with arguments that are no JSON object."
            raise BadAnswer(said, provider=answer.provider, model=answer.model)
        self._route.note(ev.Warned("tool_call_cut", f"The call of '{part.name}' broke off and was left out."))
        return []

    def _head(self) -> dict[str, Any]:
        head = {"id": f"msg_{self._id}", "type": "message", "role": "assistant", "model": self._model}
        return {**head, **write.NOTHING}

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        message = {
            **self._head(),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": write.usage(self._usage),
            "osaurus": self._route.first(),
        }
        return frame({"type": "message_start", "message": message}, event="message_start")

    def _part(self, event: _PartEvent) -> bytes:
        if self._open is not None and event.index != self._open.part:
            if self._open.kind == "tool_use":
                self._waiting.append(event)
                return b""
            if isinstance(event, ev.PartEnded) and not event.provider_metadata:
                return b""
            return self._stop() + self._part(event)
        written = self._written(event)
        return self._begin() + written if written else b""

    def _written(self, event: _PartEvent) -> bytes:
        match event:
            case ev.TextDelta():
                return self._start("text", event) + self._delta("text", event.text) if event.text else b""
            case ev.ReasoningDelta():
                return self._think(event)
            case ev.ToolCallStarted():
                return self._start("tool_use", event, id=event.id, name=event.name)
            case ev.ToolCallDelta():
                return self._delta("tool_use", event.arguments) if self._open and event.arguments else b""
            case ev.PartEnded():
                return self._end(event)

    def _think(self, event: ev.ReasoningDelta) -> bytes:
        redacted = own(event.provider_metadata, NAME).get("data")
        if isinstance(redacted, str):
            return self._start("redacted_thinking", event, data=redacted)
        if not event.text and not event.provider_metadata:
            return b""
        start = self._start("thinking", event)
        if self._open is not None:
            self._open.note(event.provider_metadata)
        return start + (self._delta("thinking", event.text) if event.text and not self._quiet else b"")

    def _start(self, kind: str, event: _PartEvent, **fields: Any) -> bytes:
        if self._open is not None:
            return b""
        self._open = _Block(kind, event.index, self._next)
        self._next += 1
        block = {"type": kind, **write.EMPTY[kind], **fields}
        payload = {"type": "content_block_start", "index": self._open.at, "content_block": block}
        return frame(payload, event="content_block_start")

    def _delta(self, kind: str, text: str) -> bytes:
        return self._change(write.delta(kind, text))

    def _change(self, delta: Mapping[str, Any]) -> bytes:
        assert self._open is not None
        payload = {"type": "content_block_delta", "index": self._open.at, "delta": delta}
        return frame(payload, event="content_block_delta")

    def _end(self, event: ev.PartEnded) -> bytes:
        if self._open is None and not event.provider_metadata:
            return b""
        start = self._start("thinking", event)  # not yet begun: thinking without a word, but with a provider's state
        assert self._open is not None
        self._open.note(event.provider_metadata)
        return start + self._stop() + self._resume()

    def _stop(self) -> bytes:
        """Close the open block, with what its provider attached."""
        block = self._open
        assert block is not None
        attached = b""
        if block.kind == "thinking":
            attached = self._change({"type": "signature_delta", "signature": write.signature(block.metadata)})
        elif block.kind != "redacted_thinking":
            cited = own(block.metadata, NAME).get("citations") or ()
            attached = b"".join(self._change({"type": "citations_delta", "citation": row}) for row in cited)
            self._note_lost(block.metadata)
        self._open = None
        return attached + frame({"type": "content_block_stop", "index": block.at}, event="content_block_stop")

    def _resume(self) -> bytes:
        waiting, self._waiting = self._waiting, []
        return b"".join(self._part(event) for event in waiting)

    def _finish(self, event: ev.Finished) -> bytes:
        written = self._begin()
        while self._open is not None:  # cut by the limit: the reason tells that it is not whole
            written += self._stop() + self._resume()
        self._finished = True
        payload = {
            "type": "message_delta",
            "delta": {"container": None, **write.ending(event.finish_reason, event.stop_sequence)},
            "usage": write.usage(self._usage),
            **({"osaurus": last} if (last := self._route.last()) else {}),
        }
        return written + frame(payload, event="message_delta")

    def _note_lost(self, metadata: Opaque | None) -> None:
        """Text and calls have no place for another dialect's state."""
        if lost := sorted(name for name in metadata or {} if name != NAME):
            said = f"What only {', '.join(lost)} understands has no place in this answer."
            self._route.note(ev.Warned("opaque_state_dropped", said, "content"))


_PartEvent = ev.TextDelta | ev.ReasoningDelta | ev.ToolCallStarted | ev.ToolCallDelta | ev.PartEnded


class _Block:
    """The block being written: its kind, our index of the part and its own in the answer."""

    def __init__(self, kind: str, part: int, at: int) -> None:
        self.kind = kind
        self.part = part
        self.at = at
        self.metadata: dict[str, Any] = {}

    def note(self, metadata: Opaque | None) -> None:
        self.metadata |= metadata or {}


def encode_error(error: OsaurusError, *, request_id: str | None = None) -> dict[str, Any]:
    """The error object of the dialect; safe to show, as every error of ours is."""
    return write.error(error, request_id=request_id)


def encode_token_count(count: int) -> dict[str, Any]:
    """The answer of `count_tokens`."""
    return {"input_tokens": count}
