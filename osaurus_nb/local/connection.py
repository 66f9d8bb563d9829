"""One client's line to one worker: many requests at a time, each with its own stream of events.

Notices at once when the worker dies, and in time when it hangs: then it is killed, so that the next request finds a
fresh one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TypeVar

from osaurus_nb.decisions import DecisionRequest, Decisions
from osaurus_nb.embeddings import EmbeddingRequest, Embeddings
from osaurus_nb.errors import OsaurusError, WorkerDied
from osaurus_nb.events import Event, Finished
from osaurus_nb.local.places import Badge, Place, is_held, read_badge
from osaurus_nb.local.protocol import (
    Answered,
    AskHealth,
    Cancel,
    Count,
    Decide,
    Embed,
    Farewell,
    Fault,
    FrameReader,
    FromClient,
    Generate,
    Health,
    Hello,
    ProtocolError,
    Shutdown,
    Streamed,
    Value,
    Welcome,
    encode,
    error_of,
)
from osaurus_nb.models import LOCAL, TokenCount
from osaurus_nb.request import ChatRequest

_CHUNK = 1 << 18
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds. `quiet`: silence before we ask how it is. `reply`: until it must have answered that.

    `beat`: the longest that the engine may take for one token or one piece of a prompt.
    """

    hello: float = 10.0
    quiet: float = 5.0
    reply: float = 15.0
    beat: float = 120.0


class Departed(Exception):
    """The worker left of its own will before it began with this request: ask its successor."""


_Content = tuple[Event, ...] | Value | OsaurusError | Departed


@dataclass(eq=False, slots=True)
class _Inbox:
    """What has come for one request. `over` says that the worker is done with it."""

    contents: asyncio.Queue[_Content] = field(default_factory=asyncio.Queue)
    begun: bool = False
    over: bool = False

    def put(self, content: _Content) -> None:
        self.begun = True
        self.over = not isinstance(content, tuple) or isinstance(content[-1], Finished)
        self.contents.put_nowait(content)

    async def get(self) -> tuple[Event, ...] | Value:
        found = await self.contents.get()
        if isinstance(found, Exception):
            raise found
        return found


class Connection:
    """A line that was let in. Make one with `connect`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: Place, badge: Badge) -> None:
        self.pid = badge.pid
        self.model = ""
        self._reader = reader
        self._writer = writer
        self._place = place
        self._badge = badge
        self._patience = Patience()
        self._frames = FrameReader()
        self._ids = count(1)
        self._inboxes: dict[int, _Inbox] = {}
        self._health: asyncio.Future[Health] | None = None
        self._heard = time.monotonic()
        self._farewell = False
        self._hung = False
        self._listening: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self.closed = False

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        """The worker's events. Closing it early stops the work before the next token."""
        with self._asking(partial(Generate, request=request)) as inbox:
            over = False
            while not over:
                found = await inbox.get()
                if not isinstance(found, tuple):
                    raise ProtocolError("an answer in one piece where events were due")
                over = isinstance(found[-1], Finished)
                for event in found:
                    yield event

    async def count(self, request: ChatRequest) -> TokenCount:
        """How many tokens the worker's model reads for this request."""
        return await self._ask(partial(Count, request=request), TokenCount)

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """The worker's vectors. Leaving early stops the work before its next texts."""
        return await self._ask(partial(Embed, request=request), Embeddings)

    async def decide(self, request: DecisionRequest) -> Decisions:
        """The worker's verdicts. Leaving early stops the work before its next piece of a prompt."""
        return await self._ask(partial(Decide, request=request), Decisions)

    async def _ask(self, frame: Callable[[int], FromClient], kind: type[_Answer]) -> _Answer:
        with self._asking(frame) as inbox:
            found = await inbox.get()
            if not isinstance(found, kind):
                raise ProtocolError(f"an answer that is no {kind.__name__}")
            return found

    @contextmanager
    def _asking(self, frame: Callable[[int], FromClient]) -> Iterator[_Inbox]:
        """Ask, and forget the question when the caller is done with it; the worker then forgets it too."""
        if self.closed:
            raise Departed
        id = next(self._ids)
        inbox = self._inboxes[id] = _Inbox()
        self._heard = time.monotonic()
        self._send(frame(id))
        try:
            yield inbox
        finally:
            del self._inboxes[id]
            if not inbox.over:
                self._send(Cancel(id))

    async def health(self) -> Health:
        """How the worker is. Raises TimeoutError when it does not say, WorkerDied when it is gone."""
        if self.closed:
            raise self._died()
        if self._health is None or self._health.done():
            self._health = asyncio.get_running_loop().create_future()
            self._send(AskHealth())
        return await asyncio.wait_for(asyncio.shield(self._health), self._patience.reply)

    async def shut_down(self) -> None:
        """Ask the worker to leave, and wait until it has."""
        self._send(Shutdown())
        if self._listening is not None:
            await asyncio.wait({self._listening})

    async def aclose(self) -> None:
        """Hang up. The worker stays for others."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})
        self._end()

    def start(self, patience: Patience) -> None:
        self._patience = patience
        self._listening = asyncio.create_task(self._listen())
        self._watching = asyncio.create_task(self._watch())

    async def greet(self) -> None:
        """Show the token. Raises ConnectionError when we are not let in."""
        self._send(Hello(self._badge.token))
        while data := await self._reader.read(_CHUNK):
            frames = self._frames.feed(data)
            if frames:
                if not isinstance(frames[0], Welcome):
                    break
                self.model = frames[0].model
                return
        raise ConnectionRefusedError("the worker did not let us in")

    async def _listen(self) -> None:
        try:
            while data := await self._reader.read(_CHUNK):
                self._heard = time.monotonic()
                for frame in self._frames.feed(data):
                    self._take(frame)
        except (OSError, ProtocolError):
            pass  # the same as a worker that is gone
        finally:
            self._end()

    def _take(self, frame: object) -> None:
        match frame:
            case Streamed(id=id, events=events):
                self._put(id, events)
            case Answered(id=id, value=value):
                self._put(id, value)
            case Fault(id=id):
                self._put(id, error_of(frame, provider=LOCAL, model=self.model))
            case Health():
                if self._health is not None and not self._health.done():
                    self._health.set_result(frame)
            case Farewell():
                self._farewell = True
            case _:
                raise ProtocolError("a frame that only clients send")

    def _put(self, id: int, content: tuple[Event, ...] | Value | OsaurusError) -> None:
        if (inbox := self._inboxes.get(id)) is not None:
            inbox.put(content)

    def _end(self) -> None:
        """Tell everybody who waits that nothing more will come."""
        if self.closed:
            return
        self.closed = True
        self._writer.close()
        if self._watching is not None:
            self._watching.cancel()
        for inbox in self._inboxes.values():
            inbox.put(Departed() if self._farewell and not inbox.begun else self._died())
        if self._health is not None and not self._health.done():
            self._health.set_exception(self._died())
            self._health.exception()  # nobody may be waiting for it

    def _died(self) -> WorkerDied:
        how = "was stopped" if self._farewell else "hung and was ended" if self._hung else "ended unexpectedly"
        words = f"The process of the local model {self.model!r} {how}. Ask again: a new one is started."
        return WorkerDied(words, provider=LOCAL, model=self.model)

    async def _watch(self) -> None:
        """While somebody waits and nothing comes, ask how it is; end a worker that does not know."""
        patience = self._patience
        while not self.closed:
            silent = time.monotonic() - self._heard
            if not self._inboxes or silent < patience.quiet:
                await asyncio.sleep(patience.quiet - silent if self._inboxes else patience.quiet)
            elif await self._hangs():
                self._hung = True
                await asyncio.to_thread(kill_worker, self._place, self._badge)
                return
            else:
                await asyncio.sleep(patience.quiet)

    async def _hangs(self) -> bool:
        try:
            return (await self.health()).beat_age > self._patience.beat
        except TimeoutError:
            return True
        except WorkerDied:
            return False

    def _send(self, frame: FromClient) -> None:
        if not self._writer.is_closing():
            self._writer.write(encode(frame))


async def connect(place: Place, patience: Patience) -> Connection | None:
    """A line to the worker at `place`, or None when none listens. Raises TimeoutError when it does not answer."""
    badge = read_badge(place)
    if badge is None:
        return None
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_unix_connection(place.socket), patience.hello)
    except (FileNotFoundError, ConnectionError):
        return None
    connection = Connection(reader, writer, place, badge)
    try:
        await asyncio.wait_for(connection.greet(), patience.hello)
    except (ConnectionError, ProtocolError):
        writer.close()
        return None
    except BaseException:
        writer.close()
        raise
    connection.start(patience)
    return connection


def kill_worker(place: Place, badge: Badge) -> None:
    """End the worker that wrote `badge`, if it still lives. Its lock proves that the pid is still its own."""
    if is_held(place.life) and read_badge(place) == badge:
        with suppress(ProcessLookupError):
            os.kill(badge.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5.0
    while is_held(place.life) and time.monotonic() < deadline:
        time.sleep(0.01)
