"""`POST` of a question: one answer, streamed or whole, in the dialect of the path. Knows no dialect itself."""

from __future__ import annotations

import json
import time
import uuid
from contextlib import aclosing

from osaurus_nb.events import Fold
from osaurus_nb.request import ChatRequest
from osaurus_nb.runtime import Backend
from osaurus_nb_server.dialects import Address, Encoder
from osaurus_nb_server.handlers.outlet import Outlet
from osaurus_nb_server.handlers.route import Route
from osaurus_nb_server.handlers.work import WorkHandler


class GenerateHandler(WorkHandler):
    """Reads the question with the codec of its path and hands the answer on."""

    async def work(self, address: Address) -> None:
        request = self.dialect.decode(self.codec, bytes(self.body), address)
        self.body = bytearray()
        route = Route(uuid.uuid4().hex, request.model)
        encoder = self.codec.event_encoder(request, id=route.request_id, created=int(time.time()))
        backend = await self.service.backend()
        if request.delivery.stream:
            async with aclosing(backend.stream(request, request_id=route.request_id)) as events:
                await Outlet(self, encoder, route).pour(events)
        else:
            await self._whole(backend, request, encoder, route)
        self.service.answered += 1

    async def _whole(self, backend: Backend, request: ChatRequest, encoder: Encoder, route: Route) -> None:
        fold = Fold()
        async with aclosing(backend.stream(request, request_id=route.request_id)) as events:
            async for event in events:
                fold.add(event)
                route.note(event)
        answer = fold.answer()
        if answer.error is not None:
            raise answer.error
        for name, value in route.headers():
            self.set_header(name, value)
        await self.finish(json.dumps(encoder.body(answer), separators=(",", ":")))
