"""The one door to SQLCipher. Refuses keys of another form than ours, and keeps what a fault says to itself.

A malformed key would be taken for a passphrase in silence, and the text of a fault may hold what was stored.
"""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from osaurus_nb.errors import OsaurusError

#: `busy`: somebody else has it. `full`: no room. `readonly`: it may not be written. `damaged`: it is no database, or
#: not with this key. `newer`: a newer version wrote it. `missing`: no SQLCipher. `failed`: anything else.
Fault = Literal["busy", "full", "readonly", "damaged", "newer", "missing", "failed"]

_KEY = re.compile(r"[0-9a-f]{64}")
_PLAIN = b"SQLite format 3\0"
_FAULTS: dict[int, Fault] = {
    5: "busy",
    6: "busy",
    8: "readonly",
    11: "damaged",
    13: "full",
    14: "readonly",  # it cannot be opened: a folder that may not be written, usually
    26: "damaged",
}
_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EPERM, errno.EACCES, errno.EROFS)
_BUSY_SECONDS = 5.0


class DatabaseFailed(OsaurusError):
    """A database cannot be opened, read or written. `fault` says why, as far as it can be told."""

    code = "database_failed"

    def __init__(self, message: str, fault: Fault = "failed") -> None:
        super().__init__(message)
        self.fault = fault


def connect(file: Path | str, key: str | None) -> Any:
    """A connection for any thread, one at a time, without transactions of its own making.

    `key` is 64 hex digits, or None for a file in clear. A wrong key is noticed when the file is first read.
    """
    if key is None:
        return sqlite3.connect(str(file), timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    if _KEY.fullmatch(key) is None:
        raise ValueError("the key of a database must be 64 hex digits")
    connection = library().connect(str(file), timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA cipher_log_level = NONE")  # it writes to stderr, which notebooks show
    connection.execute(f"PRAGMA key = \"x'{key}'\"")
    return connection


@contextmanager
def told() -> Iterator[None]:
    """Faults of the libraries and of the disk become DatabaseFailed."""
    try:
        yield
    except _faults() as exc:
        raise DatabaseFailed(f"The database failed ({type(exc).__name__}).", _fault(exc)) from None


def library() -> Any:
    """SQLCipher's module. Raises DatabaseFailed where it is not installed."""
    found = _library()
    if found is None:
        raise DatabaseFailed("The package 'sqlcipher3' is not installed.", "missing")
    return found


def create(file: Path) -> None:
    """An empty file, 0600: its journals take its mode from it. Raises FileExistsError."""
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def plain(file: Path) -> bool:
    """Does it begin like a database in clear? Not to be asked while this process has it open: its locks would go."""
    with file.open("rb") as opened:
        return opened.read(len(_PLAIN)) == _PLAIN


def set_aside(file: Path, why: str, now: datetime | None = None) -> Path:
    """Give the file and its journals another name, `<file>.<why>-<time>`, and return it. Nothing is overwritten."""
    stamp = f"{now or datetime.now(UTC):%Y%m%dT%H%M%S}"
    names = (
        file.with_name(f"{file.name}.{why}-{stamp}{suffix}") for suffix in ("", *(f".{n}" for n in range(1, 1000)))
    )
    aside = next(name for name in names if not name.exists())
    for suffix in ("", "-wal", "-shm", "-journal"):
        part = file.with_name(file.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


@cache
def _library() -> Any:
    try:
        import sqlcipher3  # type: ignore[import-untyped]  # noqa: PLC0415 - a heavy door, and it has no types
    except ImportError:
        return None
    return sqlcipher3


def _faults() -> tuple[type[BaseException], ...]:
    found = _library()
    return (sqlite3.Error, OSError) if found is None else (sqlite3.Error, OSError, found.Error)


def _fault(exc: BaseException) -> Fault:
    """By SQLite's own number, or the system's."""
    if isinstance(exc, OSError):
        return "full" if exc.errno in _FULL else "readonly" if exc.errno in _CLOSED else "failed"
    return _FAULTS.get(getattr(exc, "sqlite_errorcode", 0) & 0xFF, "failed")
