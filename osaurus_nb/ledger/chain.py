"""The chain through the ledger's lines: each link vouches for its line and for all before it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from osaurus_nb.spending import Entry

#: What stands before the first line.
GENESIS = ""
_FORM = "osaurus-ledger-1"


def link(previous: str, entry: Entry) -> str:
    """SHA-256, in hex, over the link before and this line as `canonical` writes it."""
    return hashlib.sha256(f"{previous}\n{canonical(entry)}".encode(errors="surrogatepass")).hexdigest()


def canonical(entry: Entry) -> str:
    """All that was written down about it, as compact JSON with sorted keys; without what only the ledger adds."""
    return json.dumps(fields(entry), sort_keys=True, separators=(",", ":"))


def fields(entry: Entry) -> dict[str, Any]:
    """The line's columns by name. Amounts are whole numbers, times floats, and what is not known is null."""
    origin, usage, cost = entry.origin, entry.usage, entry.cost
    return {
        "form": _FORM,
        "kind": entry.kind,
        "step": entry.step,
        "attempt": entry.attempt,
        "at": float(entry.at),
        "provider": entry.provider,
        "model": entry.model,
        "asked": entry.asked,
        "session": origin.session,
        "notebook": origin.notebook,
        "cell": origin.cell,
        "run": origin.run,
        "key": origin.key,
        "request_id": entry.request_id,
        "idempotency": entry.idempotency,
        "answered": entry.answered,
        "dialect": entry.dialect,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_input_tokens,
        "cache_creation_input_tokens": usage.cache_creation_input_tokens,
        "reasoning_output_tokens": usage.reasoning_output_tokens,
        "usage_estimated": usage.estimated,
        "usage_absurd": usage.absurd,
        "token_source": entry.token_source,
        "cost_micro": cost.micro,
        "cost_source": cost.source,
        "cost_version": cost.version,
        "cost_estimated": cost.estimated,
        "reserved_micro": entry.reserved_micro,
        "first_token_ms": entry.first_token_ms,
        "duration_ms": entry.duration_ms,
        "finish_reason": entry.finish_reason,
        "outcome": entry.outcome,
        "profile": entry.profile,
        "fallbacks": entry.fallbacks,
        "energy_j": None if entry.energy_j is None else float(entry.energy_j),
    }


def broken_at(entries: Iterable[Entry], anchor: str = GENESIS) -> int | None:
    """The `seq` of the first line, oldest first, whose link is not right; or None. `anchor` is the link before it."""
    previous = anchor
    for entry in entries:
        if link(previous, entry) != entry.chain:
            return entry.seq
        previous = entry.chain
    return None
