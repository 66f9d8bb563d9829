"""Which dialect is spoken at which path. A new one is a row here and a room in `osaurus_nb.wire`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

from osaurus_nb.errors import OsaurusError
from osaurus_nb.events import Answer, Event
from osaurus_nb.models import ModelCard
from osaurus_nb.request import ChatRequest


class Encoder(Protocol):
    """Writes one answer; the encoders of `osaurus_nb.wire` satisfy it."""

    def encode(self, event: Event, /) -> bytes: ...

    def close(self) -> bytes: ...

    def body(self, answer: Answer, /) -> dict[str, Any]: ...


class Codec(Protocol):
    """The half of a wire format that makes us a server of it."""

    def decode_request(self, body: bytes, /) -> ChatRequest: ...

    def event_encoder(self, request: ChatRequest, /, *, id: str, created: int) -> Encoder: ...

    def encode_error(self, error: OsaurusError, /) -> dict[str, Any]: ...

    def encode_models(self, cards: Iterable[ModelCard], /) -> dict[str, Any]: ...

    def encode_model(self, card: ModelCard, /) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """One dialect: the module that codes it, and what its streams are on the wire."""

    module: str
    stream_type: str = "text/event-stream"
    #: Sent in a silence, so that nobody between us and the caller gives up.
    ping: bytes = b": ping\n\n"

    def codec(self) -> Codec:
        """The codec; slow the first time, for it brings the validation library along."""
        return cast(Codec, import_module(self.module))  # a module satisfies it by its functions


OPENAI_CHAT = Dialect("osaurus_nb.wire.openai_chat")

#: Paths below `/osaurus` that answer a request, each with its dialect.
GENERATE: Mapping[str, Dialect] = {
    "/v1/chat/completions": OPENAI_CHAT,
    "/chat/completions": OPENAI_CHAT,
}
