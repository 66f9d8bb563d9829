"""A Responses body for a provider of Responses, as the caller wrote it."""

from __future__ import annotations

from typing import Any

from osaurus_nb.models import ModelCard
from osaurus_nb.request import ChatRequest, Sent
from osaurus_nb.wire import _relay
from osaurus_nb.wire._codec import Carried, Encoded
from osaurus_nb.wire.openai_responses import outbound
from osaurus_nb.wire.openai_responses.decode import event_decoder

_TOUCHED: _relay.Touched = {
    outbound.REASONER: ("temperature", "top_p", "top_logprobs"),
    outbound.FEW_KNOBS: ("top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty"),
    outbound.ALWAYS_THINKS: ("reasoning",),
    outbound.PLAIN_SCHEMAS: (),
}


def read_head(body: bytes) -> _relay.Head | None:
    """What is needed of a request to know whom it may go to as it is; None where it has to be translated.

    Answers that are kept, and those that follow a kept one or name its items, bear ids of ours.
    """
    head = _relay.read_head(body, own=("reasoning",))
    fresh = head is not None and head[1].get("store") is False and head[1].get("previous_response_id") is None
    return head if fresh and head is not None and not _refers(head[1].get("input")) else None


def _refers(items: Any) -> bool:
    """Is an item named that stands somewhere else?"""
    rows = (item for item in items if isinstance(item, dict)) if isinstance(items, list) else ()
    return any(item.get("type", "item_reference") == "item_reference" and "role" not in item for item in rows)


def relay(sent: Sent, request: ChatRequest, card: ModelCard) -> Carried | None:
    """The body with the model's name as the provider spells it."""
    body = _relay.unchanged(sent, card, _TOUCHED)
    if body is None:
        return None
    body["model"] = card.id
    decoder = event_decoder(card, _relay.relay(_relay.named_event, stream=request.delivery.stream, words=_words))
    return Carried(Encoded(body), decoder)


def _words(data: bytes) -> int:
    """Pieces of text in the part that is open."""
    count = _relay.strict_events(data, b"event: response.output_text.delta\ndata: {")
    return count if data.count(b'"response.output_text.delta"') == count else 0
