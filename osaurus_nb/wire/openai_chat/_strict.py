"""A body for a server that refuses every key that it does not know: what it lacks is left out, and told. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osaurus_nb.events import Warned
from osaurus_nb.models import ModelCard
from osaurus_nb.wire._json import shown

#: What Mistral's Chat Completions take (its SDK 3.7, 2026-11). Whatever else comes is a 422.
_KEYS = frozenset(
    {
        "frequency_penalty",
        "guardrails",
        "logprobs",
        "max_tokens",
        "messages",
        "metadata",
        "min_tokens",
        "model",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_logprobs",
        "prompt_mode",
        "random_seed",
        "reasoning_effort",
        "repetition_penalty",
        "response_format",
        "safe_prompt",
        "service_tier",
        "stop",
        "stream",
        "temperature",
        "tool_choice",
        "tools",
        "top_k",
        "top_logprobs",
        "top_p",
        "top_prompt_logprobs",
    }
)
_OF_MESSAGES: Mapping[str, frozenset[str]] = {
    "system": frozenset({"role", "content"}),
    "user": frozenset({"role", "content"}),
    "assistant": frozenset({"role", "content", "tool_calls", "prefix"}),
    "tool": frozenset({"role", "content", "tool_call_id", "name"}),
}
#: The same under another name; and what comes unasked, so that leaving it out loses nothing.
_RENAMED = {"seed": "random_seed", "max_completion_tokens": "max_tokens"}
_UNASKED = ("stream_options",)


def fit(body: Mapping[str, Any], card: ModelCard) -> tuple[dict[str, Any], tuple[Warned, ...]]:
    """The body with known keys alone."""
    renamed = {_RENAMED.get(key, key): value for key, value in body.items() if key not in _UNASKED}
    lost = [shown(key) for key, value in renamed.items() if key not in _KEYS and value is not None]
    messages = [_message(message, lost) for message in body["messages"]]
    made = {**{key: value for key, value in renamed.items() if key in _KEYS}, "messages": messages}
    return made, tuple(_dropped(key, card) for key in sorted(set(lost)))


def _message(message: Mapping[str, Any], lost: list[str]) -> dict[str, Any]:
    role = "system" if message["role"] == "developer" else message["role"]
    known = _OF_MESSAGES[role]
    lost += [f"messages.{shown(key)}" for key, value in message.items() if key not in known and value not in (None, [])]
    return {**{key: value for key, value in message.items() if key in known}, "role": role}


def _dropped(key: str, card: ModelCard) -> Warned:
    return Warned("parameter_dropped", f"'{card.name}' is at a server that knows no '{key}'.", key)
