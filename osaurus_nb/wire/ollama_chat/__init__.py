"""Ollama's wire format: lines of JSON, streamed unless the caller says no. Pure: no I/O, no clock, no settings."""

from osaurus_nb.wire.ollama_chat.cards import (
    decode_models,
    encode_model,
    encode_models,
    encode_running,
    encode_version,
)
from osaurus_nb.wire.ollama_chat.decode import event_decoder
from osaurus_nb.wire.ollama_chat.encode import (
    PING,
    LineEncoder,
    encode_error,
    encode_loaded,
    event_encoder,
    generate_encoder,
)
from osaurus_nb.wire.ollama_chat.inbound import decode_generate, decode_request, decode_show, is_load, is_unload
from osaurus_nb.wire.ollama_chat.outbound import auth, encode_request, endpoint, models_path
from osaurus_nb.wire.ollama_chat.relay import read_head, relay
from osaurus_nb.wire.openai_chat import status  # an error's own, as everywhere but at one vendor

__all__ = [
    "PING",
    "LineEncoder",
    "auth",
    "decode_generate",
    "decode_models",
    "decode_request",
    "decode_show",
    "encode_error",
    "encode_loaded",
    "encode_model",
    "encode_models",
    "encode_request",
    "encode_running",
    "encode_version",
    "endpoint",
    "event_decoder",
    "event_encoder",
    "generate_encoder",
    "is_load",
    "is_unload",
    "models_path",
    "read_head",
    "relay",
    "status",
]
