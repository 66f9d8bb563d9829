"""Our events become generateContent responses, a whole answer its body, an error its error object."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from osaurus_nb import events as ev
from osaurus_nb.errors import OsaurusError
from osaurus_nb.messages import Opaque, Part, Reasoning, Text, ToolCall
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.request import ChatRequest
from osaurus_nb.wire._opaque import AS_SENT, own
from osaurus_nb.wire._osaurus import Route, about
from osaurus_nb.wire._sse import frame
from osaurus_nb.wire.google_generate import _write as write
from osaurus_nb.wire.google_generate._names import NAME

#: Sent in a silence: the vendor's clients crash or stall on a comment.
PING = b"\n"


def event_encoder(request: ChatRequest, *, id: str, created: int, array: bool = False) -> GenerateEncoder:
    """`array` writes one JSON array, as the vendor does where the address does not say `alt=sse`."""
    return GenerateEncoder(request, id=id, array=array)


class GenerateEncoder:
    """Writes one answer. A call is written when it is whole, for the dialect has no pieces of calls."""

    def __init__(self, request: ChatRequest, *, id: str, array: bool = False) -> None:
        thinking = (own(request.provider_metadata, NAME).get(AS_SENT) or {}).get("thinkingConfig")
        #: Callers of this dialect see thoughts only where they ask for them; other callers cannot ask.
        self._quiet = not (thinking or {}).get("includeThoughts", False)
        self._id = id
        self._model = request.model
        self._route = Route(id, explained=request.route.explain)
        self._array = array
        self._begun = False
        self._usage: Usage | None = None
        self._parts: dict[tuple[int, int], _PartState] = {}
        self._broken: dict[int, str] = {}

    def encode(self, event: ev.Event) -> bytes:
        match event:
            case ev.TextDelta() | ev.ReasoningDelta() | ev.ToolCallStarted() | ev.ToolCallDelta() | ev.PartEnded():
                return self._part(event)
            case ev.UsageReported():
                self._usage = event.usage
            case ev.Finished():
                return self._finish(event)
            case ev.Failed():
                return self._failed(event.error)
            case ev.Relayed():
                pass
            case _:  # what is told of the route
                self._route.note(event)
                if isinstance(event, ev.Substituted):
                    self._model = event.answering
        return b""

    def close(self) -> bytes:
        if not self._array:
            return b""
        return b"]" if self._begun else b"[]"

    def body(self, answer: ev.Answer) -> dict[str, Any]:
        self._route.take(answer)
        if answer.asked is not None:
            self._model = answer.model
        candidates = [self._whole(at, choice) for at, choice in enumerate(answer.choices)]
        extension = {**self._route.first(), **(self._route.last() or {})}
        return {**self._response(candidates, extension), **write.usage(answer.usage)}

    def _whole(self, at: int, choice: ev.Choice) -> dict[str, Any]:
        parts = [body for part in choice.message.parts for body in self._written(part, at, choice.finish_reason)]
        ending = write.ending(choice.finish_reason, self._broken.get(at))
        return {**write.candidate(at, parts, choice.logprobs), **ending}

    def _written(self, part: Part, at: int, reason: ev.FinishReason) -> Iterator[dict[str, Any]]:
        metadata = part.provider_metadata
        match part:
            case Text(text=text) if text or metadata:
                yield write.said(text, metadata)
            case Reasoning(text=text) if metadata or not self._quiet:
                yield write.said("" if self._quiet else text, metadata, thought=True)
            case ToolCall(id=id, name=name) if (args := write.arguments(part.arguments)) is not None:
                yield write.call(id, name, args, metadata)
            case ToolCall(name=name) if reason == "length":
                self._note_cut(name)
            case ToolCall(name=name):
                self._broken[at] = name

    def _part(self, event: _PartEvent) -> bytes:
        key = (event.choice, event.index)
        match event:
            case ev.TextDelta():
                self._parts.setdefault(key, _PartState("text"))
                return self._say(event.choice, [write.said(event.text)], event.logprobs) if event.text else b""
            case ev.ReasoningDelta():
                self._parts.setdefault(key, _PartState("thought")).note(event.provider_metadata)
                shown = event.text and not self._quiet
                return self._say(event.choice, [write.said(event.text, thought=True)]) if shown else b""
            case ev.ToolCallStarted():
                self._parts[key] = _PartState("call", event.id, event.name)
            case ev.ToolCallDelta():
                self._parts[key].arguments.append(event.arguments)
            case ev.PartEnded():
                return self._end(event)
        return b""

    def _end(self, event: ev.PartEnded) -> bytes:
        # Only thinking may end without a word: what matters of it is what the provider attached.
        state = self._parts.pop((event.choice, event.index), None) or _PartState("thought")
        state.note(event.provider_metadata)
        if state.kind != "call":
            part = write.said("", state.metadata, thought=state.kind == "thought")
            return self._say(event.choice, [part]) if "thoughtSignature" in part else b""
        args = write.arguments("".join(state.arguments))
        if args is None:
            self._broken[event.choice] = state.name
            return b""
        return self._say(event.choice, [write.call(state.id, state.name, args, state.metadata)])

    def _finish(self, event: ev.Finished) -> bytes:
        for choice, index in list(self._parts):
            state = self._parts.pop((choice, index)) if choice == event.choice else None
            if state is not None and state.kind == "call":
                self._note_cut(state.name)
        ending = write.ending(event.finish_reason, self._broken.get(event.choice))
        candidate = {**write.candidate(event.choice, []), **ending}
        return self._frame({**self._response([candidate], self._route.last()), **write.usage(self._usage)})

    def _failed(self, error: OsaurusError) -> bytes:
        """Without `data:`, on one line: the vendor's clients see an error in no other way."""
        return self._frame(write.error(error)) if self._array else _line(write.error(error)) + b"\n\n"

    def _note_cut(self, name: str) -> None:
        self._route.note(ev.Warned("tool_call_cut", f"The call of '{name}' broke off and was left out."))

    def _say(self, choice: int, parts: Sequence[Mapping[str, Any]], tokens: Sequence[ev.TokenLogprob] = ()) -> bytes:
        extension = None if self._begun else self._route.first()
        return self._frame(self._response([write.candidate(choice, parts, tokens)], extension))

    def _response(self, candidates: list[dict[str, Any]], extension: Mapping[str, Any] | None) -> dict[str, Any]:
        body = {"candidates": candidates, "modelVersion": self._model, "responseId": self._id}
        return body | ({"osaurus": extension} if extension else {})

    def _frame(self, payload: Mapping[str, Any]) -> bytes:
        first, self._begun = not self._begun, True
        if not self._array:
            return frame(payload)
        return (b"[" if first else b",\n") + _line(payload)


_PartEvent = ev.TextDelta | ev.ReasoningDelta | ev.ToolCallStarted | ev.ToolCallDelta | ev.PartEnded


class _PartState:
    """A part while it is written."""

    def __init__(self, kind: str, id: str = "", name: str = "") -> None:
        self.kind = kind
        self.id = id
        self.name = name
        self.arguments: list[str] = []
        self.metadata: dict[str, Any] = {}

    def note(self, metadata: Opaque | None) -> None:
        self.metadata |= metadata or {}


def _line(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode("ascii")


def encode_error(error: OsaurusError) -> dict[str, Any]:
    """The error object of the dialect; safe to show, as every error of ours is."""
    return write.error(error)


def encode_models(cards: Iterable[ModelCard]) -> dict[str, Any]:
    """`GET /v1beta/models`."""
    return {"models": [encode_model(card) for card in cards]}


def encode_model(card: ModelCard) -> dict[str, Any]:
    """`GET /v1beta/models/{id}`."""
    generates = ["generateContent", "streamGenerateContent", "countTokens"]
    fields = {
        "inputTokenLimit": card.context_length,
        "outputTokenLimit": card.max_output_tokens,
        "thinking": card.capabilities.reasoning,
        "osaurus": about(card) or None,
    }
    return {
        "name": f"models/{card.name}",
        "version": "1",
        "displayName": card.name,
        "supportedGenerationMethods": ["embedContent"] if card.capabilities.embeddings else generates,
        **{key: value for key, value in fields.items() if value is not None},
    }


def encode_token_count(count: int) -> dict[str, Any]:
    """The answer of `countTokens`."""
    return {"totalTokens": count}


def encode_embedding(vector: Sequence[float]) -> dict[str, Any]:
    """The answer of `embedContent`."""
    return {"embedding": {"values": list(vector)}}


def encode_embeddings(vectors: Iterable[Sequence[float]]) -> dict[str, Any]:
    """The answer of `batchEmbedContents`."""
    return {"embeddings": [{"values": list(vector)} for vector in vectors]}
