"""What one dialect is to the server: how its bodies are read, its answers written and its refusals shaped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple, Protocol, cast

from osaurus_nb.errors import Forbidden, OsaurusError
from osaurus_nb.events import Answer, Event
from osaurus_nb.ledger.identifiers import identifier
from osaurus_nb.models import ModelCard
from osaurus_nb.ports import Terms
from osaurus_nb.request import ChatRequest, Sent
from osaurus_nb.spending import Cap, Origin
from osaurus_nb.trouble import Rehearsal
from osaurus_nb.wire import terms
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
    """Who asks, under which id he is answered, and what else a request says beside its body.

    `path` holds what the path's pattern caught, `query` its parameters.
    """

    headers: Mapping[str, str]
    caller: Caller
    request_id: str
    path: Sequence[str] = ()
    query: Mapping[str, Sequence[bytes]] = field(default_factory=dict)

    def terms(
        self, *, sent: Sent | None = None, most: int | None = None, whole: bool = False, local_only: bool = False
    ) -> Terms:
        """On which terms this caller asks. `whole`: he gets the answer in one piece.

        A question without a route of its own may cost `most`, in micro, and is for this machine with `local_only`.
        """
        return Terms(
            self.request_id,
            self.whole(sent),
            self.headers.get("idempotency-key"),
            self.caller.spends,
            self._origin(),
            whole,
            (*terms.caps(self.headers), *([Cap(f"request:{self.request_id}", most)] if most is not None else [])),
            local_only or terms.local_only(self.headers),
            fusion_depth=terms.fusion_depth(self.headers),
            chaos=self._chaos(),
        )

    def _chaos(self) -> Rehearsal | None:
        """Faults on purpose are for who may run this server: they are no one else's to make."""
        found = terms.chaos(self.headers)
        if found is not None and not self.caller.operates:
            raise Forbidden(f"This key does not open 'admin', which '{terms.CHAOS}' takes.")
        return found

    def whole(self, sent: Sent | None) -> Sent | None:
        """What he wrote; whoever reads all of it finds it routed as its head is."""
        return replace(sent, read=lambda: self.routed(sent.read())) if sent is not None else None

    def routed(self, request: ChatRequest) -> ChatRequest:
        """The question, routed as its headers say where its body does not; it may cost no more than both allow."""
        route = replace(
            terms.routed(request.route, self.headers), max_cost_micro=self.most(request.route.max_cost_micro)
        )
        return request if route == request.route else replace(request, route=route)

    def most(self, said: int | None) -> int | None:
        """What an answer may cost, in micro, if its body says this much: the header may only make it less."""
        limits = [limit for limit in (said, terms.most(self.headers)) if limit is not None]
        return min(limits, default=None)

    def _origin(self) -> Origin:
        said = terms.origin(self.headers, self.caller.id)
        return Origin(*(identifier(text) if text else None for text in astuple(said)))


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
#: What the address of a stream of server-sent events says as `alt`.
SSE = [b"sse"]
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


def _untimed(codec: Codec, request: ChatRequest, asked: Asked) -> Encoder:
    return codec.event_encoder(request, id=asked.id, created=asked.created)


def _fault(codec: Codec, error: OsaurusError, request_id: str) -> dict[str, Any]:
    return codec.encode_error(error)


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
        return self if self.without_sse is None or query.get("alt") == SSE else self.without_sse

    async def read(self, codec: Codec, body: bytes, address: Address) -> Question:
        """A body as the question that a model is asked; only its head, where a provider may get it as it is."""
        if self.format is not None and address.headers.get(RELAY) != "off":
            opened = self.open(codec, body, address)
            if opened is not None:
                whole = cache(lambda: self.decode(codec, body, address))
                return Question(opened.head, sent=Sent(self.format, opened.body, whole, opened.headers))
        if self.recall is not None:
            return await self.recall(codec, body, address.caller)
        return Question(self.decode(codec, body, address))

    def codec(self) -> Codec:
        """The codec; slow the first time, for it brings the validation library along."""
        return cast(Codec, import_module(self.module))  # a module satisfies it by its functions
