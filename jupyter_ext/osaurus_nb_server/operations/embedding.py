"""Texts as vectors, asked in three dialects."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from osaurus_nb.embeddings import EmbeddingRequest
from osaurus_nb.runtime import Backend
from osaurus_nb_server.dialect import Address, Dialect
from osaurus_nb_server.dialects import GEMINI, OLLAMA, OPENAI_CHAT
from osaurus_nb_server.operations._operation import Operation, Outcome, without_ours

#: Reads the question with the codec of its dialect.
Read = Callable[[Any, bytes, Address], EmbeddingRequest]


def _row(dialect: Dialect, module: str, read: Read) -> Operation:
    async def embed(backend: Backend, body: bytes, address: Address) -> Outcome:
        codec, began = import_module(module), time.monotonic()  # slow libraries came with the dialect's own codec
        body, limits = without_ours(body, address)
        request = read(codec, body, address)
        answer = await backend.embed(request, address.terms(**limits))
        written = codec.encode_response(answer, request, seconds=time.monotonic() - began)
        return Outcome.of(answer, written, asked=request.model)

    return Operation(dialect, embed)


def _gemini(codec: Any, body: bytes, address: Address) -> EmbeddingRequest:
    """Model and manner are in the path."""
    model, verb = address.path
    request: EmbeddingRequest = codec.decode_request(body, model=model, batch=verb == "batchEmbedContents")
    return request


_OPENAI = _row(OPENAI_CHAT, "osaurus_nb.wire.embeddings.openai", lambda codec, body, _: codec.decode_request(body))
_OLLAMA = _row(OLLAMA, "osaurus_nb.wire.embeddings.ollama", lambda codec, body, _: codec.decode_request(body))
_LEGACY = _row(OLLAMA, "osaurus_nb.wire.embeddings.ollama", lambda codec, body, _: codec.decode_legacy(body))

#: Paths below `/osaurus`, each with what it does.
ROWS: Mapping[str, Operation] = {
    "/v1/embeddings": _OPENAI,
    "/embeddings": _OPENAI,
    "/v1(?:beta)?/models/(.+):(embedContent|batchEmbedContents)": _row(
        GEMINI, "osaurus_nb.wire.embeddings.google", _gemini
    ),
    "/api/embed": _OLLAMA,
    "/api/embeddings": _LEGACY,
}
