"""`POST` of a question: one answer, streamed or whole, in the dialect of the path. Knows no dialect itself."""

from __future__ import annotations

import json
import time
import uuid
from contextlib import aclosing

from osaurus_nb.events import Fold
from osaurus_nb.request import ChatRequest
from osaurus_nb.runtime import Backend
from osaurus_nb_server.dialects import Address, Asked, Attend, Encoder
from osaurus_nb_server.handlers.outlet import Outlet
from osaurus_nb_server.handlers.route import Route
from osaurus_nb_server.handlers.work import WorkHandler


class GenerateHandler(WorkHandler):
    """Reads the question with the codec of its path and hands the answer on."""

    async def work(self, address: Address) -> None:
        request = self.dialect.decode(self.codec, bytes(self.body), address)
        self.body = bytearray()
        route = Route(uuid.uuid4().hex, request.model)
        asked = Asked(route.request_id, int(time.time()), route.elapsed)
        if self.dialect.attend is not None and not request.messages:
            await self._attend(self.dialect.attend, request, asked)
            return
        encoder = self.dialect.encode(self.codec, request, asked)
        backend = await self.service.backend()
        if request.delivery.stream:
            async with aclosing(backend.stream(request, request_id=route.request_id)) as events:
                await Outlet(self, encoder, route).pour(events)
        else:
            await self._whole(backend, request, encoder, route)
        self.service.answered += 1

    async def _attend(self, attend: Attend, request: ChatRequest, asked: Asked) -> None:
        said = await attend(self.codec, request, asked, self.service)
        form = self.dialect.stream_type if request.delivery.stream else "application/json"
        await self.finish(json.dumps(said, separators=(",", ":")) + "\n", set_content_type=form)

    async def _whole(self, backend: Backend, request: ChatRequest, encoder: Encoder, route: Route) -> None:
        fold = Fold()
        async with aclosing(backend.stream(request, request_id=route.request_id)) as events:
            async for event in events:
                fold.add(event)
                route.note(event)
        answer = fold.answer(timings=route.timings())
        if answer.error is not None:
            raise answer.error
        for name, value in route.headers():
            self.set_header(name, value)
        await self.finish(json.dumps(encoder.body(answer), separators=(",", ":")))
