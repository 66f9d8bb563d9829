"""Who may not answer, and why: hard rules, in a fixed order. Pure.

A capability is yes, no, or not known. `no` refuses. Not known refuses where a wrong guess would go unnoticed (what is
seen, heard or read in a file) and where the caller wants no guesses; anywhere else it passes, and costs a little.

What only holds for now (a rest after failures, memory, money) is looked at last, so that it is told of those alone who
could answer otherwise.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from osaurus_nb.routes import Complexity, Label, Rejected
from osaurus_nb.routing.requirements import Needs, Size, matches
from osaurus_nb.routing.traits import SKILLS, Traits


@dataclass(frozen=True, slots=True)
class Ask:
    """One kind of question: what it needs, about how large it is, and what it is about."""

    needs: Needs
    size: Size
    label: Label = "unknown"
    complexity: Complexity = "unknown"
    #: How many tokens a model has to hold.
    window: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "window", max(self.size.total, self.needs.min_context or 0))


@dataclass(frozen=True, slots=True)
class Filter:
    """One rule. `holds`: does it matter for this question at all? `says`: the reason, and what would flip it."""

    code: str
    holds: Callable[[Needs], bool]
    refuses: Callable[[Traits, Ask], bool]
    says: Callable[[Traits, Ask], tuple[str, str]]


def standing(asked: Ask) -> Sequence[Filter]:
    """The rules that matter for this question, in their order."""
    return [each for each in FILTERS if each.holds(asked.needs)]


def refusal(model: Traits, rule: Filter, asked: Ask) -> Rejected:
    reason, remedy = rule.says(model, asked)
    return Rejected(model.name, rule.code, reason, remedy)


def missing(models: Sequence[Traits], needed: Needs) -> list[float]:
    """Which share of what matters is not known of each model, from 0 to 1."""
    unknown = [(model.window is None) + (model.price_out is None) for model in models]
    wanted = [capability for need, capability in _CAPABILITY.items() if getattr(needed, need)]
    for capability in wanted:
        told = operator.attrgetter(capability)
        unknown = [count + (told(model.can) is None) for count, model in zip(unknown, models, strict=True)]
    if needed.min_params_b is not None:
        unknown = [count + (model.params_b is None) for count, model in zip(unknown, models, strict=True)]
    return [min(1.0, count / (2 + len(wanted))) for count in unknown]


def cost(model: Traits, size: Size) -> float | None:
    """What a question of this size costs there, in micro-dollars; None: nobody knows."""
    if model.price_in is None or model.price_out is None:
        return None
    return model.price_in * size.prompt + model.price_out * size.answer


def quality(model: Traits, label: Label) -> float:
    """What this model is estimated at for such a question, from 0 to 1."""
    return model.quality[SKILLS[label]]


#: Which need is about which capability.
_CAPABILITY = {
    "vision": "vision",
    "audio": "audio",
    "documents": "documents",
    "tools": "tools",
    "json": "json_schema",
    "reasoning": "reasoning",
}


def _able(need: str, does: str, remedy: str, *, surely: bool = False) -> Filter:
    """It must be able to do this; `surely`: not known is not enough."""
    capability = _CAPABILITY[need]

    def refuses(model: Traits, asked: Ask) -> bool:
        can: bool | None = getattr(model.can, capability)
        return can is False or (can is None and (surely or asked.needs.strict))

    def says(model: Traits, asked: Ask) -> tuple[str, str]:
        if getattr(model.can, capability) is False:
            return f"It cannot {does}.", remedy
        return f"Nobody knows whether it can {does}.", f"{remedy}, or name the model yourself"

    return Filter(f"no_{need}", lambda needed: bool(getattr(needed, need)), refuses, says)


def _always(_: Needs) -> bool:
    return True


def _outside(model: Traits, asked: Ask) -> bool:
    return any(not matches(model.provider, names) for names in asked.needs.allow_providers) or any(
        not matches(model.name, names) for names in asked.needs.allow_models
    )


def _denied(model: Traits, asked: Ask) -> bool:
    return matches(model.provider, asked.needs.deny_providers) or matches(model.name, asked.needs.deny_models)


def _says_away(model: Traits, _: Ask) -> tuple[str, str]:
    if model.forwarded:
        return "Its server hands questions on to a cloud, and this one must stay here.", "ask under another mode"
    return f"It answers from outside ({model.card.endpoint}), and this question must stay here.", (
        "ask under another mode"
    )


def _narrow(model: Traits, asked: Ask) -> bool:
    if model.window is None:
        return asked.needs.strict or asked.needs.min_context is not None
    return model.window < asked.window


def _says_narrow(model: Traits, asked: Ask) -> tuple[str, str]:
    if model.window is None:
        return "Nobody knows how long a prompt it takes.", "name it yourself, or demand no window"
    if model.window < (asked.needs.min_context or 0):
        wanted = f"{asked.needs.min_context:,} are demanded"
        return f"It holds {model.window:,} tokens, and {wanted}.", f"demand a window of {model.window:,} at most"
    size = asked.size
    return (
        f"It holds {model.window:,} tokens; the prompt has about {size.prompt:,}, and {size.answer:,} are kept free "
        "for the answer.",
        "shorten the conversation, or set a smaller max_tokens",
    )


#: From here on a model of unknown size is not taken for a large one.
_LIGHT = 0.5
#: By so much a mere guess may miss a floor.
_DOUBT = 0.2


def _small(model: Traits, asked: Ask) -> bool:
    if model.params_b is None:
        return asked.needs.strict or model.light >= _LIGHT
    return model.params_b < (asked.needs.min_params_b or 0.0)


def _says_small(model: Traits, asked: Ask) -> tuple[str, str]:
    if model.params_b is None:
        like = ", and its name or price is a small one's" if model.light >= _LIGHT else ""
        return f"Nobody knows how many parameters it has{like}.", "ask without min_params_b"
    has = f"{model.params_b:.3g}"
    return (
        f"It has about {has} billion parameters, and {asked.needs.min_params_b:g} are demanded.",
        f"lower min_params_b to {has}",
    )


def _poor(model: Traits, asked: Ask) -> bool:
    if model.guessed:
        far = quality(model, asked.label) < asked.needs.quality - _DOUBT
        return far or asked.needs.strict or model.light >= _LIGHT
    return quality(model, asked.label) < asked.needs.quality


def _says_poor(model: Traits, asked: Ask) -> tuple[str, str]:
    if model.guessed:
        said = "Neither its size nor its price is known, and nothing else tells that it is good enough."
        return said, "set its price, or take a profile that demands less"
    worth = quality(model, asked.label)
    return (
        f"It is estimated at {worth:.2f} for such a question, and {asked.needs.quality:.2f} is demanded.",
        "take a profile that demands less",
    )


def _priced(model: Traits, asked: Ask) -> bool:
    limit = asked.needs.max_price
    return limit is not None and (model.price_out is None or model.price_out > limit)


def _says_priced(model: Traits, asked: Ask) -> tuple[str, str]:
    limit = f"${asked.needs.max_price:g}"
    if model.price_out is None:
        return f"Nobody knows what it costs, and at most {limit} per million tokens may be paid.", "set its price"
    price = f"${model.price_out:g}"
    return f"A million tokens of it cost {price}, and at most {limit} may be paid.", f"raise max_price to {price}"


#: In this order; the first that refuses is told.
FILTERS: tuple[Filter, ...] = (
    Filter(
        "no_chat",
        _always,
        lambda model, _: not model.talks,
        lambda *_: ("It does not chat: it embeds, ranks, guards, hears or draws.", "name it yourself"),
    ),
    Filter("not_local", lambda needed: needed.local, lambda model, _: not model.local, _says_away),
    Filter(
        "denied",
        lambda needed: bool(needed.deny_providers or needed.deny_models),
        _denied,
        lambda *_: ("A list denies it or its provider.", "take it off deny_models or deny_providers"),
    ),
    Filter(
        "not_allowed",
        lambda needed: bool(needed.allow_providers or needed.allow_models),
        _outside,
        lambda *_: ("It is not on the list of what is allowed.", "add it to allow_models or allow_providers"),
    ),
    Filter("context", _always, _narrow, _says_narrow),
    _able("vision", "see pictures", "ask without pictures", surely=True),
    _able("audio", "hear sound", "ask without sound", surely=True),
    _able("documents", "read documents", "ask without documents", surely=True),
    _able("tools", "call tools", "offer no tools"),
    _able("json", "keep to a JSON schema", "ask without a schema"),
    _able("reasoning", "reason", "do not require reasoning"),
    Filter(
        "always_reasons",
        lambda needed: needed.off,
        lambda model, _: "always_thinks" in model.card.quirks,
        lambda *_: ("Its reasoning cannot be switched off.", "allow the effort `low`"),
    ),
    Filter("size", lambda needed: needed.min_params_b is not None, _small, _says_small),
    Filter("quality", lambda needed: needed.quality > 0, _poor, _says_poor),
    Filter("price", lambda needed: needed.max_price is not None, _priced, _says_priced),
)
