"""The Router's list of models: who serves each, what it can do and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from osaurus_nb.errors import BadAnswer
from osaurus_nb.models import Capabilities, ModelCard, Price
from osaurus_nb.wire.osaurus_router.account import micro

#: Which words of the Router's open vocabulary mean a capability that we know.
_CAPABILITIES: Mapping[str, tuple[str, ...]] = {
    "tools": ("tools", "tool_calling", "function_calling"),
    "vision": ("vision", "image", "images", "multimodal"),
    "audio": ("audio",),
    "documents": ("documents", "files", "pdf"),
    "json_schema": ("json_schema", "structured_outputs", "response_schema"),
    "reasoning": ("reasoning", "thinking"),
    "embeddings": ("embeddings", "embedding"),
}
_MICRO = Decimal(1_000_000)
#: A dollar for a token. What says more is no price.
_DEAREST = 10**12


def decode_models(payload: Mapping[str, Any], provider: str) -> Sequence[ModelCard]:
    """The cards that can be asked now. Stale ones are hidden; a row that is none is left out."""
    rows = payload.get("data")
    if not isinstance(rows, list):
        raise BadAnswer(f"{provider} sent no list of models.", provider=provider)
    return [_card(row, provider) for row in rows if _is_offered(row)]


def _is_offered(row: Any) -> bool:
    return isinstance(row, Mapping) and isinstance(row.get("id"), str) and bool(row["id"]) and not row.get("stale")


def _card(row: Mapping[str, Any], provider: str) -> ModelCard:
    window = row.get("context_length")
    return ModelCard(
        id=row["id"],
        provider=provider,
        context_length=window if type(window) is int and window > 0 else None,
        capabilities=_capabilities(row.get("capabilities")),
        price=_price(row),
    )


def _capabilities(said: Any) -> Capabilities:
    """True where any of its words is; False only where one is and none is true."""
    if not isinstance(said, Mapping):
        return Capabilities()
    told = {str(word).lower(): value for word, value in said.items() if isinstance(value, bool)}
    known = {name: [told[word] for word in words if word in told] for name, words in _CAPABILITIES.items()}
    return Capabilities(**{name: any(values) for name, values in known.items() if values})


def _price(row: Mapping[str, Any]) -> Price | None:
    into, out = (micro(row.get(f"{side}_micro_per_mtok")) for side in ("input", "output"))
    if into is None or out is None or min(into, out) < 0 or max(into, out) > _DEAREST:
        return None
    return Price(into / _MICRO, out / _MICRO)
