"""What all handlers share: the keys, the one backend of this server, and who is being answered. No HTTP here."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from osaurus_nb.catalog import names
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.settings import Settings
from osaurus_nb.errors import Unsupported
from osaurus_nb.gateway.keys import KeyRing
from osaurus_nb.gateway.responses import Bounds, ResponseStore, StoreFailed
from osaurus_nb.gateway.throttle import Throttle
from osaurus_nb.models import LOCAL, SourceStatus
from osaurus_nb.ports import Observer
from osaurus_nb.runtime import Backend
from osaurus_nb.telemetry.metrics import Metrics
from osaurus_nb_server.admission import Admission
from osaurus_nb_server.dialect import Codec, Dialect

if TYPE_CHECKING:  # the local room is loaded when the first request needs it
    from osaurus_nb.gateway.access import AccessDoor
    from osaurus_nb.local.protocol import Health
    from osaurus_nb_server.administration import Administration

log = logging.getLogger("osaurus_nb")

#: Below the server's base URL, everything of ours starts with this.
MOUNT = "/osaurus"


#: A request body may have this many bytes unless the server's owner says otherwise.
MAX_BODY = 32 * 1024 * 1024
#: So many requests are at work at once, and so many wait behind them, unless the server's owner says otherwise.
MAX_ACTIVE, MAX_WAITING = 256, 1024
#: How long a response of the Responses dialect is kept, in seconds, unless the server's owner says otherwise.
RESPONSE_TTL = Bounds().ttl
#: How long what the providers said of themselves is believed, in seconds: monitors look often.
_STATUS_TTL = 5.0
#: How long a stopping server waits for the answers that it broke off, in seconds.
_FAREWELL = 5.0


class Answering(Protocol):
    """A response under way."""

    def abandon(self) -> None:
        """Stop the work at the model and break the response off."""


class Workers(Protocol):
    """The models of this machine that are in memory."""

    async def status(self) -> Sequence[Health]: ...

    async def load(self, model_id: str) -> None: ...

    async def unload(self, model_id: str) -> bool: ...

    async def aclose(self) -> None: ...


@runtime_checkable
class Observable(Protocol):
    """A backend whose streams can be watched."""

    def observe(self, observer: Observer) -> None: ...


@dataclass(frozen=True, slots=True)
class Engine:
    """What answers requests, and what is known of the local workers."""

    backend: Backend
    workers: Workers | None = None


class Service:
    """Lives as long as the server. The backend is made at the first request, on the server's loop."""

    def __init__(
        self,
        make_backend: Callable[[], Backend] | None = None,
        *,
        max_body: int = MAX_BODY,
        ping_after: float = 15.0,
        response_ttl: float = RESPONSE_TTL,
        max_active: int = MAX_ACTIVE,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self.keys = KeyRing()
        self.throttle = Throttle()
        self.max_body = max_body
        self.ping_after = ping_after
        self.active: set[Answering] = set()
        #: Who is told of changes, for as long as he likes: they keep no server from its idle shutdown.
        self.watching: set[Answering] = set()
        self.answered = 0
        self.admission = Admission(most=max_active, waiting=max_waiting)
        self.metrics = Metrics()
        self._codecs: dict[Dialect, Codec] = {}
        self._make_backend = make_backend
        self._engine: Engine | None = None
        self._making = asyncio.Lock()
        self._responses = ResponseStore(Paths.from_env().run, bounds=Bounds(response_ttl)) if response_ttl > 0 else None
        self._access: AccessDoor | None = None
        self._administration: Administration | None = None
        self._status: Sequence[SourceStatus] = ()
        self._status_until = 0.0
        self._started = time.monotonic()

    @property
    def uptime(self) -> float:
        return time.monotonic() - self._started

    async def codec(self, dialect: Dialect) -> Codec:
        """The dialect's codec, its libraries loaded off the loop: kernels' messages pass through that too."""
        codec = self._codecs.get(dialect)
        if codec is None:
            codec = self._codecs[dialect] = await asyncio.to_thread(dialect.codec)
        return codec

    async def engine(self) -> Engine:
        """The one engine."""
        if self._engine is None:
            async with self._making:
                if self._engine is None:
                    self._engine = await self._make()
        return self._engine

    def access(self) -> AccessDoor:
        """Who judges the access keys of this machine's identity. The first call is slow."""
        if self._access is None:
            book = import_module("osaurus_nb.identity.book").AccessKeys(Paths.from_env().home / "identity")
            self._access = import_module("osaurus_nb.gateway.access").AccessDoor(book)
        return self._access

    async def administration(self) -> Administration:
        """Where providers, secrets and access keys are managed. Loaded when first asked for."""
        if self._administration is None:
            room = await asyncio.to_thread(import_module, "osaurus_nb_server.administration")
            self._administration = self._administration or room.Administration(Paths.from_env(), self.backend)
        return self._administration

    async def backend(self) -> Backend:
        return (self._engine or await self.engine()).backend

    async def responses(self) -> ResponseStore | None:
        """Where responses are kept; None where the server's owner wants none, or the disk takes none."""
        if self._responses is not None and not self._responses.ready:
            try:
                await self._responses.open()
            except StoreFailed as error:
                log.warning("No responses are kept: %s", error.message)
                self._responses = None
        return self._responses

    async def sources(self) -> Sequence[SourceStatus]:
        """How each provider does."""
        now = time.monotonic()
        if now >= self._status_until:
            self._status = await (await self.backend()).status()
            self._status_until = now + _STATUS_TTL
        return self._status

    async def workers(self) -> Sequence[Health]:
        """The local model workers that run now."""
        workers = (await self.engine()).workers
        return await workers.status() if workers is not None else ()

    async def load(self, name: str) -> None:
        """Bring a model of this machine into memory. Those of others are as ready as they can be made from here."""
        engine = await self.engine()
        card = names.find(name, await engine.backend.models())
        if card.provider == LOCAL and engine.workers is not None:
            await engine.workers.load(card.id)

    async def unload(self, name: str) -> None:
        """Take a model of this machine out of memory, if it is there."""
        engine = await self.engine()
        card = names.find(name, await engine.backend.models())
        if card.provider != LOCAL or engine.workers is None:
            raise Unsupported(
                f"'{card.name}' is not in this server's memory, so it cannot be unloaded here.", param="model"
            )
        await engine.workers.unload(card.id)

    async def aclose(self) -> None:
        """Stop every answer, then let go of the backend."""
        for answering in (*self.active, *self.watching):
            answering.abandon()
        ends = time.monotonic() + _FAREWELL
        while self.active and time.monotonic() < ends:  # noqa: ASYNC110 - each leaves in its own task, which is tornado's
            await asyncio.sleep(0.01)
        if self._responses is not None:
            await self._responses.aclose()
        if self._administration is not None:
            await self._administration.aclose()
        if self._engine is not None:
            await self._engine.backend.aclose()
            if self._engine.workers is not None:
                await self._engine.workers.aclose()
            self._engine = None

    async def _make(self) -> Engine:
        engine = Engine(self._make_backend()) if self._make_backend is not None else await _embedded()
        if isinstance(engine.backend, Observable):
            engine.backend.observe(self.metrics)
        return engine


async def _embedded() -> Engine:
    """A runtime in this process, whatever server the environment names: that would be ourselves, or a stranger."""
    assembly = await asyncio.to_thread(import_module, "osaurus_nb.assembly")
    local = import_module("osaurus_nb.local.adapter")
    settings = replace(Settings.from_env(), url=None, key=None)
    workers = local.LocalAdapter(settings.paths)  # workers are shared between processes: it sees them all
    runtime = assembly.embedded(settings)
    runtime.launch()
    return Engine(runtime, workers)
