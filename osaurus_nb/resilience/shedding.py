"""How many questions are let in at once; the rest is told at once when to come again. Pure: it wakes nobody by itself.

match door.ask(now):
    case Overloaded(retry_after=seconds): ...   # 503 with Retry-After
    case Ticket() as ticket: ...                # goes when `ticket.inside`; `leave` says who goes next
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

SHORTEST, LONGEST = 1.0, 60.0
#: How much the last question weighs in what one is expected to take.
WEIGHT = 0.2


@dataclass(frozen=True, slots=True)
class Overloaded:
    """Come again after so many seconds."""

    retry_after: float


@dataclass(slots=True, eq=False)
class Ticket:
    """One question that was let in, to work or to wait. `since` is when it began to do that."""

    inside: bool
    since: float


class Door:
    """At most `inside` questions under way, and `waiting` behind them, first come, first served.

    `now` is a second of a monotonic clock. Every ticket is given back by `leave`, whatever became of it.
    """

    def __init__(self, *, inside: int, waiting: int) -> None:
        if inside < 1 or waiting < 0:
            raise ValueError("a door lets at least one in, and none or more wait")
        self._most_inside = inside
        self._most_waiting = waiting
        self._inside: set[Ticket] = set()
        self._waiting: OrderedDict[Ticket, None] = OrderedDict()
        self._takes: float | None = None

    @property
    def inside(self) -> int:
        return len(self._inside)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def ask(self, now: float) -> Ticket | Overloaded:
        """A ticket, unless as many wait already as may."""
        if len(self._inside) < self._most_inside:
            ticket = Ticket(True, now)
            self._inside.add(ticket)
            return ticket
        if len(self._waiting) >= self._most_waiting:
            return Overloaded(self._until_free())
        ticket = Ticket(False, now)
        self._waiting[ticket] = None
        return ticket

    def leave(self, ticket: Ticket, now: float) -> Ticket | None:
        """Done, or given up. Who may go now in its place; None where that is nobody. Only the first call counts."""
        if ticket not in self._inside:
            self._waiting.pop(ticket, None)
            return None
        self._inside.remove(ticket)
        self._learn(now - ticket.since)
        if not self._waiting:
            return None
        following, _ = self._waiting.popitem(last=False)
        following.inside, following.since = True, now
        self._inside.add(following)
        return following

    def _learn(self, took: float) -> None:
        self._takes = took if self._takes is None else self._takes + WEIGHT * (took - self._takes)

    def _until_free(self) -> float:
        """Until all that wait now have gone in, at the pace of late."""
        takes = SHORTEST if self._takes is None else self._takes
        return min(max(takes * (len(self._waiting) + 1) / self._most_inside, SHORTEST), LONGEST)
