"""A Messages body for a provider of Messages, as the caller wrote it."""

from __future__ import annotations

from typing import Any

from osaurus_nb.models import ModelCard
from osaurus_nb.request import ChatRequest, Sent
from osaurus_nb.wire import _relay
from osaurus_nb.wire._codec import Carried, Encoded
from osaurus_nb.wire._payloads import Frame
from osaurus_nb.wire.anthropic_messages._thinking import ADAPTIVE_ONLY, BUDGET_THINKING
from osaurus_nb.wire.anthropic_messages._versions import HEADER, OLD
from osaurus_nb.wire.anthropic_messages.decode import event_decoder
from osaurus_nb.wire.anthropic_messages.outbound import DEFAULT_SAMPLING, NO_PREFILL

_TOUCHED: _relay.Touched = {
    DEFAULT_SAMPLING: ("temperature", "top_p", "top_k"),
    NO_PREFILL: (),
    ADAPTIVE_ONLY: ("thinking",),
    BUDGET_THINKING: ("thinking",),
}
#: Without these counts the vendor's SDK crashes.
_USAGE = {"message_start": {"input_tokens": 0, "output_tokens": 0}, "message_delta": {"output_tokens": 0}}


def read_head(body: bytes) -> _relay.Head | None:
    """What is needed of a request to know whom it may go to as it is; None where it has to be translated."""
    return _relay.read_head(body, own=("thinking",))


def relay(sent: Sent, request: ChatRequest, card: ModelCard) -> Carried | None:
    """The body with the model's name as the provider spells it, under the caller's own version and betas."""
    body = _relay.unchanged(sent, card, _TOUCHED)
    if body is None:
        return None
    body["model"] = card.id
    words = _relay.Words(_words, b'"text":"', b'"text": "')
    decoder = event_decoder(card, _relay.relay(_mended, stream=request.delivery.stream, words=words))
    return Carried(Encoded(body, headers={HEADER: OLD, **sent.headers}), decoder)


def _words(data: bytes) -> int:
    """Pieces of text in the block that is open."""
    count = _relay.strict_events(data, b"event: content_block_delta\ndata: {")
    return count if data.count(b'"text_delta"') == count == data.count(b'"content_block_delta"') else 0


def _mended(frame: Frame) -> bytes:
    payload = frame.payload
    usage = _USAGE.get(str(payload.get("type")))
    if usage is None or isinstance(_holder(payload).get("usage"), dict):
        return _relay.named_event(frame)
    whole = {**payload, "message": {**_holder(payload), "usage": usage}} if "message" in payload else None
    return _relay.named_event(Frame(payload, _relay.rewritten(whole or {**payload, "usage": usage})))


def _holder(payload: Any) -> Any:
    message = payload.get("message")
    return message if isinstance(message, dict) else payload
