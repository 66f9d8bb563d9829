"""Embeddings in three dialects, as a server and as a client of each. Pure: no I/O, no clock, no settings.

A codec here is five things: `decode_request` and `encode_response` make us a server, `endpoint`, `encode_request` and
`decode_response` a client. Errors and keys are those of the same dialect's chat.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import cast

from osaurus_nb.errors import Unsupported
from osaurus_nb.wire.embeddings._codec import EmbeddingFormat
from osaurus_nb.wire.embeddings._parts import joined, parts
from osaurus_nb.wire.embeddings._state import lost, told

#: The module of each dialect, by the name that provider settings use. One that is not here has no embeddings.
FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "openai": "osaurus_nb.wire.embeddings.openai",
        "openResponses": "osaurus_nb.wire.embeddings.openai",
        "gemini": "osaurus_nb.wire.embeddings.google",
        "ollama": "osaurus_nb.wire.embeddings.ollama",
    }
)


def load(name: str, provider: str) -> EmbeddingFormat:
    """The codec that this provider's dialect has for embeddings. Raises Unsupported where it has none."""
    if name not in FORMATS:
        raise Unsupported(f"'{provider}' speaks '{name}', a dialect without embeddings.", param="model")
    return cast(EmbeddingFormat, import_module(FORMATS[name]))  # a module satisfies it by its functions


__all__ = ["FORMATS", "EmbeddingFormat", "joined", "load", "lost", "parts", "told"]
