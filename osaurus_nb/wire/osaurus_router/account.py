"""What the Router says about an account, as values. Amounts come as strings of micro-dollars.

An amount that cannot be read is None, and is shown as `?`: it is never taken for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from osaurus_nb.errors import BadAnswer

#: The least that can be paid in, in micro-dollars.
MINIMUM_TOP_UP = 5_000_000
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_LINK = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]+)?(?:[/?#][!-~]*)?")

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Balance:
    """What is left. `stale` says that it could not be asked for just now and is the last one known."""

    micro: int | None
    frozen: bool = False
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a request may cost at most, and what one like it costs as a rule."""

    most_micro: int | None
    typical_micro: int | None


@dataclass(frozen=True, slots=True)
class Checkout:
    """Where to pay. The secret belongs to the payment form alone."""

    url: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One call as the Router remembers it. No content."""

    id: str
    request_id: str | None
    model: str
    provider: str
    input_tokens: int
    output_tokens: int
    cost_micro: int | None
    status: str
    token_source: str
    created_at: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """One change of the balance."""

    id: str
    amount_micro: int | None
    entry_type: str
    ref_type: str | None
    ref_id: str | None
    created_at: str


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, newest first; `next_cursor` asks for those behind them, None at the end."""

    rows: tuple[Row, ...]
    next_cursor: str | None = None


def micro(value: Any) -> int | None:
    """A whole amount, as the string that it should be or as a number."""
    if type(value) is int:
        return value
    return int(value) if isinstance(value, str) and _WHOLE.fullmatch(value.strip()) else None


def read_balance(payload: Mapping[str, Any], provider: str) -> Balance:
    if "balance_micro" not in payload:
        raise BadAnswer(f"{provider} sent no balance.", provider=provider)
    return Balance(micro(payload["balance_micro"]), payload.get("frozen") is True)


def read_estimate(payload: Mapping[str, Any], provider: str) -> Estimate:
    if "estimated_max_micro" not in payload:
        raise BadAnswer(f"{provider} sent no estimate.", provider=provider)
    return Estimate(micro(payload["estimated_max_micro"]), micro(payload.get("typical_micro")))


def read_checkout(payload: Mapping[str, Any], provider: str) -> Checkout:
    """Raises BadAnswer for a link that no browser should be sent to."""
    url = payload.get("checkout_url")
    if not isinstance(url, str) or not _LINK.fullmatch(url):
        raise BadAnswer(f"{provider} sent no checkout link that can be opened.", provider=provider)
    return Checkout(url, _text(payload, "client_secret"))


def read_usage(payload: Mapping[str, Any], provider: str) -> Page[UsageRow]:
    return _page(payload, provider, _usage_row)


def read_transactions(payload: Mapping[str, Any], provider: str) -> Page[Transaction]:
    return _page(payload, provider, _transaction)


def _page(payload: Mapping[str, Any], provider: str, read: Callable[[Mapping[str, Any]], Row]) -> Page[Row]:
    """A row that is none is left out; the rest of the page stays."""
    rows = payload.get("data")
    if not isinstance(rows, list):
        raise BadAnswer(f"{provider} sent no list.", provider=provider)
    good = (row for row in rows if isinstance(row, Mapping) and isinstance(row.get("id"), str))
    return Page(tuple(map(read, good)), _optional(payload, "next_cursor"))


def _usage_row(row: Mapping[str, Any]) -> UsageRow:
    return UsageRow(
        id=row["id"],
        request_id=_optional(row, "request_id"),
        model=_text(row, "model"),
        provider=_text(row, "provider"),
        input_tokens=micro(row.get("input_tokens")) or 0,
        output_tokens=micro(row.get("output_tokens")) or 0,
        cost_micro=micro(row.get("cost_micro")),
        status=_text(row, "status"),
        token_source=_text(row, "token_source"),
        created_at=_text(row, "created_at"),
    )


def _transaction(row: Mapping[str, Any]) -> Transaction:
    return Transaction(
        id=row["id"],
        amount_micro=micro(row.get("amount_micro")),
        entry_type=_text(row, "entry_type"),
        ref_type=_optional(row, "ref_type"),
        ref_id=_optional(row, "ref_id"),
        created_at=_text(row, "created_at"),
    )


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def _optional(row: Mapping[str, Any], key: str) -> str | None:
    return _text(row, key) or None
