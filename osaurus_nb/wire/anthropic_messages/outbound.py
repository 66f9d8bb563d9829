"""A ChatRequest becomes a Messages body for a provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from osaurus_nb import request as ask
from osaurus_nb.errors import Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.models import ModelCard
from osaurus_nb.wire import _opaque, _openai_keys
from osaurus_nb.wire import _tools as tools
from osaurus_nb.wire._codec import Encoded
from osaurus_nb.wire.anthropic_messages import _schemas, _thinking, _turns
from osaurus_nb.wire.anthropic_messages._versions import HEADER, NAME, NEW, OLD

#: Cards with these quirks: see `models.Quirk`.
DEFAULT_SAMPLING: Final = "default_sampling"
NO_PREFILL: Final = "no_prefill"
#: The API wants a limit; this is ours where nobody knows the model's own.
DEFAULT_MAX_TOKENS = 4096


def endpoint(card: ModelCard) -> str:
    return "/messages"


def models_path() -> str:
    return "/models?limit=1000"  # without a limit it lists 20


def auth(key: str | None) -> dict[str, str]:
    return {HEADER: NEW} | ({"x-api-key": key} if key else {})


def encode_request(request: ask.ChatRequest, card: ModelCard) -> Encoded:
    """The body to send, always streaming. Asks for the older version of the API where only that one can carry it."""
    if request.sampling.n > 1:
        raise Unsupported("Anthropic gives one answer for each request; ask again for another.", param="n")
    _opaque.refuse_raw(request, "Anthropic")
    system, messages, moved = _turns.encode(request.messages)
    _refuse_prefill(messages, card)
    max_tokens = request.sampling.max_output_tokens or card.max_output_tokens or DEFAULT_MAX_TOKENS
    plan = _plan(request, card, max_tokens)
    sampling, cooled = _sampling(request.sampling, card, thinks=_thinks(plan.thinking))
    tools, loosened = _tools(request)
    output, tightened = _output(request, plan)
    extra, unknown = _extra(request.extra)
    body = {
        **extra,
        **_state(request),
        "model": card.id,
        "max_tokens": max_tokens,
        "messages": messages,
        "stream": True,
        **({"system": system} if system else {}),
        **({"thinking": plan.thinking} if plan.thinking else {}),
        **tools,
        **sampling,
        **output,
    }
    lost = _opaque.dropped(request, NAME)
    warnings = (*moved, *plan.warnings, *cooled, *loosened, *tightened, *unknown, *lost)
    old = any(name in sampling for name in _OLD_ONLY) or _turns.needs_old(messages)
    return Encoded(body, warnings, {HEADER: OLD} if old else {})


def _refuse_prefill(messages: list[dict[str, Any]], card: ModelCard) -> None:
    if NO_PREFILL in card.quirks and messages and messages[-1]["role"] == "assistant":
        said = f"'{card.name}' does not continue an assistant's message; end with one of the user."
        raise Unsupported(said, param=f"messages[{len(messages) - 1}]")


def _plan(request: ask.ChatRequest, card: ModelCard, max_tokens: int) -> _thinking.Plan:
    """How much to think: in the caller's own Anthropic words while they still mean what the request says."""
    sent = _opaque.own(request.provider_metadata, NAME).get(_opaque.AS_SENT) or {}
    thinking, effort = sent.get("thinking"), sent.get("effort")
    same = sent and _thinking.read(thinking, effort) == request.reasoning_effort
    if same and _thinking.takes(card, thinking):
        return _thinking.Plan(thinking, effort)
    forced = request.tool_choice == "required" or isinstance(request.tool_choice, ask.NamedTool)
    plan = _thinking.plan(request.reasoning_effort, card, max_tokens=max_tokens, forced_tool=forced)
    return plan._replace(warnings=(*plan.warnings, _thinking.rewritten(card, thinking or {}))) if same else plan


def _thinks(thinking: Mapping[str, Any] | None) -> bool:
    return thinking is not None and thinking.get("type") != "disabled"


def _state(request: ask.ChatRequest) -> dict[str, Any]:
    own = _opaque.own(request.provider_metadata, NAME)
    return {key: value for key, value in own.items() if key not in (_opaque.AS_SENT, "output_config")}


#: Keys that OpenAI's dialect knows and this API refuses: what they ask for is only tuning.
_STRANGE = frozenset(
    {
        "user",
        "store",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "verbosity",
        "stream_options",
    }
)


def _extra(extra: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Warned, ...]]:
    """The keys that nobody knows go along; those that are known to be refused do not."""
    _openai_keys.refuse(extra, "Anthropic")
    strange = {key for key in extra if key in _STRANGE or (key in _FITS and not _FITS[key](extra[key]))}
    warnings = tuple(
        Warned("parameter_dropped", f"Anthropic has no '{key}' of this kind.", key)
        for key in sorted(strange)
        if extra[key] is not None
    )
    return {key: value for key, value in _openai_keys.without_features(extra).items() if key not in strange}, warnings


def _is_metadata(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) <= {"user_id"}


def _is_tier(value: Any) -> bool:
    return value in ("auto", "standard_only")


#: Names that both dialects use, each for its own values.
_FITS = {"metadata": _is_metadata, "service_tier": _is_tier}


def _tools(request: ask.ChatRequest) -> tuple[dict[str, Any], tuple[Warned, ...]]:
    made = [_schemas.tool(tool) for tool in request.tools]
    body: dict[str, Any] = {"tools": [body for body, _ in made]} if made else {}
    choice = _tool_choice(request)
    if choice is not None:
        body["tool_choice"] = choice
    return body, tuple(tools.told([keyword for _, lost in made for keyword in lost], "Anthropic"))


def _tool_choice(request: ask.ChatRequest) -> dict[str, Any] | None:
    match request.tool_choice:
        case None if request.parallel_tool_calls is None or not request.tools:
            return None
        case "none":
            return {"type": "none"}
        case None | "auto":
            choice = {"type": "auto"}
        case "required":
            choice = {"type": "any"}
        case ask.NamedTool(name=name):
            choice = {"type": "tool", "name": name}
    if request.parallel_tool_calls is None:
        return choice
    return {**choice, "disable_parallel_tool_use": not request.parallel_tool_calls}


def _output(request: ask.ChatRequest, plan: _thinking.Plan) -> tuple[dict[str, Any], tuple[Warned, ...]]:
    config: dict[str, Any] = dict(_opaque.own(request.provider_metadata, NAME).get("output_config") or {})
    warnings: tuple[Warned, ...] = ()
    if plan.effort is not None:
        config["effort"] = plan.effort
    if request.response_format is not None and request.response_format.kind != "text":
        config["format"], warnings = _schemas.output(request.response_format)
    return ({"output_config": config} if config else {}), warnings


_OLD_ONLY = ("temperature", "top_p", "top_k")
_NO_PLACE = (
    "min_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
)


def _sampling(sampling: ask.Sampling, card: ModelCard, *, thinks: bool) -> tuple[dict[str, Any], tuple[Warned, ...]]:
    body: dict[str, Any] = {"stop_sequences": list(sampling.stop)} if sampling.stop else {}
    warnings = [
        Warned("parameter_dropped", f"Anthropic has no '{name}'.", name)
        for name in _NO_PLACE
        if getattr(sampling, name) not in (None, False)
    ]
    for name in _OLD_ONLY:
        value = getattr(sampling, name)
        if value is None:
            continue
        if DEFAULT_SAMPLING in card.quirks or (thinks and name != "top_p" and (name, value) != ("temperature", 1)):
            why = "takes only the default for" if not thinks else "while it thinks takes only the default for"
            warnings.append(Warned("parameter_dropped", f"'{card.name}' {why} '{name}'.", name))
        elif name == "temperature" and value > 1:
            warnings.append(Warned("parameter_adjusted", "Anthropic's highest temperature is 1.", name))
            body[name] = 1.0
        else:
            body[name] = value
    return body, tuple(warnings)
