"""Stored responses as rows. Belongs to one thread; knows no dialect: bodies and items are JSON with an `id`.

A row holds what one request added and what was answered; the conversation is the row and those it goes on from. A row
that nobody may see any more stays, without its head, while one that goes on from it is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from osaurus_nb.errors import OsaurusError
from osaurus_nb.gateway._cipher import told

Items = Sequence[Mapping[str, Any]]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS response (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE, owner TEXT, kept INTEGER, expires REAL, parent INTEGER, size INTEGER,
    status TEXT, head BLOB, input BLOB, output BLOB);
CREATE INDEX IF NOT EXISTS response_kept ON response (kept, expires);
CREATE INDEX IF NOT EXISTS response_parent ON response (parent);
CREATE TABLE IF NOT EXISTS total (bytes INTEGER, count INTEGER);
INSERT INTO total SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM total);
CREATE TRIGGER IF NOT EXISTS response_added AFTER INSERT ON response BEGIN
    UPDATE total SET bytes = bytes + new.size, count = count + new.kept;
END;
CREATE TRIGGER IF NOT EXISTS response_changed AFTER UPDATE ON response BEGIN
    UPDATE total SET bytes = bytes + new.size - old.size, count = count + new.kept - old.kept;
END;
CREATE TRIGGER IF NOT EXISTS response_deleted AFTER DELETE ON response BEGIN
    UPDATE total SET bytes = bytes - old.size, count = count - old.kept;
END;
CREATE TABLE IF NOT EXISTS item (id TEXT, response INTEGER, PRIMARY KEY (id, response)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS item_response ON item (response);
"""
#: A row and those it goes on from, oldest first.
_CHAIN = """
WITH RECURSIVE chain (number, parent, size, input, output, depth) AS (
    SELECT number, parent, size, input, output, 0 FROM response WHERE number = ?
    UNION ALL
    SELECT r.number, r.parent, r.size, r.input, r.output, depth + 1
    FROM response r JOIN chain ON r.number = chain.parent)
SELECT {columns} FROM chain ORDER BY depth DESC
"""


class NotKept(OsaurusError):
    """It cannot be kept: alone it is more than the store may hold, or what it goes on from is gone."""

    code = "not_stored"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a response is kept, in seconds, and how much is kept at most. The oldest go first, whosever they are."""

    ttl: float = 24 * 60 * 60.0
    count: int = 10_000
    bytes: int = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True, repr=False)
class Row:
    """One response to be kept: its body without the output, what its request added, what was answered."""

    id: str
    head: Mapping[str, Any]
    input: Items
    output: Items
    previous: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Conversation:
    """All that was said up to the end of a response, and how that one ended."""

    status: str
    before: Items
    output: Items

    @property
    def items(self) -> Items:
        return [*self.before, *self.output]


class Shelf:
    """The rows of one database. Every question says who asks and when."""

    def __init__(self, connection: Any, bounds: Bounds) -> None:
        self._db = connection
        self._bounds = bounds
        with told():
            connection.executescript(_SCHEMA)

    def put(self, owner: str, row: Row, now: float) -> None:
        """Keep it. Raises NotKept or StoreFailed; then nothing has changed."""
        head, given, made = (_json(part) for part in (row.head, row.input, row.output))
        size = len(head) + len(given) + len(made)
        with self._change(now):
            parent = self._number(owner, row.previous) if row.previous is not None else None
            if row.previous is not None and parent is None:
                raise NotKept("The response that this one goes on from is gone.")
            if size + self._weight(parent) > self._bounds.bytes:
                raise NotKept(f"The conversation is larger than the {self._bounds.bytes} bytes kept here.")
            values = (row.id, owner, now + self._bounds.ttl, parent, size, row.head.get("status"), head, given, made)
            added = self._db.execute(
                "INSERT INTO response (id, owner, kept, expires, parent, size, status, head, input, output)"
                " VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?)",
                values,
            ).lastrowid
            ids = [(item["id"], added) for item in (*row.input, *row.output) if item.get("id")]
            self._db.executemany("INSERT OR IGNORE INTO item VALUES (?, ?)", ids)
            self._trim()

    def body(self, owner: str, id: str, now: float) -> bytes | None:
        """The response as JSON."""
        with self._change(now):
            found = self._db.execute(
                "SELECT head, output FROM response WHERE id = ? AND owner = ? AND kept", (id, owner)
            ).fetchone()
        return b'%s,"output":%s}' % (found[0][:-1], found[1]) if found else None

    def conversation(self, owner: str, id: str, now: float) -> Conversation | None:
        with self._change(now):
            number = self._number(owner, id)
            if number is None:
                return None
            [(status,)] = self._db.execute("SELECT status FROM response WHERE number = ?", (number,))
            rows = self._db.execute(_CHAIN.format(columns="input, output"), (number,)).fetchall()
        *older, last = [(json.loads(given), json.loads(made)) for given, made in rows]
        before = [item for given, made in older for item in (*given, *made)]
        return Conversation(status, [*before, *last[0]], last[1])

    def items(self, owner: str, ids: Iterable[str], now: float) -> dict[str, Mapping[str, Any]]:
        """The latest stored items of these ids; those that are not here are left out."""
        with self._change(now):
            found = ((id, self._item(owner, id)) for id in dict.fromkeys(ids))
            return {id: item for id, item in found if item is not None}

    def forget(self, owner: str, id: str, now: float) -> bool:
        """Keep it no longer. False when there is none."""
        with self._change(now):
            number = self._number(owner, id)
            if number is not None:
                self._hide("number = ?", number)
        return number is not None

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _change(self, now: float) -> Iterator[None]:
        """One transaction. What has expired is gone before anything else is asked."""
        with told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._hide("kept = 1 AND expires <= ?", now)
                yield
            except BaseException:
                if self._db.in_transaction:  # a full disk has undone it already
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _number(self, owner: str, id: str) -> int | None:
        found = self._db.execute("SELECT number FROM response WHERE id = ? AND owner = ? AND kept", (id, owner))
        row = found.fetchone()
        return row[0] if row else None

    def _weight(self, number: int | None) -> int:
        """Bytes of a row with those it goes on from."""
        sizes = self._db.execute(_CHAIN.format(columns="size"), (number,))
        return sum(size for (size,) in sizes)

    def _item(self, owner: str, id: str) -> Mapping[str, Any] | None:
        row = self._db.execute(
            "SELECT input, output FROM item JOIN response ON number = response"
            " WHERE item.id = ? AND owner = ? AND kept ORDER BY number DESC",
            (id, owner),
        ).fetchone()
        items = (item for part in row or () for item in json.loads(part))
        return next((item for item in items if item.get("id") == id), None)

    def _trim(self) -> None:
        """Within the bounds again. The newest fits by itself, so that this ends before it."""
        while True:
            [(weight, count)] = self._db.execute("SELECT bytes, count FROM total")
            if weight <= self._bounds.bytes and count <= self._bounds.count:
                return
            self._hide("number = (SELECT number FROM response WHERE kept = 1 ORDER BY expires, number LIMIT 1)")

    def _hide(self, which: str, *values: Any) -> None:
        """Nobody sees these rows any more; what nothing goes on from is deleted, up along the conversation."""
        hidden = self._db.execute(
            f"UPDATE response SET kept = 0, id = NULL, size = size - length(head), head = '' WHERE {which}",  # noqa: S608 - our own words
            values,
        ).rowcount
        while hidden:
            unused = "kept = 0 AND NOT EXISTS (SELECT 1 FROM response child WHERE child.parent = response.number)"
            self._db.execute(f"DELETE FROM item WHERE response IN (SELECT number FROM response WHERE {unused})")  # noqa: S608
            hidden = self._db.execute(f"DELETE FROM response WHERE {unused}").rowcount  # noqa: S608


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
