"""Lines as the meter writes them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from osaurus_nb.models import Usage
from osaurus_nb.spending import Cost, Entry, Origin

#: 2026-11-21 12:00 UTC
NOON = 1_795_262_400.0


def opened(step: str = "s1", attempt: int = 1, **given: Any) -> Entry:
    line = Entry("open", step, attempt, NOON, "openai", "gpt-5", "openai/gpt-5", Origin(cell="c1"), reserved_micro=50)
    return replace(line, **given)


def settled(step: str = "s1", attempt: int = 1, micro: int | None = 30, **given: Any) -> Entry:
    line = opened(step, attempt, kind="settle", usage=Usage(900, 250), token_source="provider", outcome="rendered")
    return replace(line, **{"cost": Cost(micro, "table", "v1"), "duration_ms": 1500, **given})


def voided(step: str = "s1", attempt: int = 1, **given: Any) -> Entry:
    return opened(step, attempt, kind="void", reserved_micro=0, **given)
