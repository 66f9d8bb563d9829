"""Under which caps a call falls, and what is said when it does not fit. Pure.

A scope is a name under which spending is added up. The caps of the user's own settings hold for a scope that the call
itself names: its step, its run of a cell, its notebook, the day, and by calendar month its key and its provider.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from osaurus_nb import money
from osaurus_nb.config.billing import BillingSettings
from osaurus_nb.ports import Bid
from osaurus_nb.spending import Cap, Origin, Overrun

#: What a scope's kind is called in a sentence.
_NAMES = {
    "request": "of one question",
    "run": "of this cell's run",
    "notebook": "of this notebook",
    "day": "of today",
    "key": "of this key for this month",
    "provider": "of this provider for this month",
    "budget": "that is around this call",
    "question": "of this question",
}
_REMEDY = "Raise it, take a cheaper model, or set a smaller max_tokens."


def scopes(bid: Bid, settings: BillingSettings, now: datetime) -> dict[str, int | None]:
    """Every scope under which this call counts, with the least limit that holds there, if one does."""
    terms = bid.step.terms
    found: dict[str, int | None] = dict(_standing(terms.origin, bid.card.provider, settings, now))
    question = bid.step.within or bid.step.id
    own = [("request", question, settings.request), ("request", question, bid.max_cost_micro)]
    for kind, id, limit in own:
        if limit is not None:
            _add(found, f"{kind}:{id}", limit)
    for cap in terms.caps:
        _add(found, cap.scope, cap.limit_micro)
    return found


def caps(origin: Origin, settings: BillingSettings, now: datetime) -> tuple[Cap, ...]:
    """The caps of the settings that hold for questions from there, whoever answers them."""
    found = dict(_standing(origin, None, settings, now))
    for slug in settings.providers:
        found |= _standing(Origin(), slug, settings, now)
    return tuple(Cap(scope, limit) for scope, limit in found.items() if limit is not None)


def refusal(overrun: Overrun, model: str) -> str:
    """Why the call was not made, in figures."""
    limit = overrun.cap.limit_micro
    whose = _NAMES.get(overrun.cap.scope.partition(":")[0], "that holds here")
    if overrun.needed_micro is None:
        return (
            f"'{model}' was not asked: what it costs is not known, so the budget {whose} ({money.row(limit)}) cannot "
            "hold. Say its price with `%osaurus budget price`, or ask without a budget."
        )
    left = max(limit - overrun.spent_micro - overrun.reserved_micro, 0)
    shown = money.row if money.row(left) != money.row(overrun.needed_micro) else _exact
    aside = f", {shown(overrun.reserved_micro)} of it set aside for calls under way" if overrun.reserved_micro else ""
    return (
        f"'{model}' was not asked: it could cost {shown(overrun.needed_micro)}, and the budget {whose} has "
        f"{shown(left)} left of {shown(limit)}{aside}. {_REMEDY}"
    )


def _exact(micro: int) -> str:
    return money.full(micro)


def _standing(
    origin: Origin, provider: str | None, settings: BillingSettings, now: datetime
) -> Iterator[tuple[str, int | None]]:
    local = now.astimezone()
    month = f"{local:%Y-%m}"
    yield f"day:{local:%Y-%m-%d}", settings.day
    if origin.run is not None:
        yield f"run:{origin.run}", settings.cell
    if origin.notebook is not None:
        yield f"notebook:{origin.notebook}", settings.notebook
    if origin.key is not None:
        yield f"key:{origin.key}@{month}", _of(settings.keys, origin.key)
    if provider is not None:
        yield f"provider:{provider}@{month}", _of(settings.providers, provider)


def _of(limits: Mapping[str, int], name: str) -> int | None:
    return limits.get(name)


def _add(found: dict[str, int | None], scope: str, limit: int) -> None:
    before = found.get(scope)
    found[scope] = limit if before is None else min(before, limit)
