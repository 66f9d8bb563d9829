"""A caller's Messages body becomes a ChatRequest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from osaurus_nb import request as ask
from osaurus_nb.errors import RequestError, Unsupported, Warned
from osaurus_nb.messages import Message, Opaque, Text
from osaurus_nb.wire._inbound import noticed, validate
from osaurus_nb.wire._json import shown
from osaurus_nb.wire._opaque import AS_SENT, keep
from osaurus_nb.wire.anthropic_messages import _blocks, _thinking
from osaurus_nb.wire.anthropic_messages import _schema as schema
from osaurus_nb.wire.anthropic_messages._versions import BETAS, HEADER, NAME, NEW, OLD

_SAMPLING = ("temperature", "top_p", "top_k")
_OURS_ALONE = (
    "metadata",
    "cache_control",
    "service_tier",
    "inference_geo",
    "speed",
    "diagnostics",
    "context_management",
    "user_profile_id",
    "workspace_id",
    "billing_policy",
    "fallback_credit_token",
)
#: So many names of betas are repeated in a warning.
_MAX_BETAS = 8
_THEIR_MACHINES = ("container", "mcp_servers", "thread", "compaction")


def decode_request(body: bytes, *, version: str | None = None, betas: str | None = None) -> ask.ChatRequest:
    """Read a request body. Raises RequestError that names the field at fault, never its value.

    `version` is the header `anthropic-version`; without it the older one counts. `betas` is `anthropic-beta`: what it
    asks for is known to nobody here, and told.
    """
    parsed = validate(schema.MessagesBody, body)
    request = _request(parsed, _known(version))
    return replace(request, warnings=noticed(_noticed(version, betas), strict=parsed.routed.strict_params))


def decode_count(body: bytes, *, version: str | None = None) -> ask.ChatRequest:
    """Read a body of `count_tokens`, which need not say how long the answer may be."""
    return _request(validate(schema.CountBody, body), _known(version))


def _noticed(version: str | None, betas: str | None) -> Iterator[Warned]:
    if version is None:
        said = f"No '{HEADER}' came with the request; it was read as {OLD}."
        yield Warned("version_assumed", said, HEADER)
    if betas and betas.strip():
        names = [shown(name.strip()) for name in betas.split(",")][:_MAX_BETAS]
        yield Warned("beta_ignored", f"'{BETAS}' has no effect here: {', '.join(names)}.", BETAS)


def _known(version: str | None) -> str:
    if version not in (None, OLD, NEW):
        raise RequestError(f"'{HEADER}' must be {OLD} or {NEW}.", param=HEADER)
    return version or OLD


def _request(body: schema.CountBody, version: str) -> ask.ChatRequest:
    _check(body, version)
    effort = body.output_config.effort if body.output_config else None
    return ask.ChatRequest(
        model=body.model,
        messages=tuple(_messages(body, version)),
        tools=tuple(_tool(tool, f"tools[{at}]") for at, tool in enumerate(body.tools or ())),
        tool_choice=_tool_choice(body.tool_choice),
        parallel_tool_calls=_parallel(body.tool_choice),
        response_format=_response_format(body.output_config),
        sampling=_sampling(body),
        reasoning_effort=body.effort(_thinking.read(_sent(body.thinking), effort)),
        route=_route(body),
        delivery=ask.Delivery(bool(body.stream), include_usage=True),
        extra=body.unknown(),
        provider_metadata=_state(body),
    )


def _check(body: schema.CountBody, version: str) -> None:
    """What the types alone do not say."""
    for name in _SAMPLING:
        if version == NEW and getattr(body, name) is not None:
            raise RequestError(f"'{name}' is not taken by version {NEW}; leave it out.", param=name)
    for name in _THEIR_MACHINES:
        if getattr(body, name):
            raise Unsupported(f"'{name}' names what lives on Anthropic's own machines.", param=name)
    if body.thinking is None or body.thinking.type != "enabled":
        return
    budget, field = body.thinking.budget_tokens, "thinking.budget_tokens"
    if budget is None:
        raise RequestError(f"'{field}' is required.", param=field)
    if body.max_tokens is not None and budget >= body.max_tokens:
        raise RequestError(f"'{field}' must be less than 'max_tokens'.", param=field)


def _messages(body: schema.CountBody, version: str) -> Iterator[Message]:
    if isinstance(body.system, str):
        yield Message("system", (Text(body.system),))
    elif body.system:
        yield Message("system", tuple(_blocks.text(block) for block in body.system))
    for at, message in enumerate(body.messages):
        yield from _blocks.turn(message, f"messages[{at}]", strict=version == NEW)


def _tool(body: schema.ToolBody | schema.ServerTool, where: str) -> ask.Tool:
    if isinstance(body, schema.ServerTool):
        raise Unsupported(
            f"'{where}' is a tool of Anthropic's own, which no other model has. Send one with an 'input_schema'.",
            param=f"{where}.type",
        )
    return ask.Tool(body.name, body.description or "", body.input_schema, body.strict, keep(NAME, body.unknown()))


def _tool_choice(choice: schema.ToolChoiceBody | None) -> ask.ToolChoice | None:
    if choice is None:
        return None
    match choice.type:
        case "auto" | "none":
            return choice.type
        case "any":
            return "required"
        case "tool":
            if choice.name is None:
                raise RequestError("'tool_choice.name' is required.", param="tool_choice.name")
            return ask.NamedTool(choice.name)


def _parallel(choice: schema.ToolChoiceBody | None) -> bool | None:
    disabled = choice.disable_parallel_tool_use if choice else None
    return None if disabled is None else not disabled


def _response_format(config: schema.OutputConfig | None) -> ask.ResponseFormat | None:
    if config is None or config.format is None:
        return None
    return ask.ResponseFormat("json_schema", schema=config.format.schema_)


def _sampling(body: schema.CountBody) -> ask.Sampling:
    return ask.Sampling(
        max_output_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        stop=tuple(body.stop_sequences or ()),
    )


def _route(body: schema.CountBody) -> ask.RouteOptions:
    return replace(body.routed, fallbacks=tuple(body.fallbacks) if _are_names(body.fallbacks) else ())


def _are_names(fallbacks: Any) -> bool:
    """Ours are names. The vendor's own are objects or a word, for its refusals alone, and go to nobody else."""
    if not isinstance(fallbacks, list | str | None):
        raise RequestError("'fallbacks' must be an array of model names.", param="fallbacks")
    return isinstance(fallbacks, list) and all(isinstance(name, str) for name in fallbacks)


def _state(body: schema.CountBody) -> Opaque | None:
    """What only Anthropic understands, and the exact words behind our one word for effort."""
    fields: dict[str, Any] = {name: getattr(body, name) for name in _OURS_ALONE}
    fields["fallbacks"] = None if _are_names(body.fallbacks) else body.fallbacks
    if body.output_config is not None:
        fields["output_config"] = body.output_config.unknown() or None
    effort = body.output_config.effort if body.output_config else None
    sent = {"thinking": _sent(body.thinking), "effort": effort}
    fields[AS_SENT] = {key: value for key, value in sent.items() if value is not None} or None
    return keep(NAME, fields)


def _sent(thinking: schema.ThinkingBody | None) -> dict[str, Any] | None:
    return None if thinking is None else thinking.model_dump(exclude_none=True)
