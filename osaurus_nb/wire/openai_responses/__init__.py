"""OpenAI Responses and Open Responses wire format. Pure: no I/O, no clock, no settings.

Beyond what every dialect provides, a server that keeps responses finds here what it needs to store and continue them.
"""

from osaurus_nb.wire._sse import PING
from osaurus_nb.wire.openai_chat import (
    auth,
    decode_models,
    encode_error,
    encode_model,
    encode_models,
    models_path,
    status,
)
from osaurus_nb.wire.openai_responses._output import output_items
from osaurus_nb.wire.openai_responses.compaction import compaction_body, summary_request
from osaurus_nb.wire.openai_responses.counting import count_endpoint, decode_count_answer, encode_count
from osaurus_nb.wire.openai_responses.decode import event_decoder
from osaurus_nb.wire.openai_responses.encode import ResponsesEncoder, event_encoder, response_body
from osaurus_nb.wire.openai_responses.inbound import Turn, decode_request, decode_turn
from osaurus_nb.wire.openai_responses.items import items_to_messages
from osaurus_nb.wire.openai_responses.outbound import encode_request, endpoint
from osaurus_nb.wire.openai_responses.relay import read_head, relay
from osaurus_nb.wire.openai_responses.usage import encode_input_tokens, read_usage

__all__ = [
    "PING",
    "ResponsesEncoder",
    "Turn",
    "auth",
    "compaction_body",
    "count_endpoint",
    "decode_count_answer",
    "decode_models",
    "decode_request",
    "decode_turn",
    "encode_count",
    "encode_error",
    "encode_input_tokens",
    "encode_model",
    "encode_models",
    "encode_request",
    "endpoint",
    "event_decoder",
    "event_encoder",
    "items_to_messages",
    "models_path",
    "output_items",
    "read_head",
    "read_usage",
    "relay",
    "response_body",
    "status",
    "summary_request",
]
