"""What answers a `POST` with work at a model: it ends when its client leaves, and when the server stops."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import ClassVar

from jupyter_server.auth.decorator import allow_unauthenticated
from tornado.iostream import StreamClosedError

from osaurus_nb.gateway.keys import Scope
from osaurus_nb_server.dialect import Address
from osaurus_nb_server.handlers import faults
from osaurus_nb_server.handlers.base import ApiHandler
from osaurus_nb_server.recall import Caller


class WorkHandler(ApiHandler):
    """One piece of work. A client that leaves stops the model."""

    scope: ClassVar[Scope | None] = "generate"

    _task: asyncio.Task[object] | None = None
    _left = False
    _stopping = False

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def post(self, *path: str) -> None:
        self._task = asyncio.current_task()
        self.service.active.add(self)
        try:
            async with self.service.admission.entered():
                await self.work(
                    Address(self.request.headers, self._caller(), self.request_id, path, self.request.query_arguments)
                )
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

    def _caller(self) -> Caller:
        def opens(scope: Scope) -> bool:
            return self.key is None or self.key.opens(scope)

        return Caller(self.owner, opens("spend"), self.service.responses, operates=opens("admin"))

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

    @abstractmethod
    async def work(self, address: Address) -> None:
        """Read the body, do it, and finish the response."""
