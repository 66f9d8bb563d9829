"""Questions that go on from a response kept here, and the keeping of their answers, in the dialect of Responses.

Refuses to go on from what is gone, broke off, or belongs to somebody else. What is kept is the response as its caller
gets it; one that its caller stopped is kept as far as it came.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from osaurus_nb.errors import RequestError
from osaurus_nb.events import Event, Failed, Finished, Fold, Warned
from osaurus_nb.gateway.responses import Items, NotKept, PreviousNotFound, ResponseStore, StoreFailed
from osaurus_nb.ledger.identifiers import identifier
from osaurus_nb.request import ChatRequest, Sent

if TYPE_CHECKING:  # the table of dialects has a row for this
    from osaurus_nb_server.dialect import Asked, Encoder

log = logging.getLogger("osaurus_nb")

_NO_STORE = "This server keeps no responses. Send the whole conversation as 'input' instead."
#: Stands for an item that is yet to be looked up.
_ANY_ITEM = {"type": "message", "role": "user", "content": ""}


def spender(owner: str) -> str:
    """Under what an owner's spending is counted: the id of his key, or who he is where he has none."""
    return identifier(owner.removeprefix("key:"))


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and where what is his is kept; there may be no such place. `operates`: may he run this server?"""

    owner: str
    spends: bool
    responses: Callable[[], Awaitable[ResponseStore | None]]
    operates: bool = False

    @property
    def id(self) -> str:
        """Under this his spending is counted."""
        return spender(self.owner)


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked. The answer repeats of it what is `shown`, and passes through `keep` if there is one.

    With `sent`, which a provider may get as it is, the request is only its head.
    """

    request: ChatRequest
    shown: ChatRequest | None = None
    keep: Keeping | None = None
    sent: Sent | None = None

    def repeated(self) -> ChatRequest:
        """What the answer repeats of the question. Raises RequestError where that was never read."""
        return self.shown or (self.sent.read() if self.sent is not None else self.request)

    def watched(
        self, events: AsyncGenerator[Event, None], encoder: Callable[[], Encoder], asked: Asked
    ) -> AsyncGenerator[Event, None]:
        """The answer, kept as it ends."""
        return self.keep.watch(events, encoder(), asked) if self.keep is not None else events


@dataclass(frozen=True, slots=True)
class Turn:
    """A body as the codec reads it, with the items of the response that it goes on from."""

    read: Any
    stored: Items = field(default=(), repr=False)

    @property
    def request(self) -> ChatRequest:
        """The whole conversation."""
        request: ChatRequest = self.read.after(self.stored)
        return request


async def turn(codec: Any, body: bytes, caller: Caller) -> Turn:
    """Read a body. Raises RequestError for what is malformed, or refers to what is not kept here for this caller."""
    store = await caller.responses()
    read = codec.decode_turn(body) if store is None else await _resolved(codec, body, caller.owner, store)
    previous = read.previous_response_id
    if previous is None:
        return Turn(read)
    if store is None:
        raise PreviousNotFound(_NO_STORE)
    stored = await store.continued(caller.owner, previous)
    _refuse_repeated(read, stored)
    return Turn(read, stored)


async def question(codec: Any, body: bytes, caller: Caller) -> Question:
    """Read a body whose answer is kept, unless its caller or the server's owner does not want that."""
    asked = await turn(codec, body, caller)
    store = await caller.responses()
    shown: ChatRequest = asked.read.request
    keeps = store is not None and shown.extra.get("store") is not False
    request = asked.request
    return Question(
        # Providers keep nothing for us: all that they are to know goes along.
        replace(request, extra={**request.extra, "store": False}),
        replace(shown, extra={**shown.extra, "store": keeps}),
        Keeping(store, caller.owner, codec, asked.read) if store is not None and keeps else None,
    )


class Keeping:
    """One answer on its way to its caller, and into the store."""

    def __init__(self, store: ResponseStore, owner: str, codec: Any, read: Any) -> None:
        self._store = store
        self._owner = owner
        self._codec = codec
        self._read = read

    async def watch(
        self, events: AsyncGenerator[Event, None], encoder: Encoder, asked: Asked
    ) -> AsyncGenerator[Event, None]:
        """Every event as it comes; before the last one is told, the answer is in the store."""
        fold, ended = Fold(), False
        try:
            async with aclosing(events):
                async for event in events:
                    fold.add(event)
                    if isinstance(event, Finished | Failed) and not ended:
                        ended = True
                        if warned := await self._keep(fold, asked, encoder):
                            yield warned
                    yield event
        except (GeneratorExit, asyncio.CancelledError):
            if not ended:
                self._keep_rest(fold, asked)
            raise

    async def _keep(self, fold: Fold, asked: Asked, encoder: Any) -> Warned | None:
        """An answer that failed before its first word has no id that its caller would know."""
        body = self._body(fold, asked)
        if body["status"] == "failed" and not body["output"]:
            return None
        try:
            await self._store.keep(self._owner, body, self._items(asked), previous=self._read.previous_response_id)
        except (NotKept, StoreFailed) as error:
            if isinstance(error, StoreFailed):
                log.warning("%s", error.message)
            encoder.unstored()
            return Warned(error.code, f"This response was not stored. {error.message}", "store")
        return None

    def _keep_rest(self, fold: Fold, asked: Asked) -> None:
        body = self._body(fold, asked)
        if body["output"]:
            body |= {"status": "cancelled", "incomplete_details": None}
            previous = self._read.previous_response_id
            self._store.keep_soon(self._owner, body, self._items(asked), previous=previous)

    def _body(self, fold: Fold, asked: Asked) -> dict[str, Any]:
        request: ChatRequest = self._read.request
        shown = replace(request, extra={**request.extra, "store": True})
        body: dict[str, Any] = self._codec.response_body(
            shown, fold.answer(), id=asked.id, created=asked.created, now=asked.now
        )
        return body

    def _items(self, asked: Asked) -> Items:
        items: Items = self._read.items(id=asked.id)
        return items


async def _resolved(codec: Any, body: bytes, owner: str, store: ResponseStore) -> Any:
    """The body read, with the items that it only names."""
    named: list[str] = []

    def note(id: str) -> Mapping[str, Any]:
        named.append(id)
        return _ANY_ITEM

    read = codec.decode_turn(body, resolve=note)
    if named:
        found = await store.items(owner, named)
        read = codec.decode_turn(body, resolve=found.get)
    return read


def _refuse_repeated(read: Any, stored: Sequence[Mapping[str, Any]]) -> None:
    """The vendor refuses them too; sent twice, words would be said twice."""
    known = {item["id"] for item in stored}
    for at, item in enumerate(read.input):
        if getattr(item, "id", None) in known:
            raise RequestError(
                f"'input[{at}]' is in the conversation that 'previous_response_id' goes on from; leave it out.",
                param=f"input[{at}]",
            )
