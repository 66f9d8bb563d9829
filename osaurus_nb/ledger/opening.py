"""Finding the ledger's file and opening it: what it is, is found out before it is touched, and nothing is overwritten.

A file of ours that is damaged or whose key is lost gets another name and a new one is started; a stranger's stays, and
a sibling is used. Where nothing can be kept, the ledger is in memory and says so.
"""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from osaurus_nb import database
from osaurus_nb.config.files import locked
from osaurus_nb.config.paths import Paths, private_dir
from osaurus_nb.database import DatabaseFailed
from osaurus_nb.errors import ConfigError
from osaurus_nb.ledger import notices, schema
from osaurus_nb.ledger.mark import Mark
from osaurus_nb.ledger.setup import Sums, durable, furnish, intact, leave_gap, reaches, sums
from osaurus_nb.ledger.volume import shared
from osaurus_nb.secrets.slots import Slots
from osaurus_nb.secrets.values import Head

State = Literal["encrypted", "plaintext", "memory"]
OWNER = "ledger"
#: Faults that are worth waiting for; with any other the ledger is in memory.
_PASSING = ("busy", "full", "failed")


@dataclass(frozen=True, slots=True, repr=False)
class Opened:
    """The ledger, open. `connection` is the writer's; a reader gets its own with `another`."""

    state: State
    connection: Any
    file: Path | None = None
    key: str | None = None
    inode: int | None = None
    id: str = ""
    notices: tuple[str, ...] = ()

    def another(self) -> Any:
        """A connection that only reads. In memory there is but one."""
        if self.file is None:
            return self.connection
        connection = database.connect(self.file, self.key)
        for setting in ("query_only = ON", "temp_store = MEMORY", "cache_size = -16000"):
            connection.execute(f"PRAGMA {setting}")
        return connection

    @property
    def replaced(self) -> bool:
        """Is there another file now under its name, or none?"""
        return self.file is not None and _inode(self.file) != self.inode


class Opener:
    """Opens the ledger of one home. Belongs to the writer's thread: it may wait for the user to unlock the vault."""

    def __init__(self, paths: Paths, slots: Slots | None) -> None:
        self.folder = paths.home / "billing"
        self.file = self.folder / "ledger.sqlite"
        self._sibling = self.folder / "ledger-nb.sqlite"
        self._slots = slots
        self._notices: list[str] = []

    @property
    def exists(self) -> bool:
        """Is there a ledger, or was there one?"""
        return any(file.exists() or Mark.path(file).exists() for file in (self.file, self._sibling))

    @property
    def kept(self) -> bool:
        """Might it be kept, as far as is known before it is opened?"""
        return self._slots is not None

    def open(self, *, suspect: bool = False) -> Opened:
        """`suspect`: it failed before, so that it is read whole. Raises DatabaseFailed for what may pass by itself."""
        self._notices = []
        if self._slots is None:
            return self._in_memory(notices.UNKEPT)
        try:
            with database.told():
                key = self._slots.key(OWNER).hex()
                private_dir(self.folder)
                with suppress(OSError):
                    self.folder.chmod(0o700)
                with locked(self.file):
                    return self._find(key, suspect)
        except ConfigError as exc:
            return self._in_memory(notices.no_key(exc))
        except DatabaseFailed as exc:
            if exc.fault in _PASSING:
                raise
            return self._in_memory(notices.FAULTS[exc.fault])

    def migrate(self) -> bool:
        """Encrypt a ledger in clear; False where there is none. Nobody of this process may have it open.

        The file in clear is overwritten by name only: what the disk keeps of it is not ours to reach.
        """
        if self._slots is None or not self.file.exists() or not database.plain(self.file):
            return False
        with database.told(), locked(self.file):
            key = self._slots.key(OWNER).hex()
            draft = self.file.with_name(f".{self.file.name}.{uuid.uuid4().hex}")
            try:
                self._export(draft, key)
                draft.replace(self.file)
            finally:
                draft.unlink(missing_ok=True)
        return True

    def forget_place(self, opened: Opened, seq: int, link: str) -> None:
        """Its file was replaced: if not by a new ledger, then what was written into it must still be there."""
        mark = Mark.read(opened.file) if opened.file is not None else None
        if mark is not None and mark.id == opened.id:
            self.remember(seq, link)

    def intact(self, opened: Opened) -> bool:
        """Read all of it. True also where somebody else is at it. To be asked under the lock."""
        try:
            with database.told():
                return intact(opened.connection, encrypted=opened.key is not None)
        except DatabaseFailed as exc:
            if exc.fault != "damaged":
                raise
            return False

    def remember(self, seq: int, link: str) -> None:
        """Tell the vault how far the ledger has come. To be asked under the lock."""
        if self._slots is not None and seq:
            with suppress(ConfigError, OSError):
                self._slots.advance(OWNER, Head(seq, link))

    def _find(self, key: str, suspect: bool) -> Opened:
        database.library()
        moved = self._sibling.exists() and not self.file.exists()
        for file in (self._sibling,) if moved else (self.file, self._sibling):
            opened = self._open(file, key, suspect)
            if opened is not None and not self._checked(opened):  # what is read first is broken
                opened = self._open(file, key, True)
            if opened is not None:
                return replace(opened, notices=tuple(self._notices))
        return self._in_memory(notices.NO_PLACE)

    def _open(self, file: Path, key: str, suspect: bool) -> Opened | None:
        """None for a stranger's file."""
        mark = Mark.read(file)
        size = file.stat().st_size if file.exists() else None
        saved: Sums = []
        if not size:
            if mark is not None:
                self._notices.append(notices.gone(file, emptied=size is not None))
            if size is not None:
                database.set_aside(file, "damaged")
            return self._made(file, key)
        opened = self._tried(file, key, mark) or self._tried(file, None, mark)
        if opened is not None and suspect and not self.intact(opened):
            saved = sums(opened.connection)
            opened.connection.close()
            mark = Mark.of("", opened.key)
            opened = None
        if opened is None:
            if mark is None:
                self._notices.append(notices.stranger(file))
                return None
            lost = not mark.fits(key) and not mark.plain
            aside = database.set_aside(file, "locked" if lost else "damaged")
            self._notices.append(notices.key_lost(aside) if lost else notices.damaged(aside))
            return self._made(file, key, saved)
        return opened

    def _export(self, draft: Path, key: str) -> None:
        connection = database.library().connect(str(self.file), isolation_level=None)
        try:
            [(version,)] = connection.execute("PRAGMA user_version")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.create(draft)
            connection.execute(f"ATTACH DATABASE ? AS closed KEY \"x'{key}'\"", (str(draft),))
            connection.execute("SELECT sqlcipher_export('closed')")
            connection.execute(f"PRAGMA closed.user_version = {int(version)}")
            connection.execute("DETACH DATABASE closed")
        finally:
            connection.close()

    def _tried(self, file: Path, key: str | None, mark: Mark | None) -> Opened | None:
        """None where it is no database with this key. Raises DatabaseFailed where it cannot be told."""
        if key is None and not database.plain(file):
            return None
        connection = database.connect(file, key)
        try:
            with database.told():
                tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
                if mark is not None and "meta" not in tables:
                    raise DatabaseFailed("It is empty.", "damaged")
                self._settled(connection, file, tables)
                found = connection.execute("SELECT value FROM meta WHERE name = 'id'").fetchone()
        except DatabaseFailed as exc:
            connection.close()
            if exc.fault == "damaged":
                return None
            raise
        if mark is None or mark != Mark.of(found[0], key):
            Mark.of(found[0], key).write(file)
        return Opened("encrypted" if key else "plaintext", connection, file, key, _inode(file), found[0])

    def _made(self, file: Path, key: str, saved: Sums | None = None) -> Opened:
        """A new ledger, which goes on from what the vault remembers of the one before, so that caps hold on."""
        database.create(file)
        connection = database.connect(file, key)
        self._settled(connection, file, set())
        with suppress(ConfigError):
            if (head := self._head()) is not None:
                values = (head.count, head.digest, head.count, head.digest)
                connection.execute("INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?, ?, 0)", values)
        connection.executemany("INSERT INTO totals VALUES (?, ?, ?, ?)", saved or ())
        [(id,)] = connection.execute("SELECT value FROM meta WHERE name = 'id'")
        Mark.of(id, key).write(file)
        return Opened("encrypted", connection, file, key, _inode(file), id)

    def _settled(self, connection: Any, file: Path, tables: set[str]) -> None:
        """Set it up as we use it, with its tables. Raises DatabaseFailed `newer` where a newer version wrote it."""
        [(version,)] = connection.execute("PRAGMA user_version")
        ours = (
            connection.execute("SELECT value FROM meta WHERE name = 'version'").fetchone() if "meta" in tables else None
        )
        if version > schema.APP_VERSION or (ours is not None and int(ours[0]) > schema.VERSION):
            raise DatabaseFailed("A newer version wrote it.", "newer")
        durable(connection, wal=not shared(file))
        if ours is None:
            furnish(connection, router="router_billing" not in tables)

    def _checked(self, opened: Opened) -> bool:
        """Tell where the line that the vault remembers is not in it. False where that cannot be read for damage."""
        try:
            with suppress(ConfigError), database.told():
                head = self._head()
                if head is not None and not reaches(opened.connection, head):
                    self._notices.append(notices.ROLLED_BACK)
                    leave_gap(opened.connection, head)
        except DatabaseFailed as exc:
            opened.connection.close()
            if exc.fault != "damaged":
                raise
            return False
        return True

    def _head(self) -> Head | None:
        return None if self._slots is None else self._slots.head(OWNER)

    def _in_memory(self, why: str) -> Opened:
        return in_memory((*self._notices, why))


def in_memory(told: tuple[str, ...] = ()) -> Opened:
    """A ledger that lasts as long as this process."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    furnish(connection, router=True)
    return Opened("memory", connection, notices=told)


def _inode(file: Path) -> int | None:
    try:
        return file.stat().st_ino
    except OSError:
        return None
