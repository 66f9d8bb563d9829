"""Which dialect is spoken at which path. A new one is a row here and a room in `osaurus_nb.wire`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Protocol, cast

from osaurus_nb.errors import OsaurusError, RequestError
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

    #: Sent in a silence, so that nobody between us and the caller gives up.
    PING: bytes

    def decode_request(self, body: bytes, /) -> ChatRequest: ...

    def event_encoder(self, request: ChatRequest, /, *, id: str, created: int) -> Encoder: ...

    def encode_error(self, error: OsaurusError, /) -> dict[str, Any]: ...

    def status(self, error: OsaurusError, /) -> int: ...

    def encode_models(self, cards: Iterable[ModelCard], /) -> dict[str, Any]: ...

    def encode_model(self, card: ModelCard, /) -> dict[str, Any]: ...


Decode = Callable[[Any, bytes, Mapping[str, str]], ChatRequest]


def _plainly(codec: Codec, body: bytes, headers: Mapping[str, str]) -> ChatRequest:
    return codec.decode_request(body)


def _anthropic(codec: Any, body: bytes, headers: Mapping[str, str]) -> ChatRequest:
    """The version of the API is in a header."""
    request: ChatRequest = codec.decode_request(body, version=headers.get("anthropic-version"))
    return request


def _responses(codec: Codec, body: bytes, headers: Mapping[str, str]) -> ChatRequest:
    """Responses are not kept here, and every one of them says so."""
    request = codec.decode_request(body)
    if request.extra.get("previous_response_id") is not None:
        raise RequestError(
            "This server keeps no responses. Send the whole conversation as 'input' instead.",
            param="previous_response_id",
        )
    return replace(request, extra={**request.extra, "store": False})


@dataclass(frozen=True, slots=True)
class Dialect:
    """One dialect: the module that codes it, what its streams are on the wire, and how a body is read."""

    module: str
    stream_type: str = "text/event-stream"
    decode: Decode = _plainly

    def codec(self) -> Codec:
        """The codec; slow the first time, for it brings the validation library along."""
        return cast(Codec, import_module(self.module))  # a module satisfies it by its functions


OPENAI_CHAT = Dialect("osaurus_nb.wire.openai_chat")
OPENAI_RESPONSES = Dialect("osaurus_nb.wire.openai_responses", decode=_responses)
ANTHROPIC = Dialect("osaurus_nb.wire.anthropic_messages", decode=_anthropic)

#: Paths below `/osaurus` that answer a request, each with its dialect.
GENERATE: Mapping[str, Dialect] = {
    "/v1/chat/completions": OPENAI_CHAT,
    "/chat/completions": OPENAI_CHAT,
    "/v1/responses": OPENAI_RESPONSES,
    "/responses": OPENAI_RESPONSES,
    "/v1/messages": ANTHROPIC,
    "/messages": ANTHROPIC,
}


def spoken(headers: Mapping[str, str]) -> Dialect:
    """The dialect of a caller at a path that several share, by the headers that only its SDK sends."""
    return ANTHROPIC if "anthropic-version" in headers else OPENAI_CHAT
