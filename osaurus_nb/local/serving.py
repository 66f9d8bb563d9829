"""The worker's door: lets clients in, hands their requests to the engine and its events back. No mlx here.

A client that shows no token is put out; one that leaves takes its requests along.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from osaurus_nb.errors import OsaurusError, Unavailable
from osaurus_nb.events import Finished
from osaurus_nb.local.places import Badge, Place
from osaurus_nb.local.protocol import (
    Answered,
    AskHealth,
    Cancel,
    Count,
    Decide,
    Embed,
    Farewell,
    Frame,
    FrameReader,
    FromWorker,
    Generate,
    Health,
    Hello,
    ProtocolError,
    Shutdown,
    Streamed,
    Welcome,
    encode,
    fault_of,
)
from osaurus_nb.local.work import Content, Request
from osaurus_nb.models import LOCAL, TokenCount
from osaurus_nb.request import ChatRequest

_HELLO_SECONDS = 5.0
_CHUNK = 1 << 18


@dataclass(eq=False, slots=True)
class Peer:
    """One client, and the ids of its requests that are under way."""

    writer: asyncio.StreamWriter
    active: set[int] = field(default_factory=set)

    def send(self, frame: FromWorker) -> None:
        if not self.writer.is_closing():
            self.writer.write(encode(frame))


#: Whose request it is, and which. The engine hands it back as it got it.
Ticket = tuple[Peer, int]
Parcels = Sequence[tuple[Any, Content]]


class Machine(Protocol):
    """What the door needs of an engine."""

    def submit(self, key: Ticket, request: Request, /) -> None: ...

    def cancel(self, key: Ticket, /) -> None: ...

    def count(self, request: ChatRequest, /) -> TokenCount: ...


class Door:
    """Serves one engine until `close`, or until nothing was asked for `idle_s` seconds."""

    def __init__(self, badge: Badge, model: str, *, idle_s: float, health: Callable[[], Health]) -> None:
        self._badge = badge
        self._model = model
        self._idle_s = idle_s
        self._health = health
        self._machine: Machine | None = None
        self._peers: set[Peer] = set()
        self._closing = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._touched = time.monotonic()
        # Counting needs the tokenizer only: it does not wait for the engine, and the engine not for it.
        self._counting = ThreadPoolExecutor(1, "osaurus-count")
        self._counts: set[asyncio.Future[TokenCount]] = set()

    def deliver(self, parcels: Parcels) -> None:
        """Hand over what the engine made. May be called from any thread."""
        # The loop is closed when the worker is already leaving: nobody is there to hear it.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._route, parcels)

    def close(self) -> None:
        """Leave at the next chance."""
        self._closing.set()

    async def serve(self, machine: Machine, place: Place, *, ready: Callable[[], None]) -> None:
        """Listen at the place's socket; calls `ready` when clients may come."""
        self._machine = machine
        self._touched = time.monotonic()
        place.socket.unlink(missing_ok=True)  # of a worker that was killed: we hold its lock now
        server = await asyncio.start_unix_server(self._welcome, path=place.socket)
        place.socket.chmod(0o600)
        ready()
        try:
            await self._until_idle()
        finally:
            server.close()
            place.socket.unlink(missing_ok=True)
            place.token.unlink(missing_ok=True)
            self._leave()

    async def _until_idle(self) -> None:
        while (left := self._left()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), left)
                return

    def _left(self) -> float:
        """Seconds until we may go."""
        if any(peer.active for peer in self._peers):
            return self._idle_s
        return self._touched + self._idle_s - time.monotonic()

    def _leave(self) -> None:
        for peer in self._peers:
            peer.send(Farewell())
            peer.writer.close()

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer, frames = Peer(writer), FrameReader()
        try:
            early = await asyncio.wait_for(self._check(reader, frames), _HELLO_SECONDS)
            if early is None:
                return
            self._peers.add(peer)
            peer.send(Welcome(self._badge.pid, self._model))
            self._obey(peer, early)
            while data := await reader.read(_CHUNK):
                self._obey(peer, frames.feed(data))
        except (ProtocolError, OSError, TimeoutError):
            pass  # a client that is broken, gone or silent: the same as one that left
        finally:
            self._forget(peer)
            writer.close()

    async def _check(self, reader: asyncio.StreamReader, frames: FrameReader) -> list[Frame] | None:
        """The frames behind a good Hello; None for anybody else."""
        while data := await reader.read(_CHUNK):
            if not (found := frames.feed(data)):
                continue
            hello = found[0]
            known = isinstance(hello, Hello) and hmac.compare_digest(hello.token, self._badge.token)
            return found[1:] if known else None
        return None

    def _obey(self, peer: Peer, frames: Sequence[Frame]) -> None:
        assert self._machine is not None
        for frame in frames:
            match frame:
                case Generate() | Embed() | Decide():
                    self._begin(peer, frame)
                case Count():
                    self._count(peer, frame)
                case Cancel(id=id):
                    self._machine.cancel((peer, id))
                    peer.active.discard(id)
                    self._touched = time.monotonic()
                case AskHealth():
                    peer.send(replace(self._health(), leaves_in=max(self._left(), 0.0)))
                case Shutdown():
                    self.close()
                case _:
                    raise ProtocolError("a frame that only workers send")

    def _begin(self, peer: Peer, frame: Generate | Embed | Decide) -> None:
        assert self._machine is not None
        try:
            self._machine.submit((peer, frame.id), frame.request)
        except OsaurusError as refused:
            peer.send(fault_of(frame.id, refused))
        else:
            peer.active.add(frame.id)
        self._touched = time.monotonic()

    def _count(self, peer: Peer, frame: Count) -> None:
        assert self._machine is not None
        peer.active.add(frame.id)
        count = self._loop.run_in_executor(self._counting, self._machine.count, frame.request)
        self._counts.add(count)  # the loop itself holds it by a thread only
        count.add_done_callback(lambda done: self._counted(peer, frame.id, done))

    def _counted(self, peer: Peer, id: int, count: asyncio.Future[TokenCount]) -> None:
        self._counts.discard(count)
        if count.cancelled() or id not in peer.active:
            return
        peer.active.discard(id)
        self._touched = time.monotonic()
        match count.exception():
            case None:
                peer.send(Answered(id, count.result()))
            case OsaurusError() as refused:
                peer.send(fault_of(id, refused))
            case fault:  # its words may quote the prompt
                words = f"The tokens could not be counted: {type(fault).__name__}."
                peer.send(fault_of(id, Unavailable(words, provider=LOCAL, model=self._model)))

    def _route(self, parcels: Parcels) -> None:
        for (peer, id), content in parcels:
            if id not in peer.active:
                continue
            match content:
                case OsaurusError():
                    peer.send(fault_of(id, content))
                case tuple():
                    peer.send(Streamed(id, content))
                case _:
                    peer.send(Answered(id, content))
            if not isinstance(content, tuple) or isinstance(content[-1], Finished):
                peer.active.discard(id)
                self._touched = time.monotonic()

    def _forget(self, peer: Peer) -> None:
        assert self._machine is not None
        for id in peer.active:
            self._machine.cancel((peer, id))
        peer.active.clear()
        self._peers.discard(peer)
