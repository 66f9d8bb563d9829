"""The ledger as lines are written into it: one connection, inside a transaction that somebody else holds.

Refuses nothing but what a cap refuses: a second end of the same attempt is ignored and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from osaurus_nb.ledger.chain import GENESIS, link
from osaurus_nb.ledger.identifiers import identifier
from osaurus_nb.ledger.router import RouterTable
from osaurus_nb.ledger.schema import INSERT, SELECT, cleaned, entry_of, row
from osaurus_nb.models import ROUTER
from osaurus_nb.spending import UNKNOWN, Cap, Entry, Overrun

DAY = 86_400.0
_PASSING = ("request:", "run:")
_PASSING_SECONDS = 7 * DAY


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept: the newest `rows` calls, none older than `days`."""

    rows: int = 10_000
    days: float = 365


@dataclass(slots=True)
class _Head:
    seq: int = 0
    link: str = GENESIS
    trimmed: int = 0
    anchor: str = GENESIS
    ends: int = 0


class Book:
    """Belongs to who holds the transaction. `begin` first, `end` before the commit."""

    def __init__(self, connection: Any, writer: str, retention: Retention) -> None:
        self._db = connection
        self._writer = writer
        self._retention = retention
        self._router = RouterTable(connection)
        self._head = _Head()
        self.ignored = 0

    def begin(self) -> None:
        """Read how far it has come: another process may have written since."""
        found = self._db.execute("SELECT seq, link, trimmed, anchor, ends FROM head").fetchone()
        self._head = _Head(*found) if found else _Head()

    def end(self) -> None:
        head = self._head
        values = (head.seq, head.link, head.trimmed, head.anchor, head.ends)
        self._db.execute("INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?, ?, ?)", values)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """One operation: where it raises, nothing of it was written, and the transaction goes on."""
        before = replace(self._head)
        self._db.execute("SAVEPOINT one")
        try:
            yield
        except BaseException:
            self._head = before
            if self._db.in_transaction:  # a full disk has undone all of it already
                self._db.execute("ROLLBACK TO one")
            raise
        self._db.execute("RELEASE one")

    @property
    def last(self) -> tuple[int, str]:
        """Number and link of the last line."""
        return self._head.seq, self._head.link

    def open(self, entry: Entry, scopes: Mapping[str, int | None], *, forced: bool = False) -> Overrun | None:
        """Write an `open` line and set its reserve aside, unless a cap refuses. `forced`: it was sent already."""
        entry = cleaned(replace(entry, kind="open"))
        caps = {identifier(scope): limit for scope, limit in scopes.items()}
        if not forced and (over := self._over(entry, caps)):
            return over
        if not self._append(entry):
            self.ignored += 1
            return None
        place = (entry.step, entry.attempt)
        self._db.execute("INSERT INTO pending VALUES (?, ?, ?, ?)", (*place, self._head.seq, self._writer))
        for scope in caps:
            self._db.execute("INSERT INTO holds VALUES (?, ?, ?, ?)", (*place, scope, entry.reserved_micro))
            self._count(scope, 0, entry.reserved_micro, entry.at)
        return None

    def close(self, entry: Entry) -> bool:
        """Write a `settle` or `void` line; its reserve becomes what it cost. False where its end was written before.

        What nobody knows the cost of counts as what was set aside for it.
        """
        entry = cleaned(entry)
        if not self._append(entry):
            self.ignored += 1
            return not self._written(entry) and self._replayed(entry)
        self._head.ends += 1
        self._release(entry)
        if entry.kind == "settle" and entry.provider == ROUTER and entry.request_id:
            self._router.write(entry, self._retention.rows, entry.at - self._retention.days * DAY)
        return True

    def strike(self, step: str, now: float, attempt: int | None = None) -> int:
        """Void the open lines of a step that have no end, or that of one attempt."""
        found = self._db.execute(
            "SELECT seq FROM pending WHERE step = :step AND coalesce(:attempt, attempt) = attempt",
            {"step": identifier(step), "attempt": attempt},
        ).fetchall()
        opens = [line for (seq,) in found for line in self._lines(seq)]
        return sum(self.close(replace(line, kind="void", at=now, cost=UNKNOWN, reserved_micro=0)) for line in opens)

    def trim(self, now: float, alive: Callable[[str], bool], most: int = 64) -> int:
        """Drop lines at the old end, at most `most` of them, up to the first that is still under way."""
        oldest = now - self._retention.days * DAY
        spare = self._head.ends - self._retention.rows
        first = self._db.execute("SELECT at FROM entries ORDER BY seq LIMIT 1").fetchone()
        if first is None or (spare <= 0 and first[0] >= oldest):
            return 0
        gone = self._droppable(spare, oldest, alive, most)
        for seq, chain, step, attempt, ended in gone:
            self._head.trimmed, self._head.anchor = seq, chain
            self._head.ends -= ended
            if self._db.execute("DELETE FROM pending WHERE seq = ?", (seq,)).rowcount:
                self._let_go(step, attempt, now)
        self._db.execute("DELETE FROM entries WHERE seq <= ?", (self._head.trimmed,))
        self._db.execute(
            "DELETE FROM totals WHERE reserved = 0 AND scope IN"
            " (SELECT scope FROM totals WHERE expires < ? ORDER BY expires LIMIT ?)",
            (now, most),
        )
        return len(gone)

    def _append(self, entry: Entry) -> bool:
        """The next line of the chain; False where the same one was written before."""
        seq, before = self._head.seq + 1, self._head.link
        line = replace(entry, seq=seq, chain=link(before, entry))
        if not self._db.execute(INSERT, row(line)).rowcount:
            return False
        self._head.seq, self._head.link = seq, line.chain
        return True

    def _over(self, entry: Entry, caps: Mapping[str, int | None]) -> Overrun | None:
        limits = {scope: limit for scope, limit in caps.items() if limit is not None}
        needed = entry.reserved_micro
        for (scope, limit), (settled, reserved) in zip(limits.items(), spent(self._db, tuple(limits)), strict=True):
            if settled + reserved + needed > limit:
                return Overrun(Cap(scope, limit), settled, reserved, needed)
        return None

    def _count(self, scope: str, settled: int, reserved: int, at: float) -> None:
        expires = at + (_PASSING_SECONDS if scope.startswith(_PASSING) else self._retention.days * DAY)
        self._db.execute(
            "INSERT INTO totals VALUES (?, ?, ?, ?) ON CONFLICT (scope) DO UPDATE SET settled = settled +"
            " excluded.settled, reserved = reserved + excluded.reserved, expires = max(expires, excluded.expires)",
            (scope, settled, reserved, expires),
        )

    def _release(self, entry: Entry) -> None:
        """Its reserve becomes its cost. A void keeps the scopes: a settle that comes late still counts there."""
        place = (entry.step, entry.attempt)
        holds = self._db.execute("SELECT scope, reserved FROM holds WHERE step = ? AND attempt = ?", place).fetchall()
        for scope, reserved in holds:
            cost = 0 if entry.kind == "void" else reserved if entry.cost.micro is None else entry.cost.micro
            self._count(scope, cost, -reserved, entry.at)
        self._db.execute("DELETE FROM pending WHERE step = ? AND attempt = ?", place)
        change = "UPDATE holds SET reserved = 0" if entry.kind == "void" else "DELETE FROM holds"
        self._db.execute(f"{change} WHERE step = ? AND attempt = ?", place)

    def _let_go(self, step: str, attempt: int, now: float) -> None:
        """Of an open line that is trimmed: nobody will settle it any more."""
        place = (step, attempt)
        for scope, reserved in self._db.execute(
            "SELECT scope, reserved FROM holds WHERE step = ? AND attempt = ?", place
        ).fetchall():
            self._count(scope, 0, -reserved, now)
        self._db.execute("DELETE FROM holds WHERE step = ? AND attempt = ?", place)

    def _written(self, entry: Entry) -> bool:
        found = self._db.execute(
            "SELECT 1 FROM entries WHERE step = ? AND attempt = ? AND kind = ?",
            (entry.step, entry.attempt, entry.kind),
        )
        return found.fetchone() is not None

    def _replayed(self, entry: Entry) -> bool:
        """The charge stands in the ledger already, under its key: this attempt was the same one again."""
        return self.close(replace(entry, kind="void", idempotency=None, cost=UNKNOWN))

    def _lines(self, seq: int) -> Sequence[Entry]:
        return [entry_of(found) for found in self._db.execute(f"{SELECT} WHERE seq = ?", (seq,))]

    def _droppable(
        self, spare: int, oldest: float, alive: Callable[[str], bool], most: int
    ) -> list[tuple[int, str, str, int, bool]]:
        gone: list[tuple[int, str, str, int, bool]] = []
        for seq, chain, kind, step, attempt, at, writer in self._db.execute(
            "SELECT entries.seq, chain, kind, entries.step, entries.attempt, at, writer FROM entries"
            " LEFT JOIN pending ON pending.seq = entries.seq ORDER BY entries.seq LIMIT ?",
            (most,),
        ):
            ended = kind != "open"
            if (spare <= 0 and at >= oldest) or (writer is not None and alive(writer)):
                break
            spare -= ended
            gone.append((seq, chain, step, attempt, ended))
        return gone


def spent(connection: Any, scopes: Sequence[str]) -> list[tuple[int, int]]:
    """What was settled and what is reserved under each scope."""
    found = connection.execute(
        f"SELECT scope, settled, reserved FROM totals WHERE scope IN ({', '.join('?' * len(scopes))})",  # noqa: S608
        tuple(scopes),
    )
    known = {scope: (settled, reserved) for scope, settled, reserved in found}
    return [known.get(scope, (0, 0)) for scope in scopes]


def holds(connection: Any) -> dict[tuple[str, int], dict[str, int]]:
    """What is set aside, by attempt and scope."""
    found: dict[tuple[str, int], dict[str, int]] = {}
    for step, attempt, scope, reserved in connection.execute("SELECT step, attempt, scope, reserved FROM holds"):
        found.setdefault((step, attempt), {})[scope] = reserved
    return found
