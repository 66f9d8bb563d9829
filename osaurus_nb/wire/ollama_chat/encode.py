"""Our events become lines of /api/chat or /api/generate, a whole answer its body, an error its error object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from osaurus_nb import events as ev
from osaurus_nb.errors import OsaurusError
from osaurus_nb.messages import Message, Opaque, Reasoning, ToolCall
from osaurus_nb.models import Timings, Usage
from osaurus_nb.request import ChatRequest
from osaurus_nb.wire._osaurus import Route
from osaurus_nb.wire.ollama_chat import _write as write
from osaurus_nb.wire.ollama_chat._names import NAME, when

#: Sent in a silence, on either path: a line that says nothing yet.
PING = write.line({"message": {"role": "assistant", "content": ""}, "response": "", "done": False})

Elapsed = Callable[[], float]


def _untimed() -> float:
    return 0.0


def event_encoder(request: ChatRequest, *, id: str, created: int, elapsed: Elapsed = _untimed) -> LineEncoder:
    """For /api/chat. `elapsed` tells the seconds since the question came; without it the times are zero."""
    return LineEncoder(_Message(), request, id=id, created=created, elapsed=elapsed)


def generate_encoder(request: ChatRequest, *, id: str, created: int, elapsed: Elapsed = _untimed) -> LineEncoder:
    """For /api/generate."""
    return LineEncoder(_Response(), request, id=id, created=created, elapsed=elapsed)


def encode_loaded(request: ChatRequest, *, created: int, unloaded: bool = False) -> dict[str, Any]:
    """The one line that answers who only wants a model loaded, on either path."""
    done = {"done": True, "done_reason": "unload" if unloaded else "load"}
    empty = {"message": {"role": "assistant", "content": ""}, "response": ""}
    return {"model": request.model, "created_at": when(created), **empty, **done}


def encode_error(error: OsaurusError) -> dict[str, Any]:
    """The error object of the dialect; safe to show, as every error of ours is."""
    return write.error(error)


class _Message:
    """How /api/chat says something."""

    def said(self, content: str = "", *, thinking: str = "", calls: list[dict[str, Any]] | None = None) -> Any:
        message: dict[str, Any] = {"role": "assistant", "content": content}
        message |= ({"thinking": thinking} if thinking else {}) | ({"tool_calls": calls} if calls else {})
        return {"message": message}


class _Response:
    """How /api/generate says something. No tools are offered there, so none are called."""

    def said(self, content: str = "", *, thinking: str = "", calls: list[dict[str, Any]] | None = None) -> Any:
        return {"response": content} | ({"thinking": thinking} if thinking else {})


class LineEncoder:
    """Writes one answer. A call is written when it is whole, for the dialect has no pieces of calls."""

    def __init__(
        self, form: _Message | _Response, request: ChatRequest, *, id: str, created: int, elapsed: Elapsed
    ) -> None:
        self._form = form
        self._head = {"model": request.model, "created_at": when(created)}
        self._route = Route(id, explained=request.route.explain)
        self._elapsed = elapsed
        self._begun: float | None = None  # when the first word went out
        self._failed = False
        self._usage: Usage | None = None
        self._calls: dict[int, _Call] = {}

    def encode(self, event: ev.Event) -> bytes:
        if self._failed:
            return b""
        match event:
            case ev.TextDelta() | ev.ReasoningDelta() | ev.ToolCallStarted() | ev.ToolCallDelta() | ev.PartEnded():
                return self._part(event) if event.choice == 0 else b""
            case ev.UsageReported():
                self._usage = event.usage
            case ev.Finished():
                return self._finish(event) if event.choice == 0 else b""
            case ev.Failed():
                return self._fail(event.error)
            case ev.Relayed():
                pass
            case _:  # what is told of the route
                self._route.note(event)
                if isinstance(event, ev.Substituted):
                    self._head["model"] = event.answering
        return b""

    def close(self) -> bytes:
        return b""

    def body(self, answer: ev.Answer) -> dict[str, Any]:
        self._route.take(answer)
        if answer.asked is not None:
            self._head["model"] = answer.model
        choice = answer.choices[0]
        for part in choice.message.parts:
            self._note_lost(part.provider_metadata)
        ending = write.ending(choice.finish_reason, answer.usage, answer.timings or Timings(self._elapsed()))
        said = self._whole(choice.message, cut=choice.finish_reason == "length")
        extension = {**self._route.first(), **(self._route.last() or {})}
        return {**self._head, **said, **write.logprobs(choice.logprobs), **ending, "osaurus": extension}

    def _whole(self, message: Message, *, cut: bool) -> Any:
        calls = []
        for call in message.tool_calls:
            args = write.arguments(call.arguments)
            if args is not None:
                calls.append(write.call(call.id, call.name, args))
            elif cut:
                self._note_cut(call)
            else:
                raise write.broken_call(call.name)
        thinking = "".join(part.text for part in message.parts if isinstance(part, Reasoning))
        return self._form.said(message.text, thinking=thinking, calls=calls)

    def _part(self, event: _PartEvent) -> bytes:
        match event:
            case ev.TextDelta():
                return self._say(event.text, **write.logprobs(event.logprobs)) if event.text else b""
            case ev.ReasoningDelta():
                self._note_lost(event.provider_metadata)
                return self._line(self._form.said(thinking=event.text)) if event.text else b""
            case ev.ToolCallStarted():
                self._calls[event.index] = _Call(event.id, event.name)
            case ev.ToolCallDelta():
                self._calls[event.index].pieces.append(event.arguments)
            case ev.PartEnded():
                self._note_lost(event.provider_metadata)
                return self._call(self._calls.pop(event.index, None))
        return b""

    def _call(self, call: _Call | None) -> bytes:
        if call is None:
            return b""
        args = write.arguments("".join(call.pieces))
        if args is None:
            return self._fail(write.broken_call(call.name))
        return self._line(self._form.said(calls=[write.call(call.id, call.name, args)]))

    def _finish(self, event: ev.Finished) -> bytes:
        for call in self._calls.values():
            self._note_cut(call)
        ending = write.ending(event.finish_reason, self._usage, Timings(self._elapsed(), self._begun))
        last = self._route.last()
        return self._line({**self._form.said(), **ending, **({"osaurus": last} if last else {})})

    def _fail(self, error: OsaurusError) -> bytes:
        self._failed = True
        return write.line(write.error(error))

    def _say(self, text: str, **fields: Any) -> bytes:
        return self._line({**self._form.said(text), **fields})

    def _line(self, fields: Mapping[str, Any]) -> bytes:
        head = {**self._head, "done": False}
        if self._begun is None:
            self._begun = self._elapsed()
            head["osaurus"] = self._route.first()
        return write.line({**head, **fields})

    def _note_cut(self, call: _Call | ToolCall) -> None:
        self._route.note(ev.Warned("tool_call_cut", f"The call of '{call.name}' broke off and was left out."))

    def _note_lost(self, metadata: Opaque | None) -> None:
        """The dialect has no place for what a provider attached for itself."""
        if lost := sorted(name for name in metadata or {} if name != NAME):
            said = f"What only {', '.join(lost)} understands has no place in this answer."
            self._route.note(ev.Warned("opaque_state_dropped", said, "message"))


_PartEvent = ev.TextDelta | ev.ReasoningDelta | ev.ToolCallStarted | ev.ToolCallDelta | ev.PartEnded


class _Call:
    """A call while it is written."""

    def __init__(self, id: str, name: str) -> None:
        self.id = id
        self.name = name
        self.pieces: list[str] = []
