"""Wire formats: pure codecs between bytes and our own types. No I/O, no clock, no settings.

A codec is four things: `decode_request`, an `EventEncoder`, `encode_request`, an `EventDecoder`. The first two
make us a server of a dialect, the last two its client. Encoders and decoders are made per stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from osaurus_nb.wire import openai_chat
from osaurus_nb.wire._codec import Encoded, EventDecoder, EventEncoder, WireFormat

#: Dialects by the name that provider settings use.
FORMATS: Mapping[str, WireFormat] = MappingProxyType({"openai": openai_chat})

__all__ = ["FORMATS", "Encoded", "EventDecoder", "EventEncoder", "WireFormat"]
