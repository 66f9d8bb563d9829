"""`POST` of a question: one answer, streamed or whole, in the dialect of the path. Knows no dialect itself."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from contextlib import aclosing

from jupyter_server.auth.decorator import allow_unauthenticated
from tornado.iostream import StreamClosedError

from osaurus_nb.events import Fold
from osaurus_nb.request import ChatRequest
from osaurus_nb.runtime import Backend
from osaurus_nb_server.dialects import Address, Encoder
from osaurus_nb_server.handlers import faults
from osaurus_nb_server.handlers.base import ApiHandler
from osaurus_nb_server.handlers.outlet import Outlet
from osaurus_nb_server.handlers.route import Route


class GenerateHandler(ApiHandler):
    """Reads the question with the codec of its path and hands the answer on. A client that leaves stops the model."""

    scope = "generate"

    _task: asyncio.Task[object] | None = None
    _left = False
    _stopping = False

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def post(self, *path: str) -> None:
        self._task = asyncio.current_task()
        self.service.active.add(self)
        try:
            await self._answer(Address(self.request.headers, path, self.request.query_arguments))
        except StreamClosedError:
            self._left = True
        except asyncio.CancelledError:
            if not (self._left or self._stopping) or self._task is None or self._task.uncancel() > 0:
                raise
            if self._stopping:
                self._break_off()
        finally:
            self.service.active.discard(self)
            self._task = None

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self._left = True
        if self._task is not None:
            self._task.cancel()

    def abandon(self) -> None:
        """Stop the work at the model: the server goes away."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()

    def _break_off(self) -> None:
        """A refusal where there is still time for one; else a body without its end, which no client takes for whole."""
        if not self._headers_written:
            raise faults.Stopping("The server is stopping.")
        self.request.connection.stream.close()  # type: ignore[union-attr]  # Jupyter serves HTTP/1 only

    async def _answer(self, address: Address) -> None:
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
