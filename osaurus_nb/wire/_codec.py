"""What every dialect provides, as types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from osaurus_nb.events import Answer, Event, Warned
from osaurus_nb.models import ModelCard
from osaurus_nb.request import ChatRequest


@dataclass(frozen=True, slots=True)
class Encoded:
    """A body ready for the provider, and what it could not carry."""

    body: dict[str, Any]
    warnings: tuple[Warned, ...] = ()


class EventEncoder(Protocol):
    """Writes one answer in the caller's dialect."""

    def encode(self, event: Event, /) -> bytes:
        """The bytes for this event; often none."""

    def close(self) -> bytes:
        """What ends the stream."""

    def body(self, answer: Answer, /) -> dict[str, Any]:
        """The whole answer in one piece."""


class EventDecoder(Protocol):
    """Reads one answer in the provider's dialect. Bytes may split anywhere."""

    done: bool

    def feed(self, data: bytes, /) -> list[Event]: ...

    def close(self) -> list[Event]:
        """What was held back. Raises ProviderError when no finish signal ever came."""


class WireFormat(Protocol):
    """One dialect. The modules in this room satisfy it."""

    PATH: str

    def decode_request(self, body: bytes, /) -> ChatRequest: ...

    def event_encoder(self, request: ChatRequest, /, *, id: str, created: int) -> EventEncoder: ...

    def encode_request(self, request: ChatRequest, card: ModelCard, /) -> Any: ...

    def event_decoder(self, card: ModelCard, /) -> EventDecoder: ...

    def decode_models(self, payload: Mapping[str, Any], provider: str, /) -> Sequence[ModelCard]: ...
