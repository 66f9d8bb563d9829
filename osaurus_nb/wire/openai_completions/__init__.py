"""OpenAI's legacy text completions, as a server alone. Pure: no I/O, no clock, no settings.

The prompt goes to the model as it is, without a template, where the model's home takes one; else as a message of the
user, and the answer says so.
"""

from osaurus_nb.wire._sse import PING
from osaurus_nb.wire.openai_chat import encode_error, encode_model, encode_models, status
from osaurus_nb.wire.openai_completions.encode import CompletionEncoder, event_encoder
from osaurus_nb.wire.openai_completions.inbound import decode_request

__all__ = [
    "PING",
    "CompletionEncoder",
    "decode_request",
    "encode_error",
    "encode_model",
    "encode_models",
    "event_encoder",
    "status",
]
