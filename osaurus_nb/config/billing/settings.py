"""What the user said of spending. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from osaurus_nb.models import Price

_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class BillingSettings:
    """Caps are micro-dollars: None is no cap, 0 lets through what is free. The day's cap is for all notebooks together.

    `keys` are capped by the id of an issued key, `providers` by slug. `prices` are by the name of a model and win over
    all that others say. `rows` and `days` bound the ledger.
    """

    request: int | None = None
    cell: int | None = None
    notebook: int | None = None
    day: int | None = None
    keys: Mapping[str, int] = field(default_factory=lambda: _NONE)
    providers: Mapping[str, int] = field(default_factory=lambda: _NONE)
    prices: Mapping[str, Price] = field(default_factory=lambda: _NONE)
    rows: int = 10_000
    days: float = 365
