"""Wire formats: pure codecs between bytes and our own types. No I/O, no clock, no settings.

A codec is four things: `decode_request`, an `EventEncoder`, `encode_request`, an `EventDecoder`. The first two
make us a server of a dialect, the last two its client. Encoders and decoders are made per stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import cast

from osaurus_nb.wire._codec import Carried, Encoded, EventDecoder, EventEncoder, WireFormat
from osaurus_nb.wire._stops import Cutting

#: The module of each dialect, by the name that provider settings use.
FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "openai": "osaurus_nb.wire.openai_chat",
        "openResponses": "osaurus_nb.wire.openai_responses",
        "anthropic": "osaurus_nb.wire.anthropic_messages",
        "gemini": "osaurus_nb.wire.google_generate",
        "ollama": "osaurus_nb.wire.ollama_chat",
    }
)


def load(name: str) -> WireFormat:
    """The dialect of this name. Each is imported when it is first spoken: nobody speaks all of them."""
    return cast(WireFormat, import_module(FORMATS[name]))  # a module satisfies it by its functions


__all__ = ["FORMATS", "Carried", "Cutting", "Encoded", "EventDecoder", "EventEncoder", "WireFormat", "load"]
