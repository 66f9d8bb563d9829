"""A caller's generateContent body becomes a ChatRequest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from osaurus_nb import request as ask
from osaurus_nb.errors import RequestError, Unsupported, Warned
from osaurus_nb.messages import Opaque
from osaurus_nb.wire._inbound import noticed, validate
from osaurus_nb.wire._opaque import AS_SENT, keep
from osaurus_nb.wire.google_generate import _parts, _schemas, _thinking
from osaurus_nb.wire.google_generate import _schema as schema
from osaurus_nb.wire.google_generate._names import NAME, bare

_JSON = "application/json"


def decode_request(body: bytes, *, model: str | None = None, stream: bool = False) -> ask.ChatRequest:
    """Read a request body. Raises RequestError that names the field at fault, never its value.

    The address says which model is asked, whatever the body says, and whether the answer is streamed.
    """
    parsed = validate(schema.GenerateBody, body)
    if not (asked := model or parsed.model):
        raise RequestError("'model' is required, in the address of the request.", param="model")
    request = _request(parsed, asked, stream)
    return replace(request, warnings=noticed(_noticed(parsed, asked), strict=parsed.routed.strict_params))


def _noticed(body: schema.GenerateBody, asked: str) -> Iterator[Warned]:
    if body.model is not None and bare(body.model) != bare(asked):
        yield Warned("parameter_ignored", "The address names another model than 'model', and counts.", "model")


def decode_count(body: bytes, *, model: str) -> ask.ChatRequest:
    """Read a body of countTokens: contents alone, or a whole request under `generateContentRequest`."""
    parsed = validate(schema.CountBody, body)
    if parsed.generate_content_request is not None:
        return _request(parsed.generate_content_request, model, stream=False)
    if parsed.contents is None:
        raise RequestError("'contents' is required.", param="contents")
    return ask.ChatRequest(bare(model), tuple(_parts.messages(parsed.contents)))


def _request(body: schema.GenerateBody, model: str, stream: bool) -> ask.ChatRequest:
    if body.cached_content:
        said = "'cachedContent' names what is stored at Google; send the contents themselves."
        raise Unsupported(said, param="cachedContent")
    config = body.generation_config or schema.GenerationConfig()
    head = (_parts.system(body.system_instruction, "systemInstruction"),) if body.system_instruction else ()
    choice, tools = _choice(body.tool_config, _tools(body.tools or []))
    return ask.ChatRequest(
        model=bare(model),
        messages=(*head, *_parts.messages(body.contents)),
        tools=tools,
        tool_choice=choice,
        response_format=_response_format(config),
        sampling=_sampling(config),
        reasoning_effort=body.effort(_thinking.read(_thinking_config(config))),
        route=body.routed,
        delivery=ask.Delivery(stream, include_usage=True),
        extra=body.unknown(),
        provider_metadata=_state(body, config),
    )


def _tools(bodies: list[schema.ToolBody]) -> tuple[ask.Tool, ...]:
    for at, body in enumerate(bodies):
        if strange := sorted(body.unknown()):
            field = f"tools[{at}].{strange[0]}"
            raise Unsupported(f"'{field}' is a tool that only Google runs; send functionDeclarations.", param=field)
    return tuple(_tool(function) for body in bodies for function in body.function_declarations or ())


def _tool(body: schema.FunctionDeclaration) -> ask.Tool:
    state = body.unknown()
    parameters: dict[str, Any] = {"type": "object", "properties": {}}
    if body.parameters_json_schema is not None:
        parameters = body.parameters_json_schema
    elif body.parameters is not None:
        parameters = _schemas.from_subset(body.parameters)
        state[AS_SENT] = {"parameters": body.parameters}
    return ask.Tool(body.name, body.description or "", parameters, provider_metadata=keep(NAME, state))


def _choice(
    config: schema.ToolConfig | None, tools: tuple[ask.Tool, ...]
) -> tuple[ask.ToolChoice | None, tuple[ask.Tool, ...]]:
    """The choice, and the tools that may be called: where some are named, the others are not offered."""
    calling = config.function_calling_config if config else None
    if calling is None or calling.mode in (None, "MODE_UNSPECIFIED"):
        return None, tools
    allowed, field = calling.allowed_function_names or [], "toolConfig.functionCallingConfig.allowedFunctionNames"
    if not set(allowed) <= {tool.name for tool in tools}:
        raise RequestError(f"'{field}' names a function that 'tools' does not declare.", param=field)
    if calling.mode == "NONE":
        return "none", tools
    offered = tuple(tool for tool in tools if tool.name in allowed) if allowed else tools
    if calling.mode == "ANY":
        return ask.NamedTool(allowed[0]) if len(allowed) == 1 else "required", tools if len(allowed) == 1 else offered
    return "auto", offered


def _response_format(config: schema.GenerationConfig) -> ask.ResponseFormat | None:
    shape = config.response_json_schema
    if shape is None and config.response_schema is not None:
        shape = _schemas.from_subset(config.response_schema)
    match config.response_mime_type:
        case None | "text/plain" | "application/json":
            pass
        case _:
            field = "generationConfig.responseMimeType"
            raise Unsupported(f"'{field}' must be text/plain or {_JSON}.", param=field)
    if shape is not None:
        return ask.ResponseFormat("json_schema", schema=shape)
    return ask.ResponseFormat("json_object") if config.response_mime_type == _JSON else None


def _sampling(config: schema.GenerationConfig) -> ask.Sampling:
    if any(word.upper() != "TEXT" for word in config.response_modalities or ()):
        field = "generationConfig.responseModalities"
        raise Unsupported(f"'{field}': answers are text here.", param=field)
    return ask.Sampling(
        max_output_tokens=config.max_output_tokens,
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=int(config.top_k) if config.top_k is not None else None,
        stop=tuple(config.stop_sequences or ()),
        seed=config.seed,
        presence_penalty=config.presence_penalty,
        frequency_penalty=config.frequency_penalty,
        logprobs=bool(config.response_logprobs),
        top_logprobs=config.logprobs,
        n=config.candidate_count or 1,
    )


def _thinking_config(config: schema.GenerationConfig) -> dict[str, Any]:
    return config.thinking_config.model_dump(by_alias=True, exclude_none=True) if config.thinking_config else {}


def _state(body: schema.GenerateBody, config: schema.GenerationConfig) -> Opaque | None:
    """What only Google understands, and the exact words behind ours for effort and the answer's shape."""
    tool_config = body.tool_config.unknown() if body.tool_config else {}
    calling = body.tool_config.function_calling_config if body.tool_config else None
    sent = {"thinkingConfig": _thinking_config(config) or None, "responseSchema": config.response_schema}
    fields = {
        "safetySettings": body.safety_settings,
        "labels": body.labels,
        "serviceTier": body.service_tier,
        "generationConfig": config.unknown() or None,
        "toolConfig": tool_config or None,
        "validated": True if calling and calling.mode == "VALIDATED" else None,
        AS_SENT: {key: value for key, value in sent.items() if value is not None} or None,
    }
    return keep(NAME, fields)
