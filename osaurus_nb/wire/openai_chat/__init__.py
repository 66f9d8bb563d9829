"""OpenAI Chat Completions wire format. Pure: no I/O, no clock, no settings."""

from osaurus_nb.wire._sse import PING
from osaurus_nb.wire.openai_chat.decode import decode_models, event_decoder, gateway_decoder
from osaurus_nb.wire.openai_chat.encode import (
    ChatEncoder,
    encode_error,
    encode_model,
    encode_models,
    event_encoder,
    status,
)
from osaurus_nb.wire.openai_chat.inbound import decode_request
from osaurus_nb.wire.openai_chat.outbound import auth, encode_request, endpoint, models_path
from osaurus_nb.wire.openai_chat.relay import read_head, relay

__all__ = [
    "PING",
    "ChatEncoder",
    "auth",
    "decode_models",
    "decode_request",
    "encode_error",
    "encode_model",
    "encode_models",
    "encode_request",
    "endpoint",
    "event_decoder",
    "event_encoder",
    "gateway_decoder",
    "models_path",
    "read_head",
    "relay",
    "status",
]
