"""A ChatRequest becomes a Chat Completions body for a provider."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from osaurus_nb import request as ask
from osaurus_nb.errors import Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.messages import Media, Message, Text, ToolCall, ToolResult
from osaurus_nb.models import ModelCard
from osaurus_nb.wire import _opaque
from osaurus_nb.wire._codec import Encoded

#: The name under which the dialect keeps what only it understands.
DIALECT = "openai"
#: A card with this quirk takes `max_completion_tokens` and only default sampling (o-series, gpt-5 and later).
REASONER = "reasoner"


def endpoint(card: ModelCard) -> str:
    return "/chat/completions"


def models_path() -> str:
    return "/models"


def auth(key: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


def encode_request(request: ask.ChatRequest, card: ModelCard) -> Encoded:
    """The body to send, always streaming and with usage. Keys we do not know go along as they came."""
    _opaque.refuse_raw(request, "Chat Completions")
    sampling, warnings = _sampling(request.sampling, card)
    body: dict[str, Any] = {
        **_extra(request),
        "model": card.id,
        "messages": [body for message in request.messages for body in _messages(message)],
        "stream": True,
        "stream_options": {"include_usage": True},
        **_tools(request),
        **sampling,
    }
    if request.response_format is not None:
        body["response_format"] = _response_format(request.response_format)
    if request.reasoning_effort is not None:
        body["reasoning_effort"] = request.reasoning_effort
    return Encoded(body, (*warnings, *_opaque.dropped(request, DIALECT)))


def _extra(request: ask.ChatRequest) -> dict[str, Any]:
    """Keys that no field of ours knows. Not storing is what Chat does unasked, and some servers refuse the word."""
    return {key: value for key, value in request.extra.items() if (key, value) != ("store", False)}


def _messages(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        for result in (part for part in message.parts if isinstance(part, ToolResult)):
            yield {**message.extra, "role": "tool", "tool_call_id": result.call_id, "content": _result(result)}
        return
    body: dict[str, Any] = {**message.extra, "role": message.role, "content": _content(message)}
    if message.name is not None:
        body["name"] = message.name
    if message.tool_calls:
        body["tool_calls"] = [_call(call) for call in message.tool_calls]
    yield body


def _content(message: Message) -> str | list[dict[str, Any]] | None:
    shown = [part for part in message.parts if isinstance(part, Text | Media)]
    if not shown and message.tool_calls:
        return None
    if all(isinstance(part, Text) for part in shown):
        return message.text
    return [_part(part) for part in shown]


def _part(part: Text | Media) -> dict[str, Any]:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Media(kind="image"):
            image = {"url": _url(part)} | ({"detail": part.detail} if part.detail else {})
            return {"type": "image_url", "image_url": image}
        case Media(kind="audio", data=bytes() as data):
            fmt = (part.media_type or "audio/wav").rpartition("/")[2]
            return {"type": "input_audio", "input_audio": {"data": base64.b64encode(data).decode(), "format": fmt}}
        case Media(kind="document", data=bytes()):
            named = {"filename": part.filename} if part.filename else {}
            return {"type": "file", "file": {"file_data": _url(part)} | named}
        case _:
            raise Unsupported(f"Chat Completions cannot carry {part.kind} this way; send its bytes as another kind.")


def _url(media: Media) -> str:
    if media.data is None:
        return media.url or ""
    return f"data:{media.media_type or 'application/octet-stream'};base64,{base64.b64encode(media.data).decode()}"


def _result(result: ToolResult) -> str | list[dict[str, Any]]:
    if all(isinstance(part, Text) for part in result.parts):
        return result.text
    return [_part(part) for part in result.parts]


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _tools(request: ask.ChatRequest) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if request.tools:
        body["tools"] = [{"type": "function", "function": _function(tool)} for tool in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    return body


def _function(tool: ask.Tool) -> dict[str, Any]:
    body: dict[str, Any] = {"name": tool.name, "parameters": dict(tool.parameters)}
    if tool.description:
        body["description"] = tool.description
    if tool.strict is not None:
        body["strict"] = tool.strict
    return body


def _tool_choice(choice: ask.ToolChoice) -> str | dict[str, Any]:
    return {"type": "function", "function": {"name": choice.name}} if isinstance(choice, ask.NamedTool) else choice


def _response_format(spec: ask.ResponseFormat) -> dict[str, Any]:
    if spec.kind != "json_schema":
        return {"type": spec.kind}
    fields = {
        "name": spec.name or "answer",
        "schema": spec.schema,
        "strict": spec.strict,
        "description": spec.description,
    }
    return {"type": "json_schema", "json_schema": {key: value for key, value in fields.items() if value is not None}}


DEFAULT_ONLY = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs")


def _sampling(sampling: ask.Sampling, card: ModelCard) -> tuple[dict[str, Any], tuple[Warned, ...]]:
    reasoner = REASONER in card.quirks
    fields = {
        "max_completion_tokens" if reasoner else "max_tokens": sampling.max_output_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "repetition_penalty": sampling.repetition_penalty,
        "logit_bias": dict(sampling.logit_bias) if sampling.logit_bias is not None else None,
        "logprobs": sampling.logprobs or None,
        "top_logprobs": sampling.top_logprobs,
        "n": sampling.n if sampling.n > 1 else None,
    }
    body = {key: value for key, value in fields.items() if value is not None}
    dropped = [key for key in DEFAULT_ONLY if reasoner and key in body]
    warnings = tuple(
        Warned("parameter_dropped", f"'{card.name}' takes only the default for '{key}'.", key) for key in dropped
    )
    return {key: value for key, value in body.items() if key not in dropped}, warnings
