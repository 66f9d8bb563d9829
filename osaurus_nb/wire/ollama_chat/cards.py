"""Models as /api/tags, /api/show and /api/ps tell of them, and the cards in a provider's list."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from osaurus_nb.errors import BadAnswer
from osaurus_nb.models import Capabilities, ModelCard
from osaurus_nb.wire._osaurus import about
from osaurus_nb.wire.ollama_chat._names import when

#: The vendor's version whose words we speak, not our own: clients refuse one older than what they need.
_VERSION = "0.20.0"
#: `general.architecture` of every model of ours: clients read the window under its name.
_ARCHITECTURE = "osaurus"
#: The dialect's word for an ability -> ours.
_ABILITIES = {"tools": "tools", "vision": "vision", "thinking": "reasoning", "embedding": "embeddings"}


def encode_models(cards: Iterable[ModelCard]) -> dict[str, Any]:
    """`GET /api/tags`."""
    return {"models": [_row(card) | {"modified_at": when(card.created)} for card in cards]}


def encode_model(card: ModelCard) -> dict[str, Any]:
    """`POST /api/show`. Without `model_info` the vendor's client crashes."""
    info: dict[str, Any] = {"general.architecture": _ARCHITECTURE, "general.basename": card.name}
    if card.context_length is not None:
        info[f"{_ARCHITECTURE}.context_length"] = card.context_length
    return {
        "modelfile": "",
        "parameters": "",
        "template": "",
        "license": "",
        "details": _details(),
        "model_info": info,
        "capabilities": _abilities(card),
        "modified_at": when(card.created),
        "osaurus": about(card),
    }


def encode_running(running: Iterable[tuple[ModelCard, int]]) -> dict[str, Any]:
    """`GET /api/ps`: each model with the second when it will be unloaded."""
    rows = []
    for card, expires in running:
        window = {"context_length": card.context_length} if card.context_length is not None else {}
        rows.append(_row(card) | window | {"expires_at": when(expires), "size_vram": card.size_bytes or 0})
    return {"models": rows}


def encode_version() -> dict[str, Any]:
    """`GET /api/version`."""
    return {"version": _VERSION}


def _row(card: ModelCard) -> dict[str, Any]:
    # The vendor's own client shows the first 12 digits of the digest and crashes without them. Ours names the model.
    digest = hashlib.sha256(card.name.encode()).hexdigest()
    return {
        "name": card.name,
        "model": card.name,
        "size": card.size_bytes or 0,
        "digest": digest,
        "details": _details(),
        "capabilities": _abilities(card),
    }


def _details() -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "",
        "family": "",
        "families": [],
        "parameter_size": "",
        "quantization_level": "",
    }


def _abilities(card: ModelCard) -> list[str]:
    if card.capabilities.embeddings:
        return ["embedding"]
    return ["completion", *(word for word, field in _ABILITIES.items() if getattr(card.capabilities, field))]


def decode_models(payload: Mapping[str, Any], provider: str) -> Sequence[ModelCard]:
    """The cards in a `GET /api/tags` body. A row that is none is left out; the rest of the list stays."""
    rows = payload.get("models") if isinstance(payload, Mapping) else None
    if not isinstance(rows, list):
        raise BadAnswer(f"{provider} sent no list of models.", provider=provider)
    named = ((row, row.get("model") or row.get("name")) for row in rows if isinstance(row, dict))
    return [_card(row, name, provider) for row, name in named if isinstance(name, str)]


def _card(row: Mapping[str, Any], name: str, provider: str) -> ModelCard:
    size = row.get("size")
    return ModelCard(
        id=name,
        provider=provider,
        capabilities=_capabilities(row.get("capabilities")),
        size_bytes=size if isinstance(size, int) and size > 0 else None,
        created=_seconds(row.get("modified_at")),
        forwards_to=_remote(row),
    )


def _remote(row: Mapping[str, Any]) -> str | None:
    """Whose model it is in truth: some have only their name on this server."""
    host, model = row.get("remote_host"), row.get("remote_model")
    if not host and not model:
        return None
    return f"the server at {host}"[:200] if isinstance(host, str) and host.isprintable() else "another server"


def _capabilities(words: Any) -> Capabilities:
    """A list says what is and, by leaving it out, what is not."""
    if not isinstance(words, list):
        return Capabilities()
    return Capabilities(**{field: word in words for word, field in _ABILITIES.items()})


def _seconds(moment: Any) -> int:
    try:
        return max(int(datetime.fromisoformat(str(moment)).timestamp()), 0)
    except (ValueError, OverflowError):
        return 0
