"""How amounts are shown: a balance never better than it is, a row of a list as exactly as one wants to know. Pure.

Amounts are millionths of a US dollar. What is none is shown as `?`, never as nothing.
"""

from __future__ import annotations

from osaurus_nb.models import Charge

_CENT, _LEAST = 10_000, 100


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


def charged(charge: Charge) -> str:
    """The sentence under an answer that was paid for, e.g. one without a word."""
    tokens = charge.input_tokens + charge.output_tokens
    return f"You were charged {row(charge.cost_micro)}{f' for {tokens} tokens' if tokens else ''}."


def _dollars(micro: int, units: int, places: int) -> str:
    whole, rest = divmod(units, 10**places)
    return f"{'-' if micro < 0 and units else ''}${whole}.{rest:0{places}}"
