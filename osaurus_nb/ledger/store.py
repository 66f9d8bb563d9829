"""The ledger as the rest of the package knows it. Never blocks, and never fails an answer.

Nothing is opened before something is written, or looked up where there is a file already.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from osaurus_nb.config.paths import Paths
from osaurus_nb.database import DatabaseFailed
from osaurus_nb.errors import LedgerUnreadable
from osaurus_nb.ledger import reading, whole
from osaurus_nb.ledger.book import Retention, spent
from osaurus_nb.ledger.chain import GENESIS
from osaurus_nb.ledger.desk import Desk
from osaurus_nb.ledger.identifiers import identifier
from osaurus_nb.ledger.opening import Opener
from osaurus_nb.ledger.writer import Item, Writer, waiter
from osaurus_nb.ports import Clock, SystemClock
from osaurus_nb.secrets.slots import Slots
from osaurus_nb.spending import By, Entry, LedgerStatus, Overrun, Query, Total

__all__ = ["LedgerStore", "Retention"]

T = TypeVar("T")
_OPEN_SECONDS = 2.0
_FLUSH_SECONDS = 5.0
_NO_SCOPES: Mapping[str, int | None] = {}
_ALL = Query()


class LedgerStore:
    """One for each process and home. Thread-safe; a forked child goes on with a connection of its own."""

    def __init__(
        self, paths: Paths, slots: Slots | None, *, clock: Clock | None = None, retention: Retention | None = None
    ) -> None:
        self._opener = Opener(paths, slots)
        self._clock = clock or SystemClock()
        self._retention = retention or Retention()
        self._starting = threading.Lock()
        self._pid = 0
        self._parents: list[Any] = []
        self._desk: Desk
        self._writer: Writer

    async def open(self, entry: Entry, scopes: Mapping[str, int | None] = _NO_SCOPES) -> Overrun | None:
        """Write an `open` line: it is on the disk when this returns, or after 2 s waits to be.

        `scopes` are where it is counted, with the limit of each; an Overrun says which would not hold, and nothing was
        written.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Overrun | None] = loop.create_future()
        writer, item = self._ours(), Item(entry, scopes, waiter=waiter(future))
        writer.put(item)
        late = loop.call_later(_OPEN_SECONDS, _too_late, future)
        try:
            over = await future
            if over is _LATE:
                over = await asyncio.to_thread(writer.decide, item)
                if over is not None:  # it may be on its way to the disk all the same
                    self._take_back(entry)
        except BaseException:  # who waited is gone, so that nothing will be sent
            self._take_back(entry)
            raise
        finally:
            late.cancel()
        return over

    def add(self, entry: Entry) -> None:
        """Write a `settle` or `void` line, some time soon. From any thread."""
        self._ours().put(Item(entry))

    async def spent(self, scopes: Sequence[str]) -> Sequence[tuple[int, int]]:
        """What was settled and what is reserved under each, in micro."""
        names = [identifier(scope) for scope in scopes]
        return await self._read(lambda connection: spent(connection, names), [(0, 0)] * len(names))

    async def entries(self, query: Query = _ALL) -> Sequence[Entry]:
        """One page, newest first. Raises LedgerUnreadable."""
        return await self._read(lambda db: reading.entries(db, query, self._desk.alive), [])

    async def totals(self, by: By, query: Query = _ALL) -> Sequence[Total]:
        """Sums of all that the query finds; the largest cost first, days newest first. Raises LedgerUnreadable."""
        return await self._read(lambda db: reading.totals(db, by, query, self._desk.alive), [])

    async def chain(self) -> tuple[str, Sequence[Entry]]:
        """All of it, for an export: the link of the last line that was trimmed, and every line behind it."""
        return await self._read(whole.chain, (GENESIS, []))

    async def void(self, step: str) -> int:
        """Strike the open lines of a step that never was charged. How many there were."""
        if not self._used:
            return 0
        now = self._clock.now().timestamp()
        return int(await self._done(Item(act=lambda book: book.strike(step, now)), _FLUSH_SECONDS) or 0)

    async def status(self) -> LedgerStatus:
        """Opens the ledger where there is one."""
        rows = 0
        with suppress(LedgerUnreadable):
            rows = await self._read(reading.rows, 0)
        opened = self._desk.opened if self._pid else None
        if opened is None:
            told = (self._writer.waiting, self._writer.notices) if self._pid else (0, ())
            kept = self._opener.kept
            return LedgerStatus("encrypted" if kept else "memory", str(self._opener.file) if kept else None, 0, *told)
        path = None if opened.file is None else str(opened.file)
        return LedgerStatus(opened.state, path, rows, self._writer.waiting, self._writer.notices)

    async def migrate(self) -> bool:
        """Encrypt a ledger that is in clear; False where it is not. Raises LedgerUnreadable, SecretsLocked."""
        await self.aclose()
        try:
            return await asyncio.to_thread(self._opener.migrate)
        except DatabaseFailed as exc:
            raise LedgerUnreadable(f"The ledger could not be encrypted, and is as it was. {exc}") from None

    async def check(self) -> LedgerStatus:
        """Read all of it now, instead of when there is time. What is damaged is put aside, and told."""
        if self._used:
            self._ours()
            await self.aclose()
            self._desk.suspect = True
        return await self.status()

    async def flush(self) -> None:
        """All that was added is written, or waits for better times."""
        if self._used:
            await self._done(Item(), _FLUSH_SECONDS)

    async def aclose(self) -> None:
        """Write all that was added, at most 5 s, and let go of the file. It opens again where it is used again."""
        if self._pid == os.getpid():
            await asyncio.to_thread(self._writer.stop, _FLUSH_SECONDS)

    @property
    def _used(self) -> bool:
        return self._pid == os.getpid() or self._opener.exists

    def _ours(self) -> Writer:
        """This process's writer. A parent's connection is left alone: closing it here would hurt the parent."""
        if self._pid != os.getpid():
            with self._starting:
                if self._pid != os.getpid():
                    self._found()
        return self._writer

    def _take_back(self, entry: Entry) -> None:
        """Strike its open line, if it comes to be written: nobody will end it."""
        now = self._clock.now().timestamp()
        self._ours().put(Item(act=lambda book: book.strike(entry.step, now, entry.attempt)))

    def _found(self) -> None:
        if self._pid:
            self._parents.append((self._desk, self._writer))
        self._desk = Desk(self._opener, self._retention)
        self._writer = Writer(self._desk, lambda: self._clock.now().timestamp())
        self._pid = os.getpid()
        atexit.register(_last_words, weakref.ref(self._writer))

    async def _read(self, ask: Callable[[Any], T], nothing: T) -> T:
        if not self._used:
            return nothing
        writer = self._ours()
        await self._done(Item(), _OPEN_SECONDS)
        try:
            return await asyncio.to_thread(self._asked, writer, ask)
        except DatabaseFailed as exc:
            raise LedgerUnreadable(f"The ledger cannot be read now. {exc}") from None

    def _asked(self, writer: Writer, ask: Callable[[Any], T]) -> T:
        writer.ready(_OPEN_SECONDS)
        return self._desk.read(ask)

    async def _done(self, item: Item, seconds: float) -> Any:
        """The item's result once it is done; None where that takes longer."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        item.waiter = waiter(future)
        self._ours().put(item)
        done, _ = await asyncio.wait([future], timeout=seconds)
        return future.result() if done else None


_LATE: Any = object()


def _too_late(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_result(_LATE)


def _last_words(writer: weakref.ref[Writer]) -> None:
    """At the end of the interpreter: what was added is written."""
    found = writer()
    if found is not None:
        found.stop(_OPEN_SECONDS)
