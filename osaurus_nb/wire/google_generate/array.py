"""The codec of `:streamGenerateContent` without `alt=sse`: the same dialect, its stream one JSON array. Pure."""

from osaurus_nb.request import ChatRequest
from osaurus_nb.wire.google_generate.encode import PING, GenerateEncoder, encode_error, encode_model, encode_models
from osaurus_nb.wire.google_generate.inbound import decode_request
from osaurus_nb.wire.openai_chat import status


def event_encoder(request: ChatRequest, *, id: str, created: int) -> GenerateEncoder:
    return GenerateEncoder(request, id=id, array=True)


__all__ = ["PING", "decode_request", "encode_error", "encode_model", "encode_models", "event_encoder", "status"]
