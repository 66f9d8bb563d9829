"""How a provider is asked how many tokens a prompt has, in one piece."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from osaurus_nb.models import ModelCard, TokenCount
from osaurus_nb.request import ChatRequest, Sampling
from osaurus_nb.wire import _counting
from osaurus_nb.wire._codec import Encoded
from osaurus_nb.wire.google_generate.outbound import address, encode_request, resource


def count_endpoint(card: ModelCard) -> str:
    return address(card, "countTokens")


def encode_count(request: ChatRequest, card: ModelCard) -> Encoded:
    """The whole question, which names its model once more: contents alone would leave system prompt and tools out."""
    sent = encode_request(replace(request, sampling=Sampling()), card)
    return replace(sent, body={"generateContentRequest": {"model": resource(card), **sent.body}})


def decode_count_answer(payload: Mapping[str, Any], card: ModelCard) -> TokenCount:
    return _counting.read(payload, "totalTokens", card)
