"""How much a model shall think: the dialect's switch or level, and our one word for both."""

from __future__ import annotations

from osaurus_nb.events import Warned
from osaurus_nb.models import ModelCard
from osaurus_nb.request import Effort

_LEVELS: tuple[Effort, ...] = ("low", "medium", "high")


def read(think: bool | str | None) -> Effort | None:
    """Merely switched on means the usual effort."""
    match think:
        case True:
            return "medium"
        case False:
            return "none"
        case "low" | "medium" | "high" | "max":
            return think
        case _:
            return None


def write(effort: Effort, card: ModelCard) -> tuple[bool | str | None, tuple[Warned, ...]]:
    """The value of `think`, and what could not be said. Models without levels take each as `on`."""
    if card.capabilities.reasoning is False:
        said = f"'{card.name}' does not think."
        return None, () if effort == "none" else (Warned("parameter_dropped", said, "reasoning_effort"),)
    if effort == "none":
        return False, ()
    if effort in _LEVELS:
        return effort, ()
    nearest = "low" if effort == "minimal" else "high"
    said = f"Ollama has no effort '{effort}'; '{nearest}' is the nearest."
    return nearest, (Warned("parameter_adjusted", said, "reasoning_effort"),)
