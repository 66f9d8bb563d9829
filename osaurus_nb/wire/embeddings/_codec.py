"""What every dialect of embeddings provides, as a type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from osaurus_nb.embeddings import EmbeddingRequest, Embeddings
from osaurus_nb.models import ModelCard
from osaurus_nb.wire._codec import Encoded


class EmbeddingFormat(Protocol):
    """One dialect. The modules in this room satisfy it; how a body is read differs in what the address says."""

    #: So many texts go into one request.
    MAX_TEXTS: int

    def encode_response(self, answer: Embeddings, request: EmbeddingRequest, /, *, seconds: float) -> dict[str, Any]:
        """The body for a caller, in the shape in which it asked. `seconds` is how long the vectors took."""

    def endpoint(self, card: ModelCard, /) -> str:
        """Where texts go, below the provider's base URL."""

    def encode_request(self, request: EmbeddingRequest, card: ModelCard, /) -> Encoded:
        """The body for a provider, and a warning for each knob that it has no place for."""

    def decode_response(self, payload: Mapping[str, Any], card: ModelCard, request: EmbeddingRequest, /) -> Embeddings:
        """One vector for each text, in the order asked. Raises BadAnswer for anything else."""
