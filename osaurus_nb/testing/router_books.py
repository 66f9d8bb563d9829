"""The books of the reference Router: accounts, what was charged under which key, and pages of both. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MICRO = 1_000_000
MINIMUM_TOP_UP = 5 * MICRO

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RouterModel:
    """One model on offer. Prices are micro-dollars for a million tokens."""

    id: str
    provider: str = "venice"
    context_length: int = 131_072
    capabilities: Mapping[str, bool] = field(default_factory=lambda: {"tools": True})
    input_micro: int = MICRO
    output_micro: int = 3 * MICRO
    stale: bool = False

    def cost(self, input_tokens: int, output_tokens: int) -> int:
        """Rounded up: nobody works for less than a micro-dollar."""
        return -(-(input_tokens * self.input_micro + output_tokens * self.output_micro) // MICRO)

    def row(self) -> Row:
        return {
            "id": self.id,
            "provider": self.provider,
            "context_length": self.context_length,
            "capabilities": dict(self.capabilities),
            "input_micro_per_mtok": str(self.input_micro),
            "output_micro_per_mtok": str(self.output_micro),
            "input_display": f"${self.input_micro / MICRO:.2f}/M",
            "output_display": f"${self.output_micro / MICRO:.2f}/M",
            "stale": self.stale,
        }


@dataclass(frozen=True, slots=True)
class Bill:
    """What one key was charged."""

    request_id: str
    cost_micro: int
    input_tokens: int
    output_tokens: int
    status: str = "completed"

    def summary(self) -> dict[str, Any]:
        """As the frame in front of `[DONE]` says it."""
        return {
            "request_id": self.request_id,
            "cost_micro": str(self.cost_micro),
            "status": self.status,
            "token_source": "provider",
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
        }


@dataclass(slots=True)
class Account:
    """One wallet's. `usage` and `transactions` are newest last."""

    balance_micro: int
    frozen: bool = False
    usage: list[Row] = field(default_factory=list)
    transactions: list[Row] = field(default_factory=list)
    bills: dict[str, Bill] = field(default_factory=dict)
    #: The body that each key came with, and how often it came.
    bodies: dict[str, bytes] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)

    def admit(self, key: str, body: bytes) -> bool:
        """Note that this key came; False when it had come with another body."""
        digest = hashlib.sha256(body).digest()
        self.seen[key] = self.seen.get(key, 0) + 1
        return self.bodies.setdefault(key, digest) == digest

    def charge(self, key: str, model: RouterModel, tokens: tuple[int, int], at: str) -> Bill:
        """The bill of this key: a new one the first time, the same one ever after."""
        if key in self.bills:
            return self.bills[key]
        bill = Bill(f"req_{len(self.bills) + 1}", model.cost(*tokens), *tokens)
        self.bills[key] = bill
        self.usage.append(
            {"id": f"use_{len(self.usage) + 1}", "model": model.id, "provider": model.provider, "created_at": at}
            | bill.summary()
        )
        self._move(-bill.cost_micro, "debit", at, ref=("request", bill.request_id))
        return bill

    def top_up(self, amount_micro: int, at: str, ref: str = "checkout") -> None:
        self._move(amount_micro, "topup", at, ref=("checkout", ref))

    def _move(self, amount_micro: int, kind: str, at: str, *, ref: tuple[str, str]) -> None:
        self.balance_micro += amount_micro
        id = f"txn_{len(self.transactions) + 1}"
        row = {"id": id, "amount_micro": str(amount_micro), "entry_type": kind, "created_at": at}
        self.transactions.append(row | {"ref_type": ref[0], "ref_id": ref[1]})


def page(rows: Sequence[Row], limit: int, cursor: str | None) -> dict[str, Any]:
    """Newest first. The cursor is the id of the last row shown, so that new rows do not shift the pages."""
    newest = list(reversed(rows))
    start = next((at + 1 for at, row in enumerate(newest) if row["id"] == cursor), 0)
    shown = newest[start : start + limit]
    more = start + limit < len(newest)
    return {"data": shown, "next_cursor": shown[-1]["id"] if more and shown else None}
