"""What a dialect provides beside answers where its providers count a prompt's tokens. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from osaurus_nb.errors import BadAnswer
from osaurus_nb.models import ModelCard, TokenCount
from osaurus_nb.request import ChatRequest
from osaurus_nb.wire._codec import Encoded
from osaurus_nb.wire._opaque import OURS


@runtime_checkable
class CountFormat(Protocol):
    """The part of a dialect that asks for a count; dialects without one have no such functions."""

    def count_endpoint(self, card: ModelCard, /) -> str:
        """Where the question goes, below the provider's base URL."""

    def encode_count(self, request: ChatRequest, card: ModelCard, /) -> Encoded:
        """The prompt as it would be sent, without what only shapes the answer."""

    def decode_count_answer(self, payload: Mapping[str, Any], card: ModelCard, /) -> TokenCount:
        """The count in such an answer. Raises BadAnswer where there is none."""


def read(payload: Mapping[str, Any], key: str, card: ModelCard) -> TokenCount:
    """The count under `key`; a server of ours marks its estimates."""
    tokens, ours = payload.get(key), payload.get(OURS)
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 0:
        raise BadAnswer(f"{card.provider} sent no count of tokens.", provider=card.provider, model=card.id)
    return TokenCount(tokens, estimated=isinstance(ours, Mapping) and ours.get("estimated") is True)
