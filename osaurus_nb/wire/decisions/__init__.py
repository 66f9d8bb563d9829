"""Wire formats of decisions: typed questions about one subject, in one piece, never streamed. Pure.

A dialect here is four functions, as it is for chats: two make us a server of it, two its client.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Protocol, cast

from osaurus_nb.decisions import DecisionRequest, Decisions
from osaurus_nb.models import ModelCard
from osaurus_nb.wire._codec import Encoded

#: The module of each dialect.
FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "openai": "osaurus_nb.wire.decisions.openai",
        "systemone": "osaurus_nb.wire.decisions.systemone",
        "google": "osaurus_nb.wire.decisions.google",
    }
)


class DecisionFormat(Protocol):
    """One dialect of decisions. The modules in this room satisfy it."""

    def decode_request(self, body: bytes, /) -> DecisionRequest:
        """A caller's body. Raises RequestError that names the field at fault."""

    def encode_response(self, decisions: Decisions, /) -> dict[str, Any]: ...

    def encode_request(self, request: DecisionRequest, card: ModelCard, /) -> Encoded:
        """The body for a provider. Raises Unsupported for what the dialect cannot carry."""

    def decode_response(self, payload: Mapping[str, Any], request: DecisionRequest, card: ModelCard, /) -> Decisions:
        """The provider's answer. Raises BadAnswer when it is none."""


def load(name: str) -> DecisionFormat:
    """The dialect of this name, imported when it is first spoken."""
    return cast(DecisionFormat, import_module(FORMATS[name]))  # a module satisfies it by its functions


__all__ = ["FORMATS", "DecisionFormat", "load"]
