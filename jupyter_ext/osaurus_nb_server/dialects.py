"""Which dialect is spoken at which path. A new one is a row here and a room in `osaurus_nb.wire`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple, Protocol, cast

from osaurus_nb.errors import OsaurusError, RequestError
from osaurus_nb.events import Answer, Event
from osaurus_nb.models import ModelCard
from osaurus_nb.request import ChatRequest, Sent
from osaurus_nb_server import recall
from osaurus_nb_server.recall import Caller, Question


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


@dataclass(frozen=True, slots=True)
class Address:
    """Who asks, and what else a request says beside its body.

    `path` holds what the path's pattern caught, `query` its parameters.
    """

    headers: Mapping[str, str]
    caller: Caller
    path: Sequence[str] = ()
    query: Mapping[str, Sequence[bytes]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the writer of an answer is told: its id, the second when the question came, and how long ago that is now."""

    id: str
    created: int
    elapsed: Callable[[], float]

    def now(self) -> float:
        """The second that it is."""
        return self.created + self.elapsed()


class Keeper(Protocol):
    """Who brings models into memory and takes them out."""

    async def load(self, model: str, /) -> None: ...

    async def unload(self, model: str, /) -> None: ...


#: A caller who wants our own words in every answer turns the relay off with this header.
RELAY = "x-osaurus-relay"


class Opened(NamedTuple):
    """What was read of a request that may go to a provider as it is: its head, its body parsed, its own headers."""

    head: ChatRequest
    body: Mapping[str, Any]
    headers: Mapping[str, str]


#: Reads only the head of a request; None where all of it must be read.
Open = Callable[[Any, bytes, Address], Opened | None]
Decode = Callable[[Any, bytes, Address], ChatRequest]
_SSE = [b"sse"]
_DONE = b"data: [DONE]\n\n"
Encode = Callable[[Any, ChatRequest, Asked], Encoder]
#: The body of an error, of a request with this id.
Fault = Callable[[Any, OsaurusError, str], dict[str, Any]]
#: Reads what may go on from an answer that was kept, and keeps the next one.
Recall = Callable[[Any, bytes, Caller], Awaitable[Question]]
#: Answers who only wants a model loaded or unloaded, and says so by asking nothing.
Attend = Callable[[Any, ChatRequest, Asked, Keeper], Awaitable[Mapping[str, Any]]]


def _plainly(codec: Codec, body: bytes, address: Address) -> ChatRequest:
    return codec.decode_request(body)


def _opened(codec: Any, body: bytes, address: Address) -> Opened | None:
    head = codec.read_head(body)
    return Opened(head[0], head[1], {}) if head is not None else None


def _anthropic_opened(codec: Any, body: bytes, address: Address) -> Opened | None:
    """Version and betas are in headers."""
    if "anthropic-version" not in address.headers:
        return None  # which has to be told
    head = codec.read_head(body)
    own = {name: address.headers[name] for name in ("anthropic-version", "anthropic-beta") if name in address.headers}
    return Opened(head[0], head[1], own) if head is not None else None


def _gemini_opened(codec: Any, body: bytes, address: Address) -> Opened | None:
    model, verb = address.path
    head = codec.read_head(body, model=model, stream=verb == "streamGenerateContent")
    return Opened(head[0], head[1], {}) if head is not None else None


def _untimed(codec: Codec, request: ChatRequest, asked: Asked) -> Encoder:
    return codec.event_encoder(request, id=asked.id, created=asked.created)


def _timed(codec: Any, request: ChatRequest, asked: Asked) -> Encoder:
    """Answers that say how long they took."""
    encoder: Encoder = codec.event_encoder(request, id=asked.id, created=asked.created, elapsed=asked.elapsed)
    return encoder


def _dated(codec: Any, request: ChatRequest, asked: Asked) -> Encoder:
    """Answers that say when they ended."""
    encoder: Encoder = codec.event_encoder(request, id=asked.id, created=asked.created, now=asked.now)
    return encoder


def _anthropic(codec: Any, body: bytes, address: Address) -> ChatRequest:
    """The version of the API is in a header, and so are betas."""
    version, betas = address.headers.get("anthropic-version"), address.headers.get("anthropic-beta")
    request: ChatRequest = codec.decode_request(body, version=version, betas=betas)
    return request


def _responses(codec: Codec, body: bytes, address: Address) -> ChatRequest:
    """What is read without its caller's stored responses cannot go on from one."""
    request = codec.decode_request(body)
    if request.extra.get("previous_response_id") is not None:
        raise RequestError(
            "Stored responses are not looked up for this. Send the whole conversation as 'input' instead.",
            param="previous_response_id",
        )
    return request


def _gemini(codec: Any, body: bytes, address: Address) -> ChatRequest:
    """Model and manner are in the path."""
    model, verb = address.path
    stream = verb == "streamGenerateContent"
    if address.query.get("alt") not in (None, _SSE, [b"json"]):
        raise RequestError("'alt' must be sse, json or left out.", param="alt")
    request: ChatRequest = codec.decode_request(body, model=model, stream=stream)
    return request


def _fault(codec: Codec, error: OsaurusError, request_id: str) -> dict[str, Any]:
    return codec.encode_error(error)


def _anthropic_fault(codec: Any, error: OsaurusError, request_id: str) -> dict[str, Any]:
    """The id of the request is in the body too."""
    said: dict[str, Any] = codec.encode_error(error, request_id=request_id)
    return said


async def _ollama_attends(codec: Any, request: ChatRequest, asked: Asked, keeper: Keeper) -> Mapping[str, Any]:
    leaves = codec.is_unload(request)
    await (keeper.unload if leaves else keeper.load)(request.model)
    said: Mapping[str, Any] = codec.encode_loaded(request, created=asked.created, unloaded=leaves)
    return said


@dataclass(frozen=True, slots=True)
class Dialect:
    """One dialect: the module that codes it, what its streams are on the wire, and how a body is read and answered."""

    module: str
    stream_type: str = "text/event-stream"
    decode: Decode = _plainly
    encode: Encode = _untimed
    fault: Fault = _fault
    attend: Attend | None = None
    #: The format of providers that understand a caller's own words, as settings name it, and what reads their head.
    format: str | None = None
    #: What ends a stream of a provider's own events.
    end: bytes = b""
    open: Open = _opened
    recall: Recall | None = None
    #: What is spoken instead where the address does not say `alt=sse`.
    without_sse: Dialect | None = None

    def at(self, query: Mapping[str, Sequence[bytes]]) -> Dialect:
        """The dialect as it is spoken at an address with this query."""
        return self if self.without_sse is None or query.get("alt") == _SSE else self.without_sse

    async def read(self, codec: Codec, body: bytes, address: Address, caller: Caller) -> Question:
        """A body as the question that a model is asked; only its head, where a provider may get it as it is."""
        if self.format is not None and address.headers.get(RELAY) != "off":
            opened = self.open(codec, body, address)
            if opened is not None:
                whole = cache(lambda: self.decode(codec, body, address))
                return Question(opened.head, sent=Sent(self.format, opened.body, whole, opened.headers))
        if self.recall is not None:
            return await self.recall(codec, body, caller)
        request = self.decode(codec, body, address)
        return Question(request)

    def codec(self) -> Codec:
        """The codec; slow the first time, for it brings the validation library along."""
        return cast(Codec, import_module(self.module))  # a module satisfies it by its functions


OPENAI_CHAT = Dialect("osaurus_nb.wire.openai_chat", format="openai", end=_DONE)
OPENAI_COMPLETIONS = Dialect("osaurus_nb.wire.openai_completions")
OPENAI_RESPONSES = Dialect(
    "osaurus_nb.wire.openai_responses",
    format="openResponses",
    end=_DONE,
    decode=_responses,
    encode=_dated,
    recall=recall.question,
)
ANTHROPIC = Dialect(
    "osaurus_nb.wire.anthropic_messages",
    decode=_anthropic,
    fault=_anthropic_fault,
    format="anthropic",
    open=_anthropic_opened,
)
GEMINI = Dialect("osaurus_nb.wire.google_generate", decode=_gemini, format="gemini", open=_gemini_opened)
_GEMINI_ARRAY = Dialect("osaurus_nb.wire.google_generate.array", stream_type="application/json", decode=_gemini)
OLLAMA = Dialect(
    "osaurus_nb.wire.ollama_chat", "application/x-ndjson", encode=_timed, attend=_ollama_attends, format="ollama"
)
OLLAMA_GENERATE = replace(OLLAMA, module="osaurus_nb.wire.ollama_chat.generate", format=None)

#: Paths below `/osaurus` that answer a request, each with its dialect. Ids of models hold colons and slashes: the verb
#: is behind the last colon.
GENERATE: Mapping[str, Dialect] = {
    "/v1/chat/completions": OPENAI_CHAT,
    "/chat/completions": OPENAI_CHAT,
    "/v1/completions": OPENAI_COMPLETIONS,
    "/completions": OPENAI_COMPLETIONS,
    "/v1/responses": OPENAI_RESPONSES,
    "/responses": OPENAI_RESPONSES,
    "/v1/messages": ANTHROPIC,
    "/messages": ANTHROPIC,
    "/v1(?:beta)?/models/(.+):(generateContent)": GEMINI,
    "/v1(?:beta)?/models/(.+):(streamGenerateContent)": replace(GEMINI, without_sse=_GEMINI_ARRAY),
    "/api/chat": OLLAMA,
    "/api/generate": OLLAMA_GENERATE,
}
_MANAGED = (
    "Models are not managed at this address. Where osaurus runs, `osaurus-nb pull` fetches the embedded model and "
    "converts GGUF files, and `osaurus-nb providers add` makes the models of other servers known."
)
#: Paths that we know and do not serve, each with its dialect and what to do instead.
REFUSED: Mapping[str, tuple[Dialect, str]] = {"/api/(?:pull|push|create|copy|delete|blobs/.+)": (OLLAMA, _MANAGED)}

#: Headers that only one vendor's SDK sends.
_TELLING = {"anthropic-version": ANTHROPIC, "x-goog-api-key": GEMINI, "x-goog-api-client": GEMINI}


def spoken(headers: Mapping[str, str]) -> Dialect:
    """The dialect of a caller at a path that several share."""
    return next((dialect for name, dialect in _TELLING.items() if name in headers), OPENAI_CHAT)
