"""What every dialect provides, as types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from osaurus_nb.events import Answer, Event, Warned
from osaurus_nb.models import ModelCard
from osaurus_nb.request import ChatRequest, Sent


@dataclass(frozen=True, slots=True)
class Encoded:
    """A body ready for the provider, what it could not carry, and headers that this one request needs.

    Such a header, its name in lower case, wins over the one of `WireFormat.auth`; `path`, where this one goes, over
    `WireFormat.endpoint`.
    """

    body: dict[str, Any]
    warnings: tuple[Warned, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    path: str | None = None
    #: Stop sequences that the dialect has no word for; whoever reads the answer cuts it there.
    cut: tuple[str, ...] = ()


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

    @property
    def done(self) -> bool:
        """Did the answer end, so that nothing more need be read?"""

    def feed(self, data: bytes, /) -> list[Event]: ...

    def close(self) -> list[Event]:
        """What was held back. Raises ProviderError when no finish signal ever came."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A caller's own words on their way to a provider of his dialect, and who reads the answer."""

    encoded: Encoded
    decoder: EventDecoder


class WireFormat(Protocol):
    """One dialect. The modules in this room satisfy it."""

    def decode_request(self, body: bytes, /) -> ChatRequest:
        """A caller's body. Raises RequestError that names the field at fault, never its value."""

    def event_encoder(self, request: ChatRequest, /, *, id: str, created: int) -> EventEncoder: ...

    def encode_request(self, request: ChatRequest, card: ModelCard, /) -> Encoded:
        """The body for a provider, always streaming. Raises Unsupported for a feature that it cannot carry."""

    def event_decoder(self, card: ModelCard, /) -> EventDecoder: ...

    def relay(self, sent: Sent, request: ChatRequest, card: ModelCard, /) -> Carried | None:
        """The caller's words with nothing changed but the model's name; `request` is their head.

        None where this model, or something that only we understand, needs them translated.
        """

    def endpoint(self, card: ModelCard, /) -> str:
        """Where a streamed question goes, below the provider's base URL."""

    def auth(self, key: str | None, /) -> dict[str, str]:
        """The headers, lower case, that carry the key and the version of the dialect."""

    def models_path(self) -> str:
        """Where the list of models is, below the provider's base URL."""

    def decode_models(self, payload: Mapping[str, Any], provider: str, /) -> Sequence[ModelCard]:
        """The cards in such a list. A row that is none is left out; the rest of the list stays."""
