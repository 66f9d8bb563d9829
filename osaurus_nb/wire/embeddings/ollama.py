"""Ollama's /api/embed, and /api/embeddings as it was before. Pure: no I/O, no clock, no settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from osaurus_nb.embeddings import EmbeddingRequest, Embeddings
from osaurus_nb.models import ModelCard
from osaurus_nb.wire import _errors, _openai_keys
from osaurus_nb.wire._codec import Encoded
from osaurus_nb.wire._inbound import Open, validate
from osaurus_nb.wire._opaque import AS_SENT, keep, own
from osaurus_nb.wire.embeddings._state import as_sent, counted, lost, ours
from osaurus_nb.wire.embeddings._texts import MAX_TEXTS, texts
from osaurus_nb.wire.embeddings._vectors import bad, checked
from osaurus_nb.wire.ollama_chat._names import NAME
from osaurus_nb.wire.ollama_chat._schema import KeepAlive

__all__ = [
    "MAX_TEXTS",
    "decode_legacy",
    "decode_request",
    "decode_response",
    "encode_request",
    "encode_response",
    "endpoint",
]


class _Body(Open):
    """What both paths take; a null means the same as a missing key."""

    model: str = Field(min_length=1)
    truncate: bool | None = None
    dimensions: int | None = Field(default=None, ge=1)
    keep_alive: KeepAlive | None = None
    options: dict[str, Any] | None = None


class _Embed(_Body):
    input: Any


class _Legacy(_Body):
    prompt: str


def decode_request(body: bytes) -> EmbeddingRequest:
    """Read a body of /api/embed. Raises RequestError that names the field at fault, never its value."""
    parsed = validate(_Embed, body)
    return _request(parsed, texts(parsed.input, "input"))


def decode_legacy(body: bytes) -> EmbeddingRequest:
    """Read a body of /api/embeddings: one prompt, for one vector."""
    parsed = validate(_Legacy, body)
    return _request(parsed, texts(parsed.prompt, "prompt"), legacy=True)


def encode_response(answer: Embeddings, request: EmbeddingRequest, *, seconds: float = 0) -> dict[str, Any]:
    """The body for a caller, in the shape of the path that it asked."""
    if as_sent(request, NAME).get("legacy"):
        return {"embedding": list(answer.vectors[0]), "osaurus": ours(answer)}
    body = {
        "model": request.model,
        "embeddings": [list(vector) for vector in answer.vectors],
        "total_duration": round(seconds * 1e9),
        "load_duration": 0,
    }
    tokens = {"prompt_eval_count": answer.usage.total_input} if answer.usage is not None else {}
    return {**body, **tokens, "osaurus": ours(answer)}


def endpoint(card: ModelCard) -> str:
    return "/api/embed"


def encode_request(request: EmbeddingRequest, card: ModelCard) -> Encoded:
    """The body to send. Keys we do not know go along as they came."""
    state = own(request.provider_metadata, NAME)
    state.pop(AS_SENT, None)
    body: dict[str, Any] = {
        **_openai_keys.without(request.extra),
        **state,
        "model": card.id,
        "input": list(request.inputs),
    }
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    if request.truncate is False:
        body["truncate"] = False
    return Encoded(body, (*_openai_keys.dropped(request.extra, "Ollama"), *lost(request, card.name, NAME)))


def decode_response(payload: Mapping[str, Any], card: ModelCard, request: EmbeddingRequest) -> Embeddings:
    """The vectors of the newer path, or the one of the older."""
    vectors, model = payload.get("embeddings"), payload.get("model")
    if vectors is None and "embedding" in payload:
        vectors = [payload["embedding"]]
    if payload.get("error") and not vectors:
        raise _errors.in_band(payload, provider=card.provider, model=card.id)
    if not isinstance(vectors, list):
        raise bad("sent no list of vectors", card)
    return Embeddings(
        provider=card.provider,
        model=model if isinstance(model, str) and model else card.id,
        vectors=checked(vectors, card, request),
        usage=counted(payload.get("prompt_eval_count"), payload.get("osaurus")),
    )


def _request(body: _Body, inputs: tuple[str, ...], *, legacy: bool = False) -> EmbeddingRequest:
    fields = {
        "keep_alive": body.keep_alive,
        "options": body.options or None,
        AS_SENT: {"legacy": True} if legacy else None,
    }
    return EmbeddingRequest(
        model=body.model,
        inputs=inputs,
        dimensions=body.dimensions,
        truncate=body.truncate is not False,  # the vendor cuts unless told otherwise
        extra=body.unknown(),
        provider_metadata=keep(NAME, fields),
    )
