"""A ChatRequest becomes a Responses body for a provider, which stores nothing: all state travels with the request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from osaurus_nb import request as ask
from osaurus_nb.errors import Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.messages import Message
from osaurus_nb.models import ModelCard
from osaurus_nb.wire import _openai_keys
from osaurus_nb.wire import _tools as tools
from osaurus_nb.wire._codec import Encoded
from osaurus_nb.wire._opaque import AS_SENT, dropped, own, refuse_raw
from osaurus_nb.wire.openai_responses._names import DIALECT
from osaurus_nb.wire.openai_responses._resource import write_format, write_tool_choice
from osaurus_nb.wire.openai_responses._sent import input_items
from osaurus_nb.wire.openai_responses.inbound import LOGPROBS, is_instructions

#: Cards with these quirks: see `models.Quirk`.
REASONER: Final = "reasoner"
ALWAYS_THINKS: Final = "always_thinks"
FEW_KNOBS: Final = "few_knobs"
PLAIN_SCHEMAS: Final = "plain_schemas"

_ENCRYPTED = "reasoning.encrypted_content"
_CHAT_KNOBS = ("prediction",)


def endpoint(card: ModelCard) -> str:
    return "/responses"


def encode_request(request: ask.ChatRequest, card: ModelCard) -> Encoded:
    """The body to send, always streaming. Keys we do not know go along as they came."""
    refuse_raw(request, "Responses")
    extra, left_out = _extra(request.extra)
    effort, adjusted = _effort(request.reasoning_effort, card)
    sampling, tuned = _sampling(request.sampling, card, thinks=effort != "none")
    offered, loosened = _tools(request, card)
    head, spoken = _instructions(request.messages)
    sent = input_items(spoken)
    body: dict[str, Any] = {
        "store": False,
        **extra,
        "model": card.id,
        **head,
        "input": sent.items,
        "stream": True,
        **offered,
        **sampling,
        **_own(request, card, effort),
    }
    if text := _text(request):
        body["text"] = text
    warnings = (*left_out, *adjusted, *tuned, *loosened, *sent.warnings, *dropped(request, DIALECT))
    return Encoded(body, warnings, cut=request.sampling.stop)


def _extra(extra: Mapping[str, Any]) -> tuple[dict[str, Any], list[Warned]]:
    _openai_keys.refuse(extra, "Responses")
    known = (*_CHAT_KNOBS, "verbosity", "reasoning", "include")
    warnings = [_dropped(name, "Responses does not know") for name in _CHAT_KNOBS if extra.get(name)]
    kept = _openai_keys.without_features(extra)
    return {key: value for key, value in kept.items() if key not in known}, warnings


def _instructions(messages: tuple[Message, ...]) -> tuple[dict[str, Any], tuple[Message, ...]]:
    if not is_instructions(messages):
        return {}, messages
    return {"instructions": messages[0].text}, messages[1:]


def _effort(effort: ask.Effort | None, card: ModelCard) -> tuple[ask.Effort | None, tuple[Warned, ...]]:
    if effort != "none" or ALWAYS_THINKS not in card.quirks:
        return effort, ()
    said = f"'{card.name}' always thinks; its least effort is 'low'."
    return "low", (Warned("parameter_adjusted", said, "reasoning_effort"),)


def _tools(request: ask.ChatRequest, card: ModelCard) -> tuple[dict[str, Any], tuple[Warned, ...]]:
    body: dict[str, Any] = {}
    made = [_tool(tool, card) for tool in request.tools]
    if made:
        body["tools"] = [tool for tool, _ in made]
    if request.tool_choice is not None:
        body["tool_choice"] = write_tool_choice(request.tool_choice)
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    return body, tuple(tools.told([keyword for _, lost in made for keyword in lost], f"'{card.name}'"))


def _tool(tool: ask.Tool, card: ModelCard) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Left open, `strict` would be true here and false everywhere else; it means what it means elsewhere."""
    described = {"description": tool.description} if tool.description else {}
    schema, lost = tools.plain(tool) if PLAIN_SCHEMAS in card.quirks else (tools.written(tool), ())
    body = {"type": "function", "name": tool.name, **described, "parameters": schema, "strict": bool(tool.strict)}
    return body, lost


def _text(request: ask.ChatRequest) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if request.response_format is not None:
        written = write_format(request.response_format)
        body["format"] = {key: value for key, value in written.items() if value is not None}
    if verbosity := request.extra.get("verbosity"):
        body["verbosity"] = verbosity
    return body


def _own(request: ask.ChatRequest, card: ModelCard, effort: ask.Effort | None) -> dict[str, Any]:
    """What only this dialect has: reasoning with its state, logprobs, truncation."""
    mine = own(request.provider_metadata, DIALECT)
    as_sent = own(mine, AS_SENT)
    reasoning = {**own(request.extra, "reasoning"), **own(as_sent, "reasoning"), **own(mine, "reasoning")}
    if effort is not None:
        reasoning["effort"] = effort
    body = {
        "reasoning": reasoning or None,
        "include": _include(request, card, as_sent.get("include") or (), thinks=effort != "none"),
        "max_tool_calls": as_sent.get("max_tool_calls"),
        "truncation": mine.get("truncation"),
    }
    return {key: value for key, value in body.items() if value is not None}


def _include(request: ask.ChatRequest, card: ModelCard, asked: Any, *, thinks: bool) -> list[str] | None:
    """A model that does not think refuses the request for its encrypted thoughts."""
    include = dict.fromkeys(name for name in asked if isinstance(name, str) and name != LOGPROBS)
    if REASONER in card.quirks or card.capabilities.reasoning:
        include[_ENCRYPTED] = None
    if request.sampling.logprobs and not _default_only(card, thinks=thinks):
        include[LOGPROBS] = None
    return list(include) or None


_TUNED = ("temperature", "top_p", "top_logprobs")


def _sampling(sampling: ask.Sampling, card: ModelCard, *, thinks: bool) -> tuple[dict[str, Any], list[Warned]]:
    if sampling.n > 1:
        raise Unsupported("Responses gives one answer; ask as often as you want answers.", param="n")
    body = {
        "max_output_tokens": sampling.max_output_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_logprobs": sampling.top_logprobs,
    }
    refused = {
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "seed": sampling.seed,
        "repetition_penalty": sampling.repetition_penalty,
        "logit_bias": sampling.logit_bias,
    }
    penalties = {"presence_penalty": sampling.presence_penalty, "frequency_penalty": sampling.frequency_penalty}
    (refused if FEW_KNOBS in card.quirks else body).update(penalties)
    warnings = [_dropped(name, "Responses does not know") for name, value in refused.items() if value is not None]
    if _default_only(card, thinks=thinks):
        tuned = [name for name in _TUNED if body[name] is not None]
        tuned += ["logprobs"] if sampling.logprobs else []
        warnings += [_dropped(name, f"'{card.name}' takes only the default for") for name in tuned]
        body |= dict.fromkeys(_TUNED)
    return {key: value for key, value in body.items() if value is not None}, warnings


def _default_only(card: ModelCard, *, thinks: bool) -> bool:
    return REASONER in card.quirks and thinks


def _dropped(name: str, why: str) -> Warned:
    return Warned("parameter_dropped", f"{why} '{name}'.", name)
