"""A caller's body of /api/chat or /api/generate becomes a ChatRequest."""

from __future__ import annotations

from dataclasses import replace

from osaurus_nb import request as ask
from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.messages import Message, Opaque, Text
from osaurus_nb.wire._inbound import validate
from osaurus_nb.wire._opaque import AS_SENT, keep, own, raw
from osaurus_nb.wire.ollama_chat import _messages, _thinking
from osaurus_nb.wire.ollama_chat import _schema as schema
from osaurus_nb.wire.ollama_chat._names import NAME


def decode_request(body: bytes) -> ask.ChatRequest:
    """Read a body of /api/chat. Raises RequestError that names the field at fault, never its value.

    A body without messages asks only to load the model: see `is_load`.
    """
    parsed = validate(schema.ChatBody, body)
    tools = tuple(_tool(tool.function) for tool in parsed.tools or ())
    return _request(parsed, tuple(_messages.messages(parsed.messages or ())), tools)


def decode_generate(body: bytes) -> ask.ChatRequest:
    """Read a body of /api/generate: one prompt, which is one question of the user unless it is `raw`."""
    parsed = validate(schema.GenerateBody, body)
    for name in ("suffix", "template", "context"):
        if getattr(parsed, name):
            raise Unsupported(f"'{name}' is about one model's own prompt; ask with 'prompt' alone.", param=name)
    if parsed.raw and parsed.system:
        raise Unsupported("A raw prompt stands alone: write 'system' into it.", param="system")
    images = tuple(_messages.images(parsed.images, "images"))
    if not parsed.prompt and not images:
        return _request(parsed, ())
    head = (Message("system", (Text(parsed.system),)),) if parsed.system else ()
    said = (Text(parsed.prompt),) if parsed.prompt else ()
    request = _request(parsed, (*head, Message("user", (*said, *images))))
    return replace(request, provider_metadata={**(request.provider_metadata or {}), **raw()}) if parsed.raw else request


def decode_show(body: bytes) -> str:
    """The model that a body of /api/show asks about."""
    parsed = validate(schema.ShowBody, body)
    if not (model := parsed.model or parsed.name):
        raise RequestError("'model' is required.", param="model")
    return model


def is_load(request: ask.ChatRequest) -> bool:
    """Does the caller only want the model loaded, or unloaded?"""
    return not request.messages


def is_unload(request: ask.ChatRequest) -> bool:
    """Does the caller want the model unloaded? It says so with nothing to ask and nothing to wait for."""
    waits = own(request.provider_metadata, NAME).get("keep_alive")
    return is_load(request) and (waits == 0 or (isinstance(waits, str) and waits.strip("smh") in ("0", "0.0")))


def _request(
    body: schema.ChatBody | schema.GenerateBody, messages: tuple[Message, ...], tools: tuple[ask.Tool, ...] = ()
) -> ask.ChatRequest:
    return ask.ChatRequest(
        model=body.model,
        messages=messages,
        tools=tools,
        response_format=_response_format(body),
        sampling=_sampling(body),
        reasoning_effort=body.effort(_thinking.read(body.think)),
        route=body.routed,
        delivery=ask.Delivery(body.stream is not False, include_usage=True),
        extra=body.unknown(),
        provider_metadata=_state(body),
    )


def _tool(spec: schema.FunctionSpec) -> ask.Tool:
    parameters = spec.parameters if spec.parameters is not None else {"type": "object", "properties": {}}
    return ask.Tool(spec.name, spec.description or "", parameters, provider_metadata=keep(NAME, spec.unknown()))


def _response_format(body: schema.ChatBody | schema.GenerateBody) -> ask.ResponseFormat | None:
    if isinstance(body.format, dict):
        return ask.ResponseFormat("json_schema", schema=body.format)
    return ask.ResponseFormat("json_object") if body.format == "json" else None


def _sampling(body: schema.ChatBody | schema.GenerateBody) -> ask.Sampling:
    options = body.options or schema.Options()
    limit = options.num_predict
    return ask.Sampling(
        max_output_tokens=limit if limit is not None and limit > 0 else None,  # -1 and -2 mean no limit
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=options.top_k,
        min_p=options.min_p,
        stop=(options.stop,) if isinstance(options.stop, str) else tuple(options.stop or ()),
        seed=options.seed,
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
        repetition_penalty=options.repeat_penalty,
        logprobs=bool(body.logprobs),
        top_logprobs=body.top_logprobs,
    )


def _state(body: schema.ChatBody | schema.GenerateBody) -> Opaque | None:
    """What only Ollama understands, and the exact word behind ours for effort."""
    fields = {
        "keep_alive": body.keep_alive,
        "options": body.options.unknown() or None if body.options else None,
        AS_SENT: {"think": body.think} if body.think not in (None, "") else None,
    }
    return keep(NAME, fields)
