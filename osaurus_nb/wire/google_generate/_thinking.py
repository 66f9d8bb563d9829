"""How much a model shall think: Gemini's level or budget, and our one word for both."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from osaurus_nb.events import Warned
from osaurus_nb.models import ModelCard
from osaurus_nb.request import Effort
from osaurus_nb.wire.google_generate._names import ALWAYS_THINKS, BUDGET_THINKING

_LEVELS: Mapping[Effort, str] = MappingProxyType(
    {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "XHIGH"}
)
#: As the vendor's own OpenAI endpoint turns words into budgets; every thinking model takes the largest.
_BUDGETS: Mapping[Effort, int] = MappingProxyType({"minimal": 512, "low": 1024, "medium": 8192, "high": 24576})
_WORDS: Mapping[str, Effort] = MappingProxyType({level: word for word, level in _LEVELS.items()})


def read(config: Mapping[str, Any]) -> Effort | None:
    """The neutral word of a thinkingConfig; None where the model is left to decide."""
    level, budget = config.get("thinkingLevel"), config.get("thinkingBudget")
    if isinstance(level, str) and level.upper() in _WORDS:
        return _WORDS[level.upper()]
    if not isinstance(budget, int) or budget < 0:
        return None
    fitting: list[Effort] = [word for word, size in _BUDGETS.items() if size <= max(budget, _BUDGETS["minimal"])]
    return fitting[-1] if budget else "none"


def write(effort: Effort, card: ModelCard) -> tuple[dict[str, Any] | None, tuple[Warned, ...]]:
    """The thinkingConfig for a neutral word, thoughts included, and what could not be said."""
    if card.capabilities.reasoning is False:
        said = f"'{card.name}' does not think."
        return None, () if effort == "none" else (Warned("parameter_dropped", said, "reasoning_effort"),)
    if ALWAYS_THINKS in card.quirks and effort in ("none", "minimal"):
        said = f"'{card.name}' always thinks; its least effort is 'low'."
        config, _ = write("low", card)
        return config, (Warned("parameter_adjusted", said, "reasoning_effort"),)
    if effort == "none":
        return {"thinkingBudget": 0}, ()
    known: Mapping[Effort, Any] = _BUDGETS if BUDGET_THINKING in card.quirks else _LEVELS
    key = "thinkingBudget" if BUDGET_THINKING in card.quirks else "thinkingLevel"
    if effort in known:
        return {key: known[effort], "includeThoughts": True}, ()
    highest = list(known)[-1]
    said = f"The highest effort of '{card.name}' is '{highest}'."
    warning = Warned("parameter_adjusted", said, "reasoning_effort")
    return {key: known[highest], "includeThoughts": True}, (warning,)
