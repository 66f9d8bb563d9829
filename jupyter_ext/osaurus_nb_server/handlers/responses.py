"""Stored responses: shown, listed, deleted, and conversations made shorter. Shows nobody what is another's."""

from __future__ import annotations

import json
import time
from contextlib import aclosing
from typing import Any, cast

from jupyter_server.auth.decorator import allow_unauthenticated

from osaurus_nb.errors import BadAnswer, RequestError, Unsupported
from osaurus_nb.events import Answer, Fold
from osaurus_nb.gateway.responses import Order, ResponseNotFound, ResponseStore, page
from osaurus_nb.models import Usage
from osaurus_nb.ports import Terms
from osaurus_nb.request import ChatRequest
from osaurus_nb_server import recall
from osaurus_nb_server.dialect import Address
from osaurus_nb_server.dialects import OPENAI_RESPONSES
from osaurus_nb_server.handlers.base import ApiHandler
from osaurus_nb_server.handlers.route import Route
from osaurus_nb_server.handlers.work import WorkHandler
from osaurus_nb_server.service import Service


class _StoredHandler(ApiHandler):
    """One response by its id."""

    scope = "generate"

    def initialize(self, service: Service) -> None:  # type: ignore[override]
        super().initialize(service, OPENAI_RESPONSES)

    async def _store(self, id: str) -> ResponseStore:
        store = await self.service.responses()
        if store is None:
            raise ResponseNotFound(id, "This server keeps no responses.")
        return store


class ResponseHandler(_StoredHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self, id: str) -> None:
        if self.get_query_argument("stream", "false").lower() not in ("false", "0"):
            raise Unsupported("A stored response comes in one piece here: leave 'stream' out.", param="stream")
        body = await (await self._store(id)).body(self.owner, id)
        await self.finish(body, set_content_type="application/json")

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def delete(self, id: str) -> None:
        await (await self._store(id)).forget(self.owner, id)
        await self.finish(json.dumps({"id": id, "object": "response", "deleted": True}))


class InputItemsHandler(_StoredHandler):
    """What a response was made of: the conversation that it went on from, and what its request added."""

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self, id: str) -> None:
        limit, order = self._limit(), self.get_query_argument("order", "desc")
        if order not in ("asc", "desc"):
            raise RequestError("'order' must be asc or desc.", param="order")
        found = await (await self._store(id)).conversation(self.owner, id)
        after = self.get_query_argument("after", None)
        await self.finish(json.dumps(page(found.before, limit=limit, order=cast(Order, order), after=after)))

    def _limit(self) -> int:
        text = self.get_query_argument("limit", "20")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


class CancelHandler(_StoredHandler):
    """Only what runs in the background can be cancelled, and nothing does here."""

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def post(self, id: str) -> None:
        await (await self._store(id)).body(self.owner, id)
        raise Unsupported(
            "Only responses made with 'background' can be cancelled, and there are none here. "
            "To stop an answer under way, close its connection."
        )


class CompactHandler(WorkHandler):
    """The model that the caller named sums the conversation up."""

    def initialize(self, service: Service) -> None:  # type: ignore[override]
        super().initialize(service, OPENAI_RESPONSES)

    async def work(self, address: Address) -> None:
        codec: Any = self.codec
        turn = await recall.turn(codec, bytes(self.body), address.caller)
        self.body = bytearray()
        request: ChatRequest = address.routed(codec.summary_request(turn.read, turn.stored))
        route = Route(self.request_id, request.model)
        answer = await self._asked(request, address.terms(), route)
        items = [*turn.stored, *turn.read.items(id=route.request_id)]
        usage = answer.usage or Usage(estimated=True)
        body = codec.compaction_body(items, answer.text, usage=usage, id=route.request_id, created=int(time.time()))
        for name, value in route.headers():
            self.set_header(name, value)
        await self.finish(json.dumps(body, separators=(",", ":")))
        self.service.answered += 1

    async def _asked(self, request: ChatRequest, terms: Terms, route: Route) -> Answer:
        fold = Fold()
        backend = await self.service.backend()
        async with aclosing(backend.stream(request, terms)) as events:
            async for event in events:
                fold.add(event)
                route.note(event)
        answer = fold.answer()
        if answer.error is not None:
            raise answer.error
        if answer.finish_reason != "stop" or not answer.text.strip():
            why = f"it ended with '{answer.finish_reason}'"
            raise BadAnswer(
                f"The model wrote no whole summary ({why}): nothing was compacted.",
                provider=answer.provider,
                model=answer.model,
            )
        return answer


_BELOW = {
    "/compact": CompactHandler,
    "/(.+)/input_items": InputItemsHandler,
    "/(.+)/cancel": CancelHandler,
    "/(.+)": ResponseHandler,
}
#: Paths below `/osaurus`, the more particular first.
RESPONSES = {base + path: handler for base in ("/v1/responses", "/responses") for path, handler in _BELOW.items()}
