"""A ChatRequest becomes a generateContent body for a provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from osaurus_nb import request as ask
from osaurus_nb.errors import Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.models import ModelCard
from osaurus_nb.wire import _opaque, _openai_keys
from osaurus_nb.wire._codec import Encoded
from osaurus_nb.wire._tools import written
from osaurus_nb.wire.google_generate import _contents, _schemas, _thinking
from osaurus_nb.wire.google_generate._names import DEFAULT_SAMPLING, NAME, NO_PREFILL, ONE_CANDIDATE, SCHEMA_SUBSET


def endpoint(card: ModelCard) -> str:
    return address(card, "streamGenerateContent?alt=sse")


def address(card: ModelCard, verb: str) -> str:
    """Where this is done with the model, below the provider's base URL."""
    return f"/{quote(resource(card), safe='/:@')}:{verb}"


def resource(card: ModelCard) -> str:
    """The model as the vendor writes it. Tuned models have a folder of their own."""
    return card.id if card.id.startswith(("models/", "tunedModels/")) else f"models/{card.id}"


def models_path() -> str:
    return "/models?pageSize=1000"  # without a size it lists 50


def auth(key: str | None) -> dict[str, str]:
    return {"x-goog-api-key": key} if key else {}


def encode_request(request: ask.ChatRequest, card: ModelCard) -> Encoded:
    """The body to send; that it streams, and which model it asks, stands in the address."""
    _opaque.refuse_raw(request, "Google")
    state = _opaque.own(request.provider_metadata, NAME)
    system, contents, moved = _contents.encode(request.messages, card)
    _refuse(request, contents, card)
    tools, loosened = _tools(request, card)
    config, tuned = _config(request, card, state)
    body: dict[str, Any] = {
        **_openai_keys.without(request.extra),
        **{key: state[key] for key in ("safetySettings", "labels", "serviceTier") if key in state},
        "contents": contents,
        **({"systemInstruction": system} if system else {}),
        **({"tools": [{"functionDeclarations": tools}]} if tools else {}),
        **_tool_config(request, state),
        **({"generationConfig": config} if config else {}),
    }
    told = (*_unheld(request), *_openai_keys.dropped(request.extra, "Google"))
    return Encoded(body, (*moved, *loosened, *tuned, *told, *_opaque.dropped(request, NAME)))


def _refuse(request: ask.ChatRequest, contents: Sequence[Mapping[str, Any]], card: ModelCard) -> None:
    """What only the older generations do."""
    if request.sampling.n > 1 and ONE_CANDIDATE in card.quirks:
        raise Unsupported(f"'{card.name}' gives one answer for each request; ask again for another.", param="n")
    if NO_PREFILL in card.quirks and contents and contents[-1]["role"] == "model":
        said = f"'{card.name}' does not continue an assistant's message; end with one of the user."
        raise Unsupported(said, param="messages")


def _tools(request: ask.ChatRequest, card: ModelCard) -> tuple[list[dict[str, Any]], tuple[Warned, ...]]:
    made = [_tool(tool, subset=SCHEMA_SUBSET in card.quirks) for tool in request.tools]
    lost = dict.fromkeys(keyword for _, keywords in made for keyword in keywords)
    warnings = tuple(Warned("schema_changed", f"'{card.name}' takes no '{key}' in a tool.", "tools") for key in lost)
    return [body for body, _ in made], warnings


def _tool(tool: ask.Tool, *, subset: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
    state = _opaque.own(tool.provider_metadata, NAME)
    as_sent = state.pop(_opaque.AS_SENT, None) or {}
    body = {**state, "name": tool.name} | ({"description": tool.description} if tool.description else {})
    if "parameters" in as_sent:
        return {**body, "parameters": as_sent["parameters"]}, ()
    if not subset:
        return {**body, "parametersJsonSchema": written(tool)}, ()
    if not tool.parameters.get("properties"):
        return body, ()  # the subset has no object without properties
    parameters, lost = _schemas.to_subset(written(tool))
    return {**body, "parameters": parameters}, lost


def _unheld(request: ask.ChatRequest) -> Iterator[Warned]:
    """What this dialect cannot hold a model to."""
    if any(tool.strict for tool in request.tools):
        yield Warned("parameter_dropped", "Google does not hold single tools to their schemas.", "tools.strict")
    if request.parallel_tool_calls is False:
        yield Warned("parameter_dropped", "Google may call several tools at once.", "parallel_tool_calls")


def _tool_config(request: ask.ChatRequest, state: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = dict(state.get("toolConfig") or {})
    match request.tool_choice:
        case None:
            pass
        case "auto":
            body["functionCallingConfig"] = {"mode": "VALIDATED" if state.get("validated") else "AUTO"}
        case "none":
            body["functionCallingConfig"] = {"mode": "NONE"}
        case "required":
            body["functionCallingConfig"] = {"mode": "ANY"}
        case ask.NamedTool(name=name):
            body["functionCallingConfig"] = {"mode": "ANY", "allowedFunctionNames": [name]}
    return {"toolConfig": body} if body else {}


def _config(
    request: ask.ChatRequest, card: ModelCard, state: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[Warned, ...]]:
    sampling, untuned = _sampling(request.sampling, card)
    shape, loosened = _shape(request, card, state)
    thinking, unthought = _thought(request, card, state)
    thinking_config = {"thinkingConfig": thinking} if thinking else {}
    config = {**(state.get("generationConfig") or {}), **sampling, **shape, **thinking_config}
    return config, (*untuned, *loosened, *unthought)


def _thought(
    request: ask.ChatRequest, card: ModelCard, state: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, tuple[Warned, ...]]:
    """In the caller's own words while they still mean what the request says."""
    sent = (state.get(_opaque.AS_SENT) or {}).get("thinkingConfig")
    if sent is not None and _thinking.read(sent) == request.reasoning_effort:
        return sent, ()
    return _thinking.write(request.reasoning_effort, card) if request.reasoning_effort is not None else (None, ())


def _shape(
    request: ask.ChatRequest, card: ModelCard, state: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[Warned, ...]]:
    spec = request.response_format
    if spec is None or spec.kind == "text":
        return {}, ()
    body: dict[str, Any] = {"responseMimeType": "application/json"}
    if spec.kind == "json_object" or spec.schema is None:
        return body, ()
    sent, lost = (state.get(_opaque.AS_SENT) or {}).get("responseSchema"), tuple[str, ...]()
    if sent is not None and _schemas.from_subset(sent) == spec.schema:
        body["responseSchema"] = sent
    elif SCHEMA_SUBSET in card.quirks:
        body["responseSchema"], lost = _schemas.to_subset(spec.schema)
    else:
        body["responseJsonSchema"] = dict(spec.schema)
    warnings = [Warned("schema_changed", f"'{card.name}' takes no '{key}'.", "response_format") for key in lost]
    if spec.description:
        said = "Google has no description of an answer's shape."
        warnings.append(Warned("parameter_dropped", said, "response_format.description"))
    return body, tuple(warnings)


_NO_PLACE = ("min_p", "repetition_penalty", "logit_bias")


_DEFAULT_ONLY = {"temperature": "temperature", "topP": "top_p", "topK": "top_k"}


def _sampling(sampling: ask.Sampling, card: ModelCard) -> tuple[dict[str, Any], tuple[Warned, ...]]:
    fields = {
        "maxOutputTokens": sampling.max_output_tokens,
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "topK": sampling.top_k,
        "stopSequences": list(sampling.stop) or None,
        "seed": sampling.seed,
        "presencePenalty": sampling.presence_penalty,
        "frequencyPenalty": sampling.frequency_penalty,
        "responseLogprobs": sampling.logprobs or None,
        "logprobs": sampling.top_logprobs,
        "candidateCount": sampling.n if sampling.n > 1 else None,
    }
    lost = [name for name in _NO_PLACE if getattr(sampling, name) is not None]
    warnings = [Warned("parameter_dropped", f"Google has no '{name}'.", name) for name in lost]
    if DEFAULT_SAMPLING in card.quirks:
        cooled = [name for key, name in _DEFAULT_ONLY.items() if fields[key] is not None]
        said = f"'{card.name}' takes only the default for"
        warnings += [Warned("parameter_dropped", f"{said} '{name}'.", name) for name in cooled]
        fields |= dict.fromkeys(_DEFAULT_ONLY)
    return {key: value for key, value in fields.items() if value is not None}, tuple(warnings)
