"""Where responses are: a database that is only ever encrypted on the disk. Refuses keys that are not 32 bytes.

Without a key of the caller's the database has a key of its own, which is nowhere but in this process, and a file
without a name: the system frees it when the process ends, however it ends.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from osaurus_nb import database
from osaurus_nb.config.paths import private_dir
from osaurus_nb.database import DatabaseFailed
from osaurus_nb.errors import OsaurusError

_KEY_BYTES = 32


class StoreFailed(OsaurusError):
    """The database cannot be opened, read or written; a full disk is the usual cause."""

    code = "store_failed"


@contextmanager
def told() -> Iterator[None]:
    """Faults of the library and the disk become StoreFailed. Their text may hold what was stored, so it is not kept."""
    try:
        with database.told():
            yield
    except DatabaseFailed as exc:
        if exc.fault == "missing":
            raise StoreFailed(
                "Responses are kept only with the package 'sqlcipher3', which is not installed."
            ) from None
        raise StoreFailed("The store of responses failed.") from None


def nameless(folder: Path) -> Any:
    """A database for this process alone. Two of them never meet."""
    file = private_dir(folder) / f".store-{secrets.token_hex(8)}"
    database.create(file)
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
    private_dir(file.parent)
    for _ in range(2):
        if not file.exists():
            database.create(file)
        try:
            with database.told():
                connection = _connect(file, key)
                connection.execute("PRAGMA journal_mode = WAL")
        except DatabaseFailed as exc:  # a wrong key and a damaged file look the same
            if exc.fault != "damaged":
                raise
            database.set_aside(file, "damaged")
        else:
            return connection
    raise StoreFailed("The store of responses cannot be opened.")


def _connect(file: Path, key: bytes) -> Any:
    if len(key) != _KEY_BYTES:
        raise ValueError("the key must be 32 bytes")
    connection = database.connect(file, key.hex())
    for setting in ("auto_vacuum = FULL", "temp_store = MEMORY", "synchronous = NORMAL"):
        connection.execute(f"PRAGMA {setting}")
    return connection
