"""How a provider is asked how many tokens a prompt has, in one piece."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from osaurus_nb.models import ModelCard, TokenCount
from osaurus_nb.request import ChatRequest, Sampling
from osaurus_nb.wire import _counting
from osaurus_nb.wire._codec import Encoded
from osaurus_nb.wire.anthropic_messages.outbound import encode_request

#: What counts; the vendor refuses any other key.
_COUNTED = (
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "cache_control",
    "speed",
)


def count_endpoint(card: ModelCard) -> str:
    return "/messages/count_tokens"


def encode_count(request: ChatRequest, card: ModelCard) -> Encoded:
    """The prompt as it would be sent. The answer's length goes into it, for thinking is budgeted by it."""
    asked = replace(request, sampling=Sampling(max_output_tokens=request.sampling.max_output_tokens))
    sent = encode_request(asked, card)
    return replace(sent, body={key: sent.body[key] for key in _COUNTED if key in sent.body})


def decode_count_answer(payload: Mapping[str, Any], card: ModelCard) -> TokenCount:
    return _counting.read(payload, "input_tokens", card)
