"""A ChatRequest becomes an /api/chat body for a provider."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from osaurus_nb import request as ask
from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.messages import Media, Message, Part, Reasoning, Text, ToolCall, ToolResult
from osaurus_nb.models import ModelCard
from osaurus_nb.wire import _opaque, _openai_keys
from osaurus_nb.wire._codec import Encoded
from osaurus_nb.wire._inbound import data_url
from osaurus_nb.wire._tools import written
from osaurus_nb.wire.ollama_chat import _thinking
from osaurus_nb.wire.ollama_chat._names import NAME


def endpoint(card: ModelCard) -> str:
    return "/api/chat"


def models_path() -> str:
    return "/api/tags"


def auth(key: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


def encode_request(request: ask.ChatRequest, card: ModelCard) -> Encoded:
    """The body to send, always streaming. Keys we do not know go along as they came."""
    if request.sampling.n > 1:
        raise Unsupported("Ollama gives one answer for each request; ask again for another.", param="n")
    if request.tool_choice == "required" or isinstance(request.tool_choice, ask.NamedTool):
        raise Unsupported("Ollama cannot be made to call a tool; let the model choose.", param="tool_choice")
    raw = _opaque.is_raw(request)
    state = _opaque.own(request.provider_metadata, NAME)
    options = {**(state.get("options") or {}), **_options(request.sampling)}
    think, unthought = _think(request, card, state)
    fields: dict[str, Any] = {
        "tools": _tools(request) or None,
        "format": _format(request.response_format),
        "think": think,
        "options": options or None,
        "keep_alive": state.get("keep_alive"),
        "logprobs": request.sampling.logprobs or None,
        "top_logprobs": request.sampling.top_logprobs,
    }
    body: dict[str, Any] = {
        **_openai_keys.without(request.extra),
        "model": card.id,
        **(_raw(request) if raw else {"messages": list(_messages(request.messages))}),
        "stream": True,
        **{key: value for key, value in fields.items() if value is not None},
    }
    warnings = (*_told(request), *unthought, *_opaque.dropped(request, NAME))
    return Encoded(body, warnings, path="/api/generate" if raw else None)


def _raw(request: ask.ChatRequest) -> dict[str, Any]:
    """The keys of /api/generate: /api/chat always puts a template around what it is asked."""
    if request.tools:
        raise Unsupported("A raw prompt offers no tools.", param="tools")
    [message] = request.messages
    said = _said("user", message.parts)
    images = {"images": said["images"]} if "images" in said else {}
    return {"prompt": said["content"], "raw": True, **images}


def _messages(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    for message in messages:
        if message.role == "tool":
            yield from (_result(part, names, message) for part in message.parts if isinstance(part, ToolResult))
        else:
            yield _turn(message)


def _turn(message: Message) -> dict[str, Any]:
    body = _said("system" if message.role == "developer" else message.role, message.parts)
    if thinking := "".join(part.text for part in message.parts if isinstance(part, Reasoning)):
        body["thinking"] = thinking
    if message.tool_calls:
        body["tool_calls"] = [_call(call) for call in message.tool_calls]
    return {**message.extra, **body}


def _result(result: ToolResult, names: Mapping[str, str], message: Message) -> dict[str, Any]:
    """The name is what the vendor pairs by; the id is there for those who know more."""
    name = names.get(result.call_id) or message.name
    body = {**message.extra, **_said("tool", result.parts), "tool_call_id": result.call_id}
    return body | ({"tool_name": name} if name else {})


def _said(role: str, parts: Iterable[Part]) -> dict[str, Any]:
    shown = [part for part in parts if isinstance(part, Text | Media)]
    body: dict[str, Any] = {"role": role, "content": "".join(part.text for part in shown if isinstance(part, Text))}
    if images := [_image(part) for part in shown if isinstance(part, Media)]:
        body["images"] = images
    return body


def _image(media: Media) -> str:
    if media.kind != "image":
        raise Unsupported(f"Ollama takes no {media.kind}; send text or images.", param="messages")
    data = media.data
    if data is None and media.url is not None and media.url.startswith("data:"):
        _, data = data_url(media.url, "messages")
    if data is None:
        raise Unsupported("Ollama fetches no images; send their bytes.", param="messages")
    return base64.b64encode(data).decode()


def _call(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise RequestError(f"The arguments of the call of '{call.name}' are no JSON object.", param="messages")
    return {"id": call.id, "function": {"name": call.name, "arguments": arguments}}


def _tools(request: ask.ChatRequest) -> list[dict[str, Any]]:
    """Nothing is offered where nothing may be called."""
    if request.tool_choice == "none":
        return []
    return [
        {
            "type": "function",
            "function": {
                **_opaque.own(tool.provider_metadata, NAME),
                "name": tool.name,
                "description": tool.description,
                "parameters": written(tool),
            },
        }
        for tool in request.tools
    ]


def _format(spec: ask.ResponseFormat | None) -> str | dict[str, Any] | None:
    if spec is None or spec.kind == "text":
        return None
    return dict(spec.schema) if spec.kind == "json_schema" and spec.schema is not None else "json"


def _options(sampling: ask.Sampling) -> dict[str, Any]:
    fields = {
        "num_predict": sampling.max_output_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "repeat_penalty": sampling.repetition_penalty,
    }
    return {key: value for key, value in fields.items() if value is not None}


def _think(
    request: ask.ChatRequest, card: ModelCard, state: Mapping[str, Any]
) -> tuple[bool | str | None, tuple[Warned, ...]]:
    """In the caller's own words while they still mean what the request says."""
    sent = (state.get(_opaque.AS_SENT) or {}).get("think")
    if sent is not None and _thinking.read(sent) == request.reasoning_effort:
        return sent, ()
    return _thinking.write(request.reasoning_effort, card) if request.reasoning_effort is not None else (None, ())


def _told(request: ask.ChatRequest) -> Iterator[Warned]:
    """What tunes or adorns and has no place here."""
    yield from _openai_keys.dropped(request.extra, "Ollama")
    lost = []
    if request.sampling.logit_bias is not None:
        lost.append("logit_bias")
    if request.parallel_tool_calls is False:
        lost.append("parallel_tool_calls")
    if any(tool.strict for tool in request.tools):
        lost.append("tools.strict")
    if any(message.name is not None and message.role != "tool" for message in request.messages):
        lost.append("messages.name")
    parts = [part for message in request.messages for part in message.parts]
    if any(isinstance(part, ToolResult) and part.is_error for part in parts):
        lost.append("messages.is_error")
    if any(isinstance(part, Media) and part.detail not in (None, "auto") for part in parts):
        lost.append("messages.detail")
    if request.response_format is not None and request.response_format.description:
        lost.append("response_format.description")
    yield from (Warned("parameter_dropped", f"Ollama has no '{key}'.", key) for key in lost)
    if any(_mixed(message.parts) for message in request.messages):
        yield Warned("images_moved", "Images stand behind the text of their message.", "messages")


def _mixed(parts: Iterable[Part]) -> bool:
    """Does text follow an image?"""
    kinds = [type(part) for part in parts if isinstance(part, Text | Media)]
    return Media in kinds and Text in kinds[kinds.index(Media) :]
