"""The list that the model picker shows, from cards and the state of their providers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from osaurus_nb.catalog.capabilities import talks
from osaurus_nb.models import LOCAL, ROUTER, EndpointClass, ModelCard, SourceStatus, rank

_WHERE: dict[EndpointClass, str] = {
    "process": "this machine",
    "loopback": "this machine",
    "lan": "local network",
    "tailnet": "tailnet",
    "decentralized": "peer network",
    "cloud": "cloud",
}


_LABELS = {LOCAL: "On this machine", ROUTER: "Osaurus Router"}


def groups(cards: Sequence[ModelCard], status: Sequence[SourceStatus]) -> list[dict[str, Any]]:
    """Models by provider, the local ones first; a provider that lists none is there with the reason.

    What makes vectors, ranks, draws or listens cannot chat and is left out.
    """
    by_provider: dict[str, list[ModelCard]] = {row.provider: [] for row in status}
    for card in cards:
        if talks(card):
            by_provider.setdefault(card.provider, []).append(card)
    errors = {row.provider: row.error for row in status if row.error}
    order = sorted(by_provider, key=lambda slug: (slug != LOCAL and slug in errors, rank(slug)))
    return [_group(slug, by_provider[slug], errors.get(slug)) for slug in order]


def context(tokens: int | None) -> str:
    """A window's length as people say it: 8192 is 8K, 200000 is 200K."""
    if tokens is None:
        return ""
    if tokens >= 1_000_000:
        return f"{tokens / 1_000_000:.2g}M context"
    if tokens >= 1_000:
        return f"{tokens // 1024 if tokens % 1024 == 0 else tokens // 1000}K context"
    return f"{tokens} context"


def _group(slug: str, cards: Sequence[ModelCard], error: str | None) -> dict[str, Any]:
    reason = error or ("" if cards else "No models here yet.")
    label = _LABELS.get(slug, slug)
    return {"label": label, "reason": reason, "models": [_option(card) for card in cards]}


def _option(card: ModelCard) -> dict[str, str]:
    return {
        "name": card.name,
        "label": card.id,
        "where": "" if card.provider == LOCAL else _WHERE[card.endpoint],  # there the group says it
        "context": context(card.context_length),
    }
