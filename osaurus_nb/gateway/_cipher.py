"""The door to SQLCipher: a database that is only ever encrypted on the disk. Refuses keys that are not 32 bytes.

Without a key of the caller's the database has a key of its own, which is nowhere but in this process, and a file
without a name: the system frees it when the process ends, however it ends.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from osaurus_nb.config.paths import private_dir
from osaurus_nb.errors import OsaurusError

_KEY_BYTES = 32


class StoreFailed(OsaurusError):
    """The database cannot be opened, read or written; a full disk is the usual cause."""

    code = "store_failed"


@contextmanager
def told() -> Iterator[None]:
    """Faults of the library and the disk become StoreFailed. Their text may hold what was stored, so it is not kept."""
    library = _library()
    try:
        yield
    except (library.Error, OSError) as exc:
        raise StoreFailed(f"The store of responses failed ({type(exc).__name__}).") from None


def nameless(folder: Path) -> Any:
    """A database for this process alone. Two of them never meet."""
    file = private_dir(folder) / f".store-{secrets.token_hex(8)}"
    _create(file)
    try:
        connection = _connect(file, secrets.token_bytes(_KEY_BYTES))
        # Nobody else opens it and nothing of it outlives us, so that no journal need touch the disk.
        for setting in ("journal_mode = MEMORY", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
            connection.execute(f"PRAGMA {setting}")
        connection.execute("CREATE TABLE opened (at REAL)")  # the file is opened by the first write
    finally:
        file.unlink(missing_ok=True)
    return connection


def named(file: Path, key: bytes) -> Any:
    """The database at `file`, shared by processes with the same key. One that the key does not open is put aside."""
    library = _library()
    private_dir(file.parent)
    for _ in range(2):
        if not file.exists():
            _create(file)
        try:
            connection = _connect(file, key)
            connection.execute("PRAGMA journal_mode = WAL")
        except library.DatabaseError as exc:  # a wrong key and a damaged file look the same
            if isinstance(exc, library.OperationalError):  # busy, or a disk that cannot be written: nobody's damage
                raise
            _put_aside(file)
        else:
            return connection
    raise StoreFailed("The store of responses cannot be opened.")


def _connect(file: Path, key: bytes) -> Any:
    """A malformed key would be taken for a passphrase in silence, so that its form is ours to check."""
    if len(key) != _KEY_BYTES:
        raise ValueError("the key must be 32 bytes")
    connection = _library().connect(str(file), timeout=10.0, isolation_level=None)
    connection.execute("PRAGMA cipher_log_level = NONE")  # it writes to stderr, which notebooks show
    connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
    for setting in ("auto_vacuum = FULL", "temp_store = MEMORY", "synchronous = NORMAL"):
        connection.execute(f"PRAGMA {setting}")
    return connection


def _library() -> Any:
    try:
        import sqlcipher3  # type: ignore[import-untyped]  # noqa: PLC0415 - a heavy door, and it has no types
    except ImportError:
        raise StoreFailed("Responses are kept only with the package 'sqlcipher3', which is not installed.") from None
    return sqlcipher3


def _create(file: Path) -> None:
    """An empty file, 0600: its journals take its mode from it."""
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _put_aside(file: Path) -> None:
    aside = file.with_name(f"{file.name}.damaged-{int(time.time())}")
    for suffix in ("", "-wal", "-shm"):
        part = file.with_name(file.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
