"""The codec of /api/generate: the same dialect, with one prompt in place of messages. Pure."""

from osaurus_nb.wire.ollama_chat.cards import encode_model, encode_models
from osaurus_nb.wire.ollama_chat.encode import PING, encode_error, encode_loaded
from osaurus_nb.wire.ollama_chat.encode import generate_encoder as event_encoder
from osaurus_nb.wire.ollama_chat.inbound import decode_generate as decode_request
from osaurus_nb.wire.ollama_chat.inbound import is_load, is_unload
from osaurus_nb.wire.openai_chat import status

__all__ = [
    "PING",
    "decode_request",
    "encode_error",
    "encode_loaded",
    "encode_model",
    "encode_models",
    "event_encoder",
    "is_load",
    "is_unload",
    "status",
]
