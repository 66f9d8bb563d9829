"""What a provider says that a model costs, and what it says that it charged. Pure.

What is no price, or not all of one, is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from osaurus_nb.models import Charge, Price
from osaurus_nb.wire._liberal import as_count, as_mapping, as_text

_MILLION = Decimal(1_000_000)
#: Nobody takes a dollar for a token, and nobody prices finer than this: longer figures are slips or traps.
_LEAST = Decimal("1e-9")
_SIDES = ("input", "output", "cache_read", "cache_write")


def price(row: Mapping[str, Any]) -> Price | None:
    """The price in a row of `GET /models`, as OpenRouter writes it or as we do."""
    ours = as_mapping(as_mapping(row.get("osaurus")).get("price"))
    return _per_token(as_mapping(row.get("pricing"))) or _price(*(_dollars(ours.get(key)) for key in _SIDES))


def charge(payload: Mapping[str, Any]) -> Charge | None:
    """What the end of an answer says that it took, as OpenRouter writes it: dollars in `usage.cost`.

    Who asks there with a key of another provider pays that one too, by the same answer.
    """
    usage = as_mapping(payload.get("usage"))
    fee = _dollars(usage.get("cost"))
    theirs = as_mapping(usage.get("cost_details")).get("upstream_inference_cost") if usage.get("is_byok") is True else 0
    other = _dollars(theirs)
    if fee is None or other is None:
        return None
    micro = int(((fee + other) * _MILLION).to_integral_value(ROUND_HALF_UP))
    tokens = (as_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    return Charge(micro, as_text(payload.get("id")) or "", "", "", *tokens)


def _per_token(said: Mapping[str, Any]) -> Price | None:
    """OpenRouter tells dollars for one token, as text; -1 where it depends, 0 where there is no such class.

    What is taken for each call, or otherwise for thoughts, has no place in a price.
    """
    told = {key: _dollars(said.get(key), _MILLION) for key in said}
    into, out, thought = (told.get(key) for key in ("prompt", "completion", "internal_reasoning"))
    if told.get("request") or (thought and thought != out):
        return None
    return _price(into, out, told.get("input_cache_read") or None, told.get("input_cache_write") or None)


def _price(
    into: Decimal | None, out: Decimal | None, read: Decimal | None = None, write: Decimal | None = None
) -> Price | None:
    return None if into is None or out is None else Price(into, out, read, write)


def _dollars(said: Any, times: Decimal = Decimal(1)) -> Decimal | None:
    """An amount in dollars, so many times."""
    if isinstance(said, bool) or not isinstance(said, str | int | float):
        return None
    try:
        amount = Decimal(str(said)) * times
    except (ArithmeticError, ValueError):  # what is no number, and one that is too long to be written
        return None
    if not amount.is_finite() or not 0 <= amount <= _MILLION:
        return None
    return Decimal(f"{amount.quantize(_LEAST).normalize():f}")
