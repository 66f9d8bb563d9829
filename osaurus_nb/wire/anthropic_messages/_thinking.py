"""How much a model shall think: Anthropic's `thinking` and `effort`, and our one word for both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from osaurus_nb.events import Warned
from osaurus_nb.models import ModelCard
from osaurus_nb.request import Effort

#: Cards with these quirks: see `models.Quirk`.
BUDGET_THINKING: Final = "budget_thinking"
ADAPTIVE_ONLY: Final = "adaptive_only"
#: The least budget that the API takes.
MIN_BUDGET = 1024

_BUDGETS: Mapping[Effort, int] = {
    "minimal": MIN_BUDGET,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 32768,
    "max": 65536,
}


#: Kinds of thinking that are measured by an effort.
_ADAPTIVE = ("adaptive", "between_tools")


class Plan(NamedTuple):
    """The two places of a body that say how much to think, and what could not be said."""

    thinking: dict[str, Any] | None = None
    effort: str | None = None
    warnings: tuple[Warned, ...] = ()


def read(thinking: Mapping[str, Any] | None, effort: Effort | None) -> Effort | None:
    """The neutral word. Thinking without an effort means the vendor's default, which is high."""
    match thinking or {}:
        case {"type": "disabled"}:
            return "none"
        case {"type": "enabled", "budget_tokens": int() as budget}:
            return effort or [word for word, size in _BUDGETS.items() if size <= max(budget, MIN_BUDGET)][-1]
        case {"type": "enabled" | "adaptive" | "between_tools"}:
            return effort or "high"
        case _:
            return effort


def takes(card: ModelCard, thinking: Mapping[str, Any] | None) -> bool:
    """Does this model know that kind of thinking?"""
    kind = (thinking or {}).get("type")
    unknown = (ADAPTIVE_ONLY in card.quirks and kind == "enabled") or (
        BUDGET_THINKING in card.quirks and kind in _ADAPTIVE
    )
    return not unknown


def rewritten(card: ModelCard, thinking: Mapping[str, Any]) -> Warned:
    said = f"'{card.name}' knows no thinking of the type '{thinking.get('type')}'; the nearest was asked for."
    return Warned("parameter_adjusted", said, "thinking.type")


def plan(effort: Effort | None, card: ModelCard, *, max_tokens: int, forced_tool: bool) -> Plan:
    """What to send for a neutral word."""
    if effort is None:
        return Plan()
    if effort == "none":
        return Plan({"type": "disabled"})
    if card.capabilities.reasoning is False:
        return Plan(warnings=(_warned("parameter_dropped", f"'{card.name}' does not think."),))
    if forced_tool:  # the API refuses thinking with a forced choice, and the choice is the one that matters
        return Plan(warnings=(_warned("parameter_dropped", "Anthropic does not think where a tool call is forced."),))
    if BUDGET_THINKING in card.quirks:
        return _by_budget(effort, max_tokens)
    if effort == "minimal":
        return Plan({"type": "adaptive"}, "low", (_warned("parameter_adjusted", "Anthropic's least effort is 'low'."),))
    return Plan({"type": "adaptive"}, effort)


def _by_budget(effort: Effort, max_tokens: int) -> Plan:
    if max_tokens <= MIN_BUDGET:
        said = f"thinking takes at least {MIN_BUDGET} tokens below the limit of the answer, which is {max_tokens}."
        return Plan(warnings=(_warned("parameter_dropped", f"Left out: {said}"),))
    return Plan({"type": "enabled", "budget_tokens": min(_BUDGETS[effort], max_tokens - 1)})


def _warned(code: str, message: str) -> Warned:
    return Warned(code, message, "reasoning_effort")
