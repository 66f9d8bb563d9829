"""The ledger's tables, and its lines as rows. Pure: SQL and values.

`router_billing` is the Osaurus app's own table, to the letter, so that the app can open the file. What it does not know
of stands in tables of ours beside it: `entries` is only ever added to, and trimmed at its old end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from osaurus_nb.ledger.chain import fields
from osaurus_nb.ledger.identifiers import identifier
from osaurus_nb.models import Usage
from osaurus_nb.spending import Cost, Entry, Origin

#: Of our own tables. A newer one is not written to.
VERSION = 1
#: Of the app's table.
APP_VERSION = 2
_LARGEST = 2**62

ROUTER = """
CREATE TABLE IF NOT EXISTS router_billing (
    entry_id TEXT PRIMARY KEY,
    created_at REAL NOT NULL,
    session_id TEXT,
    turn_id TEXT,
    model TEXT,
    app_version TEXT,
    token_source TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL DEFAULT '',
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cost_micro TEXT NOT NULL DEFAULT '0',
    outcome TEXT NOT NULL DEFAULT 'pending',
    request_id TEXT
);
CREATE INDEX IF NOT EXISTS idx_router_billing_created ON router_billing(created_at DESC);
CREATE INDEX IF NOT EXISTS idx_router_billing_turn ON router_billing(turn_id);
CREATE INDEX IF NOT EXISTS idx_router_billing_request ON router_billing(request_id);
"""

OURS = """
CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY,
    kind TEXT NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL, at REAL NOT NULL,
    provider TEXT NOT NULL, model TEXT NOT NULL, asked TEXT NOT NULL,
    session TEXT, notebook TEXT, cell TEXT, run TEXT, key TEXT,
    request_id TEXT, idempotency TEXT, answered TEXT, dialect TEXT,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cache_read_input_tokens INTEGER NOT NULL,
    cache_creation_input_tokens INTEGER NOT NULL, reasoning_output_tokens INTEGER NOT NULL,
    usage_estimated INTEGER NOT NULL, usage_absurd INTEGER NOT NULL, token_source TEXT NOT NULL,
    cost_micro INTEGER, cost_source TEXT, cost_version TEXT, cost_estimated INTEGER NOT NULL,
    reserved_micro INTEGER NOT NULL, first_token_ms INTEGER, duration_ms INTEGER,
    finish_reason TEXT, outcome TEXT, profile TEXT, fallbacks INTEGER NOT NULL, energy_j REAL,
    chain TEXT NOT NULL,
    UNIQUE (step, attempt, kind)
);
-- A failure that is not known to have cost anything does not use its key up: the retry under it may be charged.
CREATE UNIQUE INDEX IF NOT EXISTS entries_once ON entries(idempotency)
    WHERE kind = 'settle' AND idempotency IS NOT NULL AND (outcome IS NOT 'error' OR cost_micro > 0);
-- Open lines without an end, and who wrote them.
CREATE TABLE IF NOT EXISTS pending (
    step TEXT NOT NULL, attempt INTEGER NOT NULL, seq INTEGER NOT NULL UNIQUE, writer TEXT NOT NULL,
    PRIMARY KEY (step, attempt)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS totals (
    scope TEXT PRIMARY KEY, settled INTEGER NOT NULL, reserved INTEGER NOT NULL, expires REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS totals_expires ON totals(expires);
CREATE TABLE IF NOT EXISTS holds (
    step TEXT NOT NULL, attempt INTEGER NOT NULL, scope TEXT NOT NULL, reserved INTEGER NOT NULL,
    PRIMARY KEY (step, attempt, scope)
) WITHOUT ROWID;
-- The last line and the last one that was trimmed; `ends` counts the settle and void lines that are here.
CREATE TABLE IF NOT EXISTS head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL, link TEXT NOT NULL, trimmed INTEGER NOT NULL, anchor TEXT NOT NULL, ends INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

COLUMNS = tuple(name for name in fields(Entry("void", "", 0, 0.0, "", "", "")) if name != "form")
SELECT = f"SELECT seq, chain, {', '.join(COLUMNS)} FROM entries"  # noqa: S608 - our own words
INSERT = (
    f"INSERT INTO entries (seq, chain, {', '.join(COLUMNS)})"  # noqa: S608
    f" VALUES (:seq, :chain, {', '.join(f':{name}' for name in COLUMNS)}) ON CONFLICT DO NOTHING"
)


def row(entry: Entry) -> Mapping[str, Any]:
    """The parameters of `INSERT`."""
    return {**fields(entry), "seq": entry.seq, "chain": entry.chain}


def entry_of(values: Sequence[Any]) -> Entry:
    """The line that `SELECT` found."""
    (
        seq, chain, kind, step, attempt, at, provider, model, asked, session, notebook, cell, run, key, request_id,
        idempotency, answered, dialect, input_tokens, output_tokens, cache_read, cache_creation, reasoning,
        estimated, absurd, token_source, micro, source, version, guessed, reserved_micro, first_token_ms,
        duration_ms, finish_reason, outcome, profile, fallbacks, energy_j,
    ) = values  # fmt: skip
    return Entry(
        kind,
        step,
        attempt,
        at,
        provider,
        model,
        asked,
        _origin(session, notebook, cell, run, key),
        request_id,
        idempotency,
        answered,
        dialect,
        usage_of(input_tokens, output_tokens, cache_read, cache_creation, reasoning, estimated, absurd),
        token_source,
        _cost(micro, source, version, guessed),
        reserved_micro,
        first_token_ms,
        duration_ms,
        finish_reason,
        outcome,
        profile,
        fallbacks,
        energy_j,
        seq,
        chain,
    )


def cleaned(entry: Entry) -> Entry:
    """As it may be written: names and ids, whole numbers that a database holds, no figures that are none."""
    origin, usage, cost = entry.origin, entry.usage, entry.cost
    return replace(
        entry,
        step=identifier(entry.step),
        attempt=_whole(entry.attempt),
        at=_finite(entry.at) or 0.0,
        provider=identifier(entry.provider),
        model=identifier(entry.model),
        asked=identifier(entry.asked),
        origin=Origin(*map(_named, (origin.session, origin.notebook, origin.cell, origin.run, origin.key))),
        request_id=_named(entry.request_id),
        idempotency=_named(entry.idempotency),
        answered=_named(entry.answered),
        dialect=_named(entry.dialect),
        usage=Usage(
            _whole(usage.input_tokens),
            _whole(usage.output_tokens),
            _whole(usage.cache_read_input_tokens),
            _whole(usage.cache_creation_input_tokens),
            _whole(usage.reasoning_output_tokens),
            usage.estimated,
            usage.absurd,
        ),
        cost=Cost(_maybe(cost.micro), cost.source, _named(cost.version), cost.estimated),
        reserved_micro=_whole(entry.reserved_micro),
        first_token_ms=_maybe(entry.first_token_ms),
        duration_ms=_maybe(entry.duration_ms),
        finish_reason=_named(entry.finish_reason),
        profile=_named(entry.profile),
        fallbacks=_whole(entry.fallbacks),
        energy_j=_finite(entry.energy_j),
    )


@lru_cache(1024)
def _origin(*values: str | None) -> Origin:
    return Origin(*values)


@lru_cache(1024)
def usage_of(*values: Any) -> Usage:
    """From the columns of the five classes and the two flags."""
    return Usage(values[0], values[1], values[2], values[3], values[4], bool(values[5]), bool(values[6]))


@lru_cache(1024)
def _cost(micro: int | None, source: Any, version: str | None, estimated: int) -> Cost:
    return Cost(micro, source, version, bool(estimated))


def _named(text: str | None) -> str | None:
    return None if text is None else identifier(text)


def _whole(number: int) -> int:
    return max(-_LARGEST, min(int(number), _LARGEST))


def _maybe(number: int | None) -> int | None:
    return None if number is None else _whole(number)


def _finite(number: float | None) -> float | None:
    return float(number) if number is not None and math.isfinite(number) else None
