"""A generateContent body for a provider of generateContent, as the caller wrote it."""

from __future__ import annotations

from osaurus_nb.models import ModelCard
from osaurus_nb.request import ChatRequest, Sent
from osaurus_nb.wire import _relay
from osaurus_nb.wire._codec import Carried, Encoded
from osaurus_nb.wire.google_generate._names import (
    ALWAYS_THINKS,
    BUDGET_THINKING,
    DEFAULT_SAMPLING,
    NO_PREFILL,
    ONE_CANDIDATE,
    SCHEMA_SUBSET,
    UNSIGNED_CALLS,
)
from osaurus_nb.wire.google_generate.decode import event_decoder
from osaurus_nb.wire.google_generate.outbound import address, endpoint

_CONFIG = ("generationConfig", "generation_config")
_TOUCHED: _relay.Touched = {
    BUDGET_THINKING: _CONFIG,
    ALWAYS_THINKS: _CONFIG,
    DEFAULT_SAMPLING: _CONFIG,
    SCHEMA_SUBSET: (*_CONFIG, "tools"),
    ONE_CANDIDATE: (),
    NO_PREFILL: (),
    UNSIGNED_CALLS: (),
}


def read_head(body: bytes, *, model: str, stream: bool) -> _relay.Head | None:
    """What is needed of a request to know whom it may go to as it is; None where it has to be translated."""
    return _relay.read_head(body, model=model, stream=stream)


def relay(sent: Sent, request: ChatRequest, card: ModelCard) -> Carried | None:
    """The body as it came: the model stands in the address."""
    body = _relay.unchanged(sent, card, _TOUCHED)
    if body is None:
        return None
    body.pop("model", None)  # SDKs repeat it here, in our spelling
    stream = request.delivery.stream
    path = endpoint(card) if stream else address(card, "generateContent")
    decoder = event_decoder(card, _relay.relay(_relay.data_line, stream=stream))
    return Carried(Encoded(body, path=path), decoder)
