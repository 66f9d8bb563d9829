"""The thread that writes the ledger: whatever waits is one transaction. It fails nobody, and loses nothing it can keep.

What cannot be written waits in memory and is tried again; caps are held meanwhile by what this process knows.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from osaurus_nb.database import DatabaseFailed
from osaurus_nb.ledger import notices
from osaurus_nb.ledger.book import Book, holds, spent
from osaurus_nb.ledger.desk import Desk
from osaurus_nb.ledger.identifiers import identifier
from osaurus_nb.ledger.tally import Holds, Tally
from osaurus_nb.spending import Entry, Overrun

LOG = logging.getLogger(__name__)
MOST_WAITING = 10_000
_BATCH = 256
_AGAIN_SECONDS = 1.0
_IDLE_SECONDS = 2.0
#: Values that are of no use: such a line is dropped alone.
_UNWRITABLE = (TypeError, ValueError, AttributeError, ArithmeticError, LookupError)


@dataclass(slots=True, eq=False)
class Item:
    """A line to be written, with scopes an `open` one; or an act upon the book; or a word when all before is done."""

    entry: Entry | None = None
    scopes: Mapping[str, int | None] | None = None
    act: Callable[[Book], Any] | None = None
    #: Who waits for `result`: called on the writer's thread.
    waiter: Callable[[Item], None] | None = None
    #: It was sent already: no cap can refuse it any more.
    forced: bool = False
    result: Any = None


class Writer:
    """One for each process. Starts its thread with the first item, and again after `stop`."""

    def __init__(self, desk: Desk, now: Callable[[], float]) -> None:
        self._desk = desk
        self._now = now
        self._queue: deque[Item] = deque()
        self._batch: list[Item] = []
        self._wake = threading.Condition(threading.RLock())
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopping = self._idle = False
        self._tally: Tally | None = None
        self._failing: DatabaseFailed | None = None
        self._dropped = 0
        self._unread = True
        self._warned = False

    def put(self, item: Item) -> None:
        """From any thread. Where too many wait, the oldest is dropped."""
        with self._wake:
            self._queue.append(item)
            if len(self._queue) + len(self._batch) > MOST_WAITING:
                self._dropped += 1
                _answer([self._queue.popleft()])
            if self._tally is not None and item.entry is not None and item.scopes is None:
                self._tally.close(item.entry)
            if self._thread is None:
                self.start()
            elif self._idle:  # waking a thread is what costs most here
                self._idle = False
                self._wake.notify_all()

    def start(self) -> None:
        with self._wake:
            if self._thread is None:
                self._stopping = False
                self._ready.clear()
                self._thread = threading.Thread(target=self._run, name="osaurus-ledger", daemon=True)
                self._thread.start()

    def ready(self, timeout: float) -> bool:
        """Wait until the ledger is open."""
        self.start()
        return self._ready.wait(timeout)

    def stop(self, timeout: float) -> None:
        """Write what waits, as far as that goes, and end the thread."""
        with self._wake:
            thread, self._stopping = self._thread, True
            self._wake.notify_all()
        if thread is not None:
            thread.join(timeout)

    def decide(self, item: Item) -> Overrun | None:
        """The answer to an `open` that is not written yet, by what this process knows. It is written later."""
        if item.entry is None or item.scopes is None:
            return None
        scopes = {identifier(scope): limit for scope, limit in item.scopes.items()}  # as the ledger has them
        sums, held = self._known(tuple(scopes))
        with self._wake:
            if item.forced:
                return None
            if self._tally is None:
                self._tally = Tally(held)
                for waiting in (*self._batch, *self._queue):
                    if waiting.entry is not None and waiting.scopes is None:
                        self._tally.close(waiting.entry)
            self._tally.learn(sums)
            over = self._tally.open(item.entry, scopes)
            item.forced = over is None
            if over is not None and item in self._queue:
                self._queue.remove(item)
        self._warn()
        return over

    @property
    def failing(self) -> bool:
        return self._failing is not None

    @property
    def waiting(self) -> int:
        return len(self._queue) + len(self._batch)

    @property
    def notices(self) -> tuple[str, ...]:
        told = list(self._desk.notices)
        if self._failing is not None:
            told.append(notices.WAITING.get(self._failing.fault, notices.SLOW))
        if self._dropped:
            told.append(notices.dropped(self._dropped))
        return tuple(told)

    def _open(self, *, suspect: bool = False) -> None:
        try:
            self._desk.open(suspect=suspect)
        except DatabaseFailed as exc:  # it may pass: the next transaction tries again
            self._failing = exc

    def _run(self) -> None:
        self._open()
        self._ready.set()
        while self._next():
            if any(item.entry or item.act for item in self._batch):
                self._write()
            elif self._batch:
                self._reached()
            else:
                self._look_through()
        left = len(self._queue)
        try:
            self._desk.close()
        finally:  # not before: of two threads one would close what the other has opened
            with self._wake:
                self._thread = None
                if len(self._queue) > left:
                    self.start()

    def _next(self) -> bool:
        """Take what waits, or nothing when it is quiet for the first time; False at the end."""
        with self._wake:
            while not (self._queue or self._stopping):
                self._idle = True
                if not self._wake.wait(_IDLE_SECONDS if self._unread else None):
                    return True
            if self._stopping and (not self._queue or self._failing is not None):
                return False
            self._batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            return True

    def _write(self) -> None:
        try:
            with self._desk.transaction(self._now()) as book:
                for item in self._batch:
                    _perform(book, item)
        except DatabaseFailed as exc:
            self._failed(exc)
        else:
            self._succeeded()

    def _reached(self) -> None:
        """Nothing to be written but words that somebody waits for."""
        with self._wake:
            batch, self._batch = self._batch, []
        _answer(batch)

    def _succeeded(self) -> None:
        with self._wake:
            # Who waited too long was let through meanwhile, against what the ledger says now.
            again = [item for item in self._batch if item.forced and isinstance(item.result, Overrun)]
            done, self._batch = [item for item in self._batch if item not in again], []
            self._queue.extendleft(reversed(again))
            self._failing = None
            if not self._queue:
                self._tally = None
        _answer(done)

    def _failed(self, exc: DatabaseFailed) -> None:
        """All of it waits for better times; who waits for an answer gets one by what is known."""
        with self._wake:
            self._failing = exc
            batch, self._batch = self._batch, []
            self._queue.extendleft(reversed(batch))
        self._warn()
        self._let_go()
        if exc.fault not in ("full", "busy"):
            self._open(suspect=True)
        until = time.monotonic() + _AGAIN_SECONDS
        while not self._stopping and (left := until - time.monotonic()) > 0:
            with self._wake:
                self._idle = True
                self._wake.wait(left)
            self._let_go()

    def _let_go(self) -> None:
        with self._wake:
            waiting = [item for item in self._queue if item.waiter is not None]
        for item in waiting:  # it reads the file: `put`, on somebody's loop, does not wait for that
            item.result = self.decide(item)
        with self._wake:
            _answer(waiting)

    def _look_through(self) -> None:
        """Once, when there is nothing else to do: is all of it as it was written?"""
        self._unread = False
        with suppress(DatabaseFailed):
            self._desk.check()

    def _known(self, scopes: Sequence[str]) -> tuple[Mapping[str, tuple[int, int]], Holds]:
        """What the ledger says, as far as it can be read: first the sums, then the holds, or ends would count twice."""
        try:
            sums = self._desk.read(lambda connection: spent(connection, scopes))
            return dict(zip(scopes, sums, strict=True)), self._desk.read(holds)
        except DatabaseFailed:
            return {}, {}

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            LOG.warning("%s", notices.SLOW)


def waiter(future: asyncio.Future[Any]) -> Callable[[Item], None]:
    """Resolves `future` with the item's result, on the future's own loop."""
    loop = future.get_loop()

    def tell(item: Item) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
            loop.call_soon_threadsafe(_resolve, future, item.result)

    return tell


def _perform(book: Book, item: Item) -> None:
    try:
        with book.guarded():
            if item.act is not None:
                item.result = item.act(book)
            elif item.entry is not None and item.scopes is not None:
                item.result = book.open(item.entry, item.scopes, forced=item.forced)
            elif item.entry is not None:
                book.close(item.entry)
    except _UNWRITABLE as exc:
        LOG.warning("A line of the ledger could not be written (%s).", type(exc).__name__)


def _answer(items: Sequence[Item]) -> None:
    for item in items:
        if item.waiter is not None:
            tell, item.waiter = item.waiter, None
            tell(item)


def _resolve(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)
