"""A ChatRequest becomes a Chat Completions body for a provider."""

from __future__ import annotations

from typing import Any, Final

from osaurus_nb import request as ask
from osaurus_nb.errors import Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.models import ModelCard
from osaurus_nb.wire import _opaque
from osaurus_nb.wire import _tools as tools
from osaurus_nb.wire._codec import Encoded
from osaurus_nb.wire.openai_chat import _strict, _turns

#: The name under which the dialect keeps what only it understands.
DIALECT = "openai"
#: Cards with these quirks: see `models.Quirk`.
REASONER: Final = "reasoner"
ALWAYS_THINKS: Final = "always_thinks"
TOOLS_ON_RESPONSES: Final = "tools_on_responses"
TOOLS_UNTHINKING: Final = "tools_unthinking"
FEW_KNOBS: Final = "few_knobs"
PLAIN_SCHEMAS: Final = "plain_schemas"
STRICT_KEYS: Final = "strict_keys"
THINKING_SWITCH: Final = "thinking_switch"


def endpoint(card: ModelCard) -> str:
    return "/chat/completions"


def models_path() -> str:
    return "/models"


def auth(key: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


def encode_request(request: ask.ChatRequest, card: ModelCard) -> Encoded:
    """The body to send, always streaming and with usage. Keys we do not know go along as they came."""
    _opaque.refuse_raw(request, "Chat Completions")
    _refuse_tools(request, card)
    messages, unsaid = _turns.encode(request.messages, card)
    effort, adjusted = _effort(request, card)
    sampling, cooled = _sampling(request.sampling, card, thinks=effort != "none")
    offered, loosened = _tools(request, card)
    body: dict[str, Any] = {
        **_extra(request),
        "model": card.id,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        **offered,
        **sampling,
        **_thinking(effort, card),
    }
    if request.response_format is not None:
        body["response_format"] = _response_format(request.response_format)
    body, unknown = _strict.fit(body, card) if STRICT_KEYS in card.quirks else (body, ())
    lost = _opaque.dropped(request, DIALECT)
    return Encoded(body, (*unsaid, *adjusted, *cooled, *loosened, *unknown, *lost))


def _refuse_tools(request: ask.ChatRequest, card: ModelCard) -> None:
    if request.tools and TOOLS_ON_RESPONSES in card.quirks:
        said = f"'{card.name}' calls tools on Responses alone: give its provider the format 'openResponses'."
        raise Unsupported(said, param="tools")


def _effort(request: ask.ChatRequest, card: ModelCard) -> tuple[ask.Effort | None, tuple[Warned, ...]]:
    """The effort that this model takes in this request."""
    effort = request.reasoning_effort
    if request.tools and TOOLS_UNTHINKING in card.quirks and effort != "none":
        said = f"Here '{card.name}' calls tools only without thinking; on Responses ('openResponses') it does both."
        return "none", (Warned("parameter_adjusted", said, "reasoning_effort"),)
    if effort == "none" and ALWAYS_THINKS in card.quirks:
        said = f"'{card.name}' always thinks; its least effort is 'low'."
        return "low", (Warned("parameter_adjusted", said, "reasoning_effort"),)
    return effort, ()


def _thinking(effort: ask.Effort | None, card: ModelCard) -> dict[str, Any]:
    if effort == "none" and THINKING_SWITCH in card.quirks:
        return {"thinking": {"type": "disabled"}}
    return {"reasoning_effort": effort} if effort is not None else {}


def _extra(request: ask.ChatRequest) -> dict[str, Any]:
    """Keys that no field of ours knows. Not storing is what Chat does unasked, and some servers refuse the word."""
    return {key: value for key, value in request.extra.items() if (key, value) != ("store", False)}


def _tools(request: ask.ChatRequest, card: ModelCard) -> tuple[dict[str, Any], tuple[Warned, ...]]:
    body: dict[str, Any] = {}
    made = [_function(tool, card) for tool in request.tools]
    if made:
        body["tools"] = [{"type": "function", "function": function} for function, _ in made]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    return body, tuple(tools.told([keyword for _, lost in made for keyword in lost], f"'{card.name}'"))


def _function(tool: ask.Tool, card: ModelCard) -> tuple[dict[str, Any], tuple[str, ...]]:
    schema, lost = tools.plain(tool) if PLAIN_SCHEMAS in card.quirks else (tools.written(tool), ())
    body: dict[str, Any] = {"name": tool.name, "parameters": schema}
    if tool.description:
        body["description"] = tool.description
    if tool.strict is not None:
        body["strict"] = tool.strict
    return body, lost


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


#: What a reasoner takes only by its default, and what few know beside the sampling of the first vendor.
DEFAULT_ONLY = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs")
KNOBS = ("top_k", "min_p", "repetition_penalty")


def _sampling(sampling: ask.Sampling, card: ModelCard, *, thinks: bool) -> tuple[dict[str, Any], tuple[Warned, ...]]:
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
    refused = {key: f"'{card.name}' has no" for key in KNOBS if FEW_KNOBS in card.quirks}
    refused |= {key: f"'{card.name}' takes only the default for" for key in DEFAULT_ONLY if reasoner and thinks}
    warnings = [Warned("parameter_dropped", f"{why} '{key}'.", key) for key, why in refused.items() if key in body]
    return {key: value for key, value in body.items() if key not in refused}, tuple(warnings)
