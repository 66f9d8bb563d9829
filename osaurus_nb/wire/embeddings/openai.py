"""OpenAI's /v1/embeddings. Pure: no I/O, no clock, no settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from osaurus_nb.embeddings import EmbeddingRequest, Embeddings
from osaurus_nb.models import ModelCard
from osaurus_nb.wire import _errors
from osaurus_nb.wire._codec import Encoded
from osaurus_nb.wire._inbound import Open, validate
from osaurus_nb.wire._opaque import AS_SENT, keep
from osaurus_nb.wire.embeddings._state import as_sent, counted, lost, ours
from osaurus_nb.wire.embeddings._texts import MAX_TEXTS, texts
from osaurus_nb.wire.embeddings._vectors import bad, checked, pack
from osaurus_nb.wire.openai_chat.outbound import DIALECT

__all__ = ["MAX_TEXTS", "decode_request", "decode_response", "encode_request", "encode_response", "endpoint"]


class _Body(Open):
    """The request body; a null means the same as a missing key."""

    model: str = Field(min_length=1)
    input: Any
    dimensions: int | None = Field(default=None, ge=1)
    encoding_format: Literal["float", "base64"] | None = None


def decode_request(body: bytes) -> EmbeddingRequest:
    """Read a request body. Raises RequestError that names the field at fault, never its value."""
    parsed = validate(_Body, body)
    shape = {"encoding_format": parsed.encoding_format} if parsed.encoding_format else None
    return EmbeddingRequest(
        model=parsed.model,
        inputs=texts(parsed.input, "input"),
        dimensions=parsed.dimensions,
        extra=parsed.unknown(),
        provider_metadata=keep(DIALECT, {AS_SENT: shape}),
    )


def encode_response(answer: Embeddings, request: EmbeddingRequest, *, seconds: float = 0) -> dict[str, Any]:
    """The body for a caller. Its SDK wants numbers for the tokens, also where nobody counted them."""
    write = pack if as_sent(request, DIALECT).get("encoding_format") == "base64" else list
    tokens = answer.usage.total_input if answer.usage is not None else 0
    rows = enumerate(answer.vectors)
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": at, "embedding": write(vector)} for at, vector in rows],
        "model": request.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens} | _marked(answer),
        "osaurus": ours(answer),
    }


def endpoint(card: ModelCard) -> str:
    return "/embeddings"


def encode_request(request: EmbeddingRequest, card: ModelCard) -> Encoded:
    """The body to send. Packed numbers are half the bytes; who cannot pack them sends them as they are.

    `truncate` has no place here: the vendor refuses a text that is too long, and says so.
    """
    body: dict[str, Any] = {
        **request.extra,
        "model": card.id,
        "input": list(request.inputs),
        "encoding_format": as_sent(request, DIALECT).get("encoding_format") or "base64",
    }
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return Encoded(body, tuple(lost(request, card.name, DIALECT)))


def decode_response(payload: Mapping[str, Any], card: ModelCard, request: EmbeddingRequest) -> Embeddings:
    """Rows are put in the order of their `index`, where they have one."""
    rows, usage, model = payload.get("data"), payload.get("usage"), payload.get("model")
    if payload.get("error") and not rows:
        raise _errors.in_band(payload, provider=card.provider, model=card.id)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise bad("sent no list of vectors", card)
    usage = usage if isinstance(usage, dict) else {}
    return Embeddings(
        provider=card.provider,
        model=model if isinstance(model, str) and model else card.id,
        vectors=checked((row.get("embedding") for row in _ordered(rows, card)), card, request),
        usage=counted(usage.get("prompt_tokens"), usage),
    )


def _ordered(rows: list[dict[str, Any]], card: ModelCard) -> list[dict[str, Any]]:
    places = [row.get("index") for row in rows]
    if all(place is None for place in places):
        return rows
    if not all(isinstance(place, int) for place in places) or len(set(places)) != len(rows):
        raise bad("sent vectors whose order nobody can tell", card)
    return sorted(rows, key=lambda row: int(row["index"]))


def _marked(answer: Embeddings) -> dict[str, Any]:
    return {"estimated": True} if answer.usage is None or answer.usage.estimated else {}
