"""Gemini's generateContent wire format. Pure: no I/O, no clock, no settings.

The address says which model is asked and whether the answer is streamed, so `decode_request` is told both.
"""

from osaurus_nb.wire.google_generate._names import BUDGET_THINKING, SCHEMA_SUBSET, UNSIGNED_CALLS
from osaurus_nb.wire.google_generate.counting import count_endpoint, decode_count_answer, encode_count
from osaurus_nb.wire.google_generate.decode import decode_models, event_decoder
from osaurus_nb.wire.google_generate.encode import (
    PING,
    GenerateEncoder,
    encode_embedding,
    encode_embeddings,
    encode_error,
    encode_model,
    encode_models,
    encode_token_count,
    event_encoder,
)
from osaurus_nb.wire.google_generate.inbound import decode_count, decode_request
from osaurus_nb.wire.google_generate.outbound import auth, encode_request, endpoint, models_path
from osaurus_nb.wire.google_generate.relay import read_head, relay
from osaurus_nb.wire.openai_chat import status  # an error's own, as everywhere but at one vendor

__all__ = [
    "BUDGET_THINKING",
    "PING",
    "SCHEMA_SUBSET",
    "UNSIGNED_CALLS",
    "GenerateEncoder",
    "auth",
    "count_endpoint",
    "decode_count",
    "decode_count_answer",
    "decode_models",
    "decode_request",
    "encode_count",
    "encode_embedding",
    "encode_embeddings",
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
