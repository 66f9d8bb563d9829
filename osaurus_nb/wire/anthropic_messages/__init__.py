"""Anthropic Messages wire format, both versions. Pure: no I/O, no clock, no settings."""

from osaurus_nb.wire.anthropic_messages._write import status
from osaurus_nb.wire.anthropic_messages.counting import count_endpoint, decode_count_answer, encode_count
from osaurus_nb.wire.anthropic_messages.decode import event_decoder
from osaurus_nb.wire.anthropic_messages.encode import (
    PING,
    MessagesEncoder,
    encode_error,
    encode_token_count,
    event_encoder,
)
from osaurus_nb.wire.anthropic_messages.inbound import decode_count, decode_request
from osaurus_nb.wire.anthropic_messages.listing import decode_models, encode_model, encode_models
from osaurus_nb.wire.anthropic_messages.outbound import auth, encode_request, endpoint, models_path
from osaurus_nb.wire.anthropic_messages.relay import read_head, relay

__all__ = [
    "PING",
    "MessagesEncoder",
    "auth",
    "count_endpoint",
    "decode_count",
    "decode_count_answer",
    "decode_models",
    "decode_request",
    "encode_count",
    "encode_error",
    "encode_model",
    "encode_models",
    "encode_request",
    "encode_token_count",
    "endpoint",
    "event_decoder",
    "event_encoder",
    "models_path",
    "read_head",
    "relay",
    "status",
]
