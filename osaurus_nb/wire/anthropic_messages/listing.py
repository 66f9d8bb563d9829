"""Lists of models in Anthropic's shape, written and read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from osaurus_nb.errors import BadAnswer
from osaurus_nb.models import Capabilities, ModelCard
from osaurus_nb.wire._osaurus import about


def encode_models(cards: Iterable[ModelCard]) -> dict[str, Any]:
    """`GET /v1/models`, all on one page."""
    rows = [encode_model(card) for card in cards]
    first, last = (rows[0]["id"], rows[-1]["id"]) if rows else (None, None)
    return {"data": rows, "has_more": False, "first_id": first, "last_id": last}


def encode_model(card: ModelCard) -> dict[str, Any]:
    """`GET /v1/models/{id}`."""
    return {
        "type": "model",
        "id": card.name,
        "display_name": card.name,
        "created_at": datetime.fromtimestamp(max(card.created, 0), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
        "max_input_tokens": card.context_length,
        "max_tokens": card.max_output_tokens,
        "capabilities": None,  # the dialect knows only yes and no; what we know is in the key `osaurus`
        "osaurus": about(card),
    }


def decode_models(payload: Mapping[str, Any], provider: str) -> Sequence[ModelCard]:
    """The cards in a `GET /models` body. A row that is none, or of a retired model, is left out."""
    rows = payload.get("data") if isinstance(payload, Mapping) else None
    if not isinstance(rows, list):
        raise BadAnswer(f"{provider} sent no list of models.", provider=provider)
    return [_card(row, provider) for row in rows if _is_offered(row)]


def _is_offered(row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get("id"), str) and row.get("lifecycle") != "retired"


def _card(row: Mapping[str, Any], provider: str) -> ModelCard:
    return ModelCard(
        id=row["id"],
        provider=provider,
        context_length=_size(row.get("max_input_tokens")),
        max_output_tokens=_size(row.get("max_tokens")),
        capabilities=_capabilities(row.get("capabilities")),
        created=_seconds(row.get("created_at")),
    )


def _capabilities(body: Any) -> Capabilities:
    known = body if isinstance(body, dict) else {}
    return Capabilities(
        vision=_supported(known.get("image_input")),
        documents=_supported(known.get("pdf_input")),
        json_schema=_supported(known.get("structured_outputs")),
        reasoning=_supported(known.get("thinking")),
    )


def _supported(value: Any) -> bool | None:
    found = value.get("supported") if isinstance(value, dict) else None
    return found if isinstance(found, bool) else None


def _size(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _seconds(value: Any) -> int:
    try:
        return max(int(datetime.fromisoformat(value).timestamp()), 0)
    except (TypeError, ValueError, OverflowError):
        return 0
