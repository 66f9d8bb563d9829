"""`POST` of a question: one answer, streamed or whole, in the dialect of the path. Knows no dialect itself."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import cache

from osaurus_nb.events import Event, Failed, Fold, Relayed
from osaurus_nb.request import ChatRequest
from osaurus_nb_server.dialect import Address, Asked, Attend, Encoder
from osaurus_nb_server.handlers.outlet import Outlet
from osaurus_nb_server.handlers.route import Route
from osaurus_nb_server.handlers.work import WorkHandler


class GenerateHandler(WorkHandler):
    """Reads the question with the codec of its path and hands the answer on."""

    async def work(self, address: Address) -> None:
        question = await self.dialect.read(self.codec, bytes(self.body), address)
        request = address.routed(question.request)
        self.body = bytearray()
        route = Route(self.request_id, request.model)
        asked = Asked(route.request_id, int(time.time()), route.elapsed)
        if self.dialect.attend is not None and not (request.messages or question.sent):
            await self._attend(self.dialect.attend, request, asked)
            return
        encoder = cache(lambda: self.dialect.encode(self.codec, question.repeated(), asked))
        answer = (await self.service.backend()).stream(
            request, address.terms(sent=question.sent, whole=not request.delivery.stream)
        )
        async with aclosing(question.watched(answer, encoder, asked)) as events:
            if request.delivery.stream:
                await Outlet(self, encoder, route).pour(events)
            else:
                await self._whole(events, encoder, route)
        self.service.answered += 1

    async def _attend(self, attend: Attend, request: ChatRequest, asked: Asked) -> None:
        said = await attend(self.codec, request, asked, self.service)
        form = self.dialect.stream_type if request.delivery.stream else "application/json"
        await self.finish(json.dumps(said, separators=(",", ":")) + "\n", set_content_type=form)

    async def _whole(self, events: AsyncIterator[Event], encoder: Callable[[], Encoder], route: Route) -> None:
        fold, relayed = Fold(), b""
        async for event in events:
            route.note(event)
            if isinstance(event, Relayed):
                relayed += event.data
            elif not relayed or isinstance(event, Failed):
                fold.add(event)
        answer = fold.answer(timings=route.timings())
        if answer.error is not None:
            raise answer.error
        for name, value in route.headers():
            self.set_header(name, value)
        await self.finish(relayed or json.dumps(encoder().body(answer), separators=(",", ":")))
