"""How amounts are read and shown: a balance never better than it is, a row as exactly as one wants to know. Pure.

Amounts are millionths of a US dollar. What is none is shown as `?`, never as nothing, and is never read as an amount.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal

from osaurus_nb.errors import RequestError
from osaurus_nb.models import Charge
from osaurus_nb.spending import Cost

_MICRO = Decimal(1_000_000)
#: More is a slip of the keyboard, and sums must fit a database's integers.
_MOST = Decimal(1_000_000_000)
_DOLLARS = re.compile(r"\$?\s*((?:\d+(?:\.\d*)?|\.\d+))(?:\s*(?:USD|usd))?", re.ASCII)

_CENT, _LEAST = 10_000, 100


def parse(amount: str | float | Decimal, param: str | None = None) -> int:
    """Micro-dollars of an amount in US dollars: "$0.50", "0.5", "0.5 USD", 0.5. Half a millionth is rounded up.

    Raises RequestError for what is none, is less than nothing or more than a billion; `param` names the field.
    """
    dollars = _decimal(amount)
    if dollars is None or not 0 <= dollars <= _MOST:
        field = f"{param}: " if param else ""
        raise RequestError(f'{field}not an amount in US dollars. Write one like "0.50" or "$2".', param=param)
    return int((dollars * _MICRO).to_integral_value(ROUND_HALF_UP))


def exact(micro: int) -> str:
    """Dollars to the last millionth, for files and fields: 0.5 for 500000. `parse` reads it back as the same."""
    whole, rest = divmod(abs(micro), 1_000_000)
    return f"{'-' if micro < 0 else ''}{whole}{f'.{rest:06}'.rstrip('0') if rest else ''}"


def full(micro: int) -> str:
    """A limit as it was set, for a sentence: whole cents at least, and no digit lost. $0.50, $0.0005."""
    whole, _, rest = exact(micro).partition(".")
    sign = "-" if micro < 0 else ""
    return f"{sign}${whole.removeprefix('-')}.{rest:0<2}"


def balance(micro: int | None) -> str:
    """Whole cents, rounded towards nothing: $1.99 for 1999999."""
    if micro is None:
        return "?"
    return _dollars(micro, abs(micro) // _CENT, 2)


def row(micro: int | None) -> str:
    """Cents from one cent on, below that four places: $0.0012 for 1234."""
    if micro is None:
        return "?"
    size = abs(micro)
    if 0 < size < _LEAST:
        return f"{'-' if micro < 0 else ''}<$0.0001"
    if size < _CENT and size:
        return _dollars(micro, (size + _LEAST // 2) // _LEAST, 4)
    return _dollars(micro, (size + _CENT // 2) // _CENT, 2)


def paid(cost: Cost) -> str:
    """What a call cost: `free` on the user's own machines, `about` where it was estimated."""
    if cost.source == "free":
        return "free"
    return f"{'about ' if cost.estimated and cost.micro is not None else ''}{row(cost.micro)}"


def charged(charge: Charge) -> str:
    """The sentence under an answer that was paid for, e.g. one without a word."""
    tokens = charge.input_tokens + charge.output_tokens
    return f"You were charged {row(charge.cost_micro)}{f' for {tokens} tokens' if tokens else ''}."


def _dollars(micro: int, units: int, places: int) -> str:
    whole, rest = divmod(units, 10**places)
    return f"{'-' if micro < 0 and units else ''}${whole}.{rest:0{places}}"


def _decimal(amount: object) -> Decimal | None:
    if isinstance(amount, str):
        found = _DOLLARS.fullmatch(amount.strip()) if len(amount) <= 64 else None
        return Decimal(found[1]) if found else None
    if isinstance(amount, bool) or not isinstance(amount, int | float | Decimal):
        return None
    exact = Decimal(repr(amount)) if isinstance(amount, float) else Decimal(amount)
    return exact if exact.is_finite() else None
