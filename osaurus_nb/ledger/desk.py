"""The open ledger: the writer's connection with its transactions, and the readers' beside it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, TypeVar

from osaurus_nb import database
from osaurus_nb.config.files import locked
from osaurus_nb.database import DatabaseFailed
from osaurus_nb.ledger.book import Book, Retention
from osaurus_nb.ledger.liveness import Liveness
from osaurus_nb.ledger.opening import Opened, Opener

LOG = logging.getLogger(__name__)
T = TypeVar("T")
_REMEMBER_EVERY = 500


class Desk:
    """`open`, `transaction`, `check` and `close` belong to the writer's thread; `read` is anybody's."""

    def __init__(self, opener: Opener, retention: Retention) -> None:
        self._opener = opener
        self._retention = retention
        self._opened: Opened | None = None
        self._book: Book | None = None
        self._reader: Any = None
        self._reading = threading.Lock()
        self._liveness = Liveness(None)
        self._unremembered = 0
        self._ignored = 0
        self.notices: list[str] = []
        #: Read it whole when it is opened next.
        self.suspect = False

    @property
    def opened(self) -> Opened | None:
        return self._opened

    @property
    def ignored(self) -> int:
        """How many lines were written before, and came again."""
        return self._ignored + (self._book.ignored if self._book is not None else 0)

    def alive(self, writer: str) -> bool:
        return self._liveness.alive(writer)

    def open(self, *, suspect: bool = False) -> None:
        """Open the ledger, or what has taken its place. What is in memory stays: it is all there is of it."""
        if self._opened is not None and self._opened.file is None:
            return
        self._leave()
        opened, self.suspect = self._opener.open(suspect=suspect or self.suspect), False
        for told in opened.notices:
            if told not in self.notices:
                self.notices.append(told)
                LOG.log(logging.INFO if opened.file is None else logging.WARNING, "%s", told)
        if opened.file is not None:
            self._liveness = self._held()
        with self._reading:
            self._opened = opened
        self._ignored = self.ignored
        self._book = Book(opened.connection, self._liveness.id, self._retention)

    @contextmanager
    def transaction(self, now: float) -> Iterator[Book]:
        """What is written in it is on the disk afterwards, or nothing of it. Raises DatabaseFailed."""
        with database.told(), self._current() as (opened, book):
            with self._committed(opened.connection):
                book.begin()
                before, _ = book.last
                yield book
                book.trim(now, self.alive)
                book.end()
            self._unremembered += book.last[0] - before
            if self._unremembered >= _REMEMBER_EVERY:
                self._remember()

    def read(self, ask: Callable[[Any], T]) -> T:
        """What `ask` finds on a connection that cannot write. Raises DatabaseFailed."""
        with self._reading, database.told():
            if self._opened is None:
                raise DatabaseFailed("The ledger is not open.")
            if self._opened.file is None:
                return ask(self._opened.connection)
            try:
                self._reader = self._reader or self._opened.another()
                return ask(self._reader)
            except BaseException:
                self._reader = None
                raise

    def check(self) -> None:
        """Read all of it; what is damaged is put aside and told. Raises DatabaseFailed."""
        opened = self._opened
        if opened is None or opened.file is None:
            return
        with self._alone():
            intact = self._opener.intact(opened)
        if not intact:
            self.open(suspect=True)
        self._liveness.sweep()

    def close(self) -> None:
        """Let go of the file. What is in memory stays."""
        if self._opened is None or self._opened.file is None:
            return
        with suppress(DatabaseFailed), database.told(), self._alone():
            self._remember()
        self._leave()
        self._liveness.release()
        self._liveness = Liveness(None)

    @contextmanager
    def _current(self) -> Iterator[tuple[Opened, Book]]:
        """The lock is held, and the file is the one that is open."""
        while True:
            opened, book = self._ready()
            with self._alone():
                if not opened.replaced:
                    yield opened, book
                    return

    def _ready(self) -> tuple[Opened, Book]:
        if self._opened is not None and self._opened.replaced and self._book is not None:
            self._opener.forget_place(self._opened, *self._book.last)
            self.open()
        if self._opened is None:
            self.open()
        assert self._opened is not None
        assert self._book is not None
        return self._opened, self._book

    def _alone(self) -> AbstractContextManager[object]:
        """Between processes by the lock file; in memory, between the writer and the readers."""
        kept = self._opened is None or self._opened.file is not None
        return locked(self._opener.file) if kept else self._reading

    @contextmanager
    def _committed(self, db: Any) -> Iterator[None]:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # a full disk has undone it already
                db.execute("ROLLBACK")
            raise

    def _remember(self) -> None:
        if self._book is not None:
            self._book.begin()
            self._opener.remember(*self._book.last)
            self._unremembered = 0

    def _held(self) -> Liveness:
        if self._liveness.lasting:
            return self._liveness
        try:
            return Liveness(self._opener.folder / "writers")
        except OSError:
            return self._liveness

    def _leave(self) -> None:
        with self._reading, suppress(DatabaseFailed), database.told():
            reader, opened, self._reader, self._opened = self._reader, self._opened, None, None
            if reader is not None:
                reader.close()
            if opened is not None:
                opened.connection.close()
