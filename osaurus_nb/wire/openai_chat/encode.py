"""Our events become Chat Completions chunks, a whole answer its body, an error its error object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from osaurus_nb import events as ev
from osaurus_nb.errors import OsaurusError
from osaurus_nb.messages import Reasoning, ToolCall
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.request import ChatRequest
from osaurus_nb.wire._osaurus import Route, RouteEvent, about
from osaurus_nb.wire._sse import DONE, frame


def event_encoder(request: ChatRequest, *, id: str, created: int) -> ChatEncoder:
    return ChatEncoder(request, id=id, created=created)


class ChatEncoder:
    """Writes one answer. The key `osaurus` on the first and last chunk says who really answered, and how."""

    def __init__(self, request: ChatRequest, *, id: str, created: int) -> None:
        self._include_usage = request.delivery.include_usage
        self._frame: dict[str, Any] = {
            "id": f"chatcmpl-{id}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": request.model,
        }
        self._tools: dict[tuple[int, int], int] = {}
        self._opened: set[int] = set()
        self._usage: Usage | None = None
        self._route = Route(id, explained=request.route.explain)

    def encode(self, event: ev.Event) -> bytes:
        match event:
            case ev.TextDelta():
                return self._delta(event.choice, {"content": event.text}, _logprobs(event.logprobs))
            case ev.ReasoningDelta():
                return self._delta(event.choice, {"reasoning_content": event.text}) if event.text else b""
            case ev.ToolCallStarted():
                return self._call(event, {"id": event.id, "type": "function"}, name=event.name, arguments="")
            case ev.ToolCallDelta():
                return self._call(event, {}, arguments=event.arguments)
            case ev.Finished():
                return self._open(event.choice) + self._chunk(event.choice, {}, event.finish_reason, self._route.last())
            case ev.Failed():
                return self._failed(event.error)
            case ev.UsageReported():
                self._usage = event.usage
            case ev.PartEnded() | ev.Relayed():
                pass
            case _:  # what is told of the route
                self._note(event)
        return b""

    def close(self) -> bytes:
        if not (self._include_usage and self._usage):
            return DONE
        return frame({**self._frame, "choices": [], "usage": write_usage(self._usage)}) + DONE

    def body(self, answer: ev.Answer) -> dict[str, Any]:
        self._route.take(answer)
        if answer.asked is not None:
            self._frame["model"] = answer.model
        return {
            **self._frame,
            "object": "chat.completion",
            "choices": [_choice(at, choice) for at, choice in enumerate(answer.choices)],
            "usage": write_usage(answer.usage or Usage(estimated=True)),
            "osaurus": {**self._route.first(), **(self._route.last() or {})},
        }

    def _note(self, event: RouteEvent) -> None:
        self._route.note(event)
        if isinstance(event, ev.Substituted):
            self._frame["model"] = event.answering

    def _open(self, choice: int) -> bytes:
        if choice in self._opened:
            return b""
        extension = self._route.first() if not self._opened else None
        self._opened.add(choice)
        return self._chunk(choice, {"role": "assistant", "content": ""}, None, extension)

    def _delta(self, choice: int, delta: dict[str, Any], logprobs: Any = None) -> bytes:
        return self._open(choice) + self._chunk(choice, delta, logprobs=logprobs)

    def _call(self, event: ev.ToolCallStarted | ev.ToolCallDelta, head: dict[str, str], **function: str) -> bytes:
        among = sum(1 for choice, _ in self._tools if choice == event.choice)
        at = self._tools.setdefault((event.choice, event.index), among)
        return self._delta(event.choice, {"tool_calls": [{"index": at, **head, "function": function}]})

    def _failed(self, error: OsaurusError) -> bytes:
        body = {**self._frame, "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}], **encode_error(error)}
        return frame(body)

    def _chunk(
        self,
        choice: int,
        delta: dict[str, Any],
        finish_reason: str | None = None,
        extension: Mapping[str, Any] | None = None,
        *,
        logprobs: Any = None,
    ) -> bytes:
        row = {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        chunk = {**self._frame, "choices": [row]}
        if extension:
            chunk["osaurus"] = extension
        return frame(chunk)


def status(error: OsaurusError) -> int:
    """The HTTP status of an error in this dialect."""
    return error.status


def encode_error(error: OsaurusError) -> dict[str, Any]:
    """The error object of the dialect; safe to show, as every error of ours is."""
    return {"error": {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}}


def encode_models(cards: Iterable[ModelCard]) -> dict[str, Any]:
    """`GET /v1/models`."""
    return {"object": "list", "data": [encode_model(card) for card in cards]}


def encode_model(card: ModelCard) -> dict[str, Any]:
    """`GET /v1/models/{id}`."""
    return {
        "id": card.name,
        "object": "model",
        "created": card.created,
        "owned_by": card.provider,
        "osaurus": about(card),
    }


def _choice(at: int, choice: ev.Choice) -> dict[str, Any]:
    calls = choice.message.tool_calls
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.message.text if choice.message.text or not calls else None,
        "refusal": None,
        "annotations": [],
    }
    if thinking := "".join(part.text for part in choice.message.parts if isinstance(part, Reasoning)):
        message["reasoning_content"] = thinking
    if calls:
        message["tool_calls"] = [_whole_call(call) for call in calls]
    return {
        "index": at,
        "message": message,
        "logprobs": _logprobs(choice.logprobs),
        "finish_reason": choice.finish_reason,
    }


def _whole_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _logprobs(tokens: Sequence[ev.TokenLogprob]) -> dict[str, Any] | None:
    if not tokens:
        return None
    rows = [
        {**_scored(token.token, token.logprob), "top_logprobs": [_scored(*rival) for rival in token.top]}
        for token in tokens
    ]
    return {"content": rows, "refusal": None}


def _scored(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def write_usage(usage: Usage) -> dict[str, Any]:
    """The counts as OpenAI's two dialects of completions have them."""
    body: dict[str, Any] = {
        "prompt_tokens": usage.total_input,
        "completion_tokens": usage.total_output,
        "total_tokens": usage.total,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_input_tokens,
            "cache_write_tokens": usage.cache_creation_input_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_output_tokens},
    }
    return body | ({"estimated": True} if usage.estimated else {})
