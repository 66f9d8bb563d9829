"""A connection to the ledger, set up as we use it, and what it says of itself. Knows neither files nor keys."""

from __future__ import annotations

import sys
import uuid
from typing import Any

from osaurus_nb import database
from osaurus_nb.database import DatabaseFailed
from osaurus_nb.ledger import schema
from osaurus_nb.secrets.values import Head

#: Scope, settled, reserved, and when it is forgotten.
Sums = list[tuple[str, int, int, float]]


def durable(connection: Any, *, wal: bool = True) -> str:
    """What is committed stays, though the power fails. The journal's mode that the file system allows."""
    [(mode,)] = connection.execute(f"PRAGMA journal_mode = {'WAL' if wal else 'TRUNCATE'}")
    if wal and mode != "wal":  # it needs memory that processes share, which network file systems lack
        [(mode,)] = connection.execute("PRAGMA journal_mode = TRUNCATE")
    settings = ["synchronous = FULL", "temp_store = MEMORY"]
    if sys.platform == "darwin":  # its fsync alone does not reach the disk
        settings += ["fullfsync = ON", "checkpoint_fullfsync = ON"]
    for setting in settings:
        connection.execute(f"PRAGMA {setting}")
    return str(mode)


def furnish(connection: Any, *, router: bool) -> None:
    """Make our tables; `router`: the app's as well, with its version."""
    version = f"PRAGMA user_version = {schema.APP_VERSION};" if router else ""
    connection.executescript(f"BEGIN IMMEDIATE;{schema.ROUTER if router else ''}{schema.OURS}{version}COMMIT;")
    values = [("id", uuid.uuid4().hex), ("version", str(schema.VERSION))]
    connection.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", values)


def intact(connection: Any, *, encrypted: bool) -> bool:
    """Read all of it. True also where somebody else is at it."""
    [(busy, *_)] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    if busy:
        return True
    if encrypted:  # after a crash it raises false alarms until there was a checkpoint
        return not connection.execute("PRAGMA cipher_integrity_check").fetchall()
    return bool(connection.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)])


def sums(connection: Any) -> Sums:
    """Of a damaged ledger, as far as they can be read. What was under way counts as spent: its end finds no place."""
    try:
        with database.told():
            found = connection.execute("SELECT scope, settled + reserved, 0, expires FROM totals").fetchall()
            return [(scope, settled, reserved, expires) for scope, settled, reserved, expires in found]
    except DatabaseFailed:
        return []


def reaches(connection: Any, head: Head) -> bool:
    """Is it in the chain, or before what was trimmed, or known to be lost?"""
    found = connection.execute("SELECT seq, link, trimmed FROM head").fetchone()
    if found is None or found[0] < head.count:
        return False
    lost = connection.execute("SELECT value FROM meta WHERE name = 'gap'").fetchone()
    if head.count <= found[2] or lost == (f"{head.count} {head.digest}",):
        return True
    line = connection.execute("SELECT chain FROM entries WHERE seq = ?", (head.count,)).fetchone()
    return bool(line == (head.digest,))


def leave_gap(connection: Any, head: Head) -> None:
    """Lines are numbered on from the lost one, so that the vault can remember the next."""
    connection.execute("UPDATE head SET seq = max(seq, ?)", (head.count,))
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('gap', ?)", (f"{head.count} {head.digest}",))
