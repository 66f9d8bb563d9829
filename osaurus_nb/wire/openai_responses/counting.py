"""How a provider is asked how many tokens an input has, in one piece."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from osaurus_nb.models import ModelCard, TokenCount
from osaurus_nb.request import ChatRequest, Sampling
from osaurus_nb.wire import _counting
from osaurus_nb.wire._codec import Encoded
from osaurus_nb.wire.openai_responses.outbound import encode_request

#: What counts; the vendor refuses any other key.
_COUNTED = (
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "text",
    "truncation",
)


def count_endpoint(card: ModelCard) -> str:
    return "/responses/input_tokens"


def encode_count(request: ChatRequest, card: ModelCard) -> Encoded:
    """The input as it would be sent."""
    sent = encode_request(replace(request, sampling=Sampling()), card)
    return replace(sent, body={key: sent.body[key] for key in _COUNTED if key in sent.body})


def decode_count_answer(payload: Mapping[str, Any], card: ModelCard) -> TokenCount:
    return _counting.read(payload, "input_tokens", card)
