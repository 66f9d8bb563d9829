"""What is said when nobody may answer: all that stands against each model, and what would admit one. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from osaurus_nb.errors import NoEligibleModel
from osaurus_nb.routes import Explanation, Rejected
from osaurus_nb.routing.filters import Ask, refusal, standing
from osaurus_nb.routing.traits import Traits

#: What stands against so many models for one reason, in words.
_COUNTED = {
    "no_chat": "{} no chat models",
    "not_local": "{} outside of this machine and its networks",
    "denied": "{} denied",
    "not_allowed": "{} not allowed",
    "context": "{} with too small a window",
    "no_vision": "{} not known to see",
    "no_audio": "{} not known to hear",
    "no_documents": "{} not known to read documents",
    "no_tools": "{} without tools",
    "no_json": "{} without JSON schemas",
    "no_reasoning": "{} that do not reason",
    "always_reasons": "{} that always reason",
    "size": "{} too small",
    "quality": "{} estimated too low",
    "price": "{} too dear, or of unknown price",
    "resting": "{} resting after failures",
    "memory": "{} too large for the memory",
    "budget": "{} beyond the caps",
}


def admitting(rejected: Sequence[Rejected], models: Sequence[Traits], asked: Ask) -> list[Rejected]:
    """The same refusals, the nearest first: each with everything that would have to change."""
    by_name = {model.name: model for model in models}
    rules = standing(asked)
    found: list[tuple[int, str, Rejected]] = []
    for each in rejected:
        model = by_name[each.model]
        against = [refusal(model, rule, asked) for rule in rules if rule.refuses(model, asked)] or [each]
        remedies = dict.fromkeys(one.remedy for one in against if one.remedy)
        said = Rejected(each.model, each.code, each.reason, "; and ".join(remedies))
        found.append((len(against) + 10 * (each.code == "no_chat"), each.model, said))
    return [said for *_, said in sorted(found, key=lambda each: each[:2])]


def summary(rejected: Sequence[Rejected]) -> str:
    """How many are refused for what, and what would admit the nearest."""
    if not rejected:
        return "There are no models yet. Get one with `osaurus-nb pull`, or add a provider."
    counted = ", ".join(
        _COUNTED.get(code, "{} refused").format(times)
        for code, times in Counter(each.code for each in rejected).most_common()
    )
    nearest = rejected[0]
    remedy = f" To let '{nearest.model}' answer: {nearest.remedy}." if nearest.remedy else ""
    return f"Of {len(rejected)} models none may answer: {counted}.{remedy}"


def nobody(explanation: Explanation) -> NoEligibleModel:
    """The error for a plan without anybody: it names each model, why it was refused and what would admit it."""
    said = " ".join((f"No model can answer for '{explanation.asked}'.", *explanation.warnings))
    return NoEligibleModel(said, rejections=explanation.rejected)
