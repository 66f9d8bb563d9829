"""How much the calls of a block, or of one question, may spend together. Counts no tokens: the meter keeps the cap."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable
from contextlib import suppress
from contextvars import ContextVar
from decimal import Decimal
from functools import lru_cache
from typing import Literal, Self

from osaurus_nb import money
from osaurus_nb.events import Warned
from osaurus_nb.spending import Cap, Cost

#: What an amount of US dollars may be written as: "$0.50", 0.5, Decimal("0.5").
Amount = str | float | Decimal


class Budget:
    """`with osaurus.budget("$0.50") as b:` - no call inside is made that could take the block past it.

    It holds for everything that the block calls and awaits, tasks included; inside another one both hold. Entered
    again, it goes on where it was. A thread that the block starts is outside, as Python's contexts are not handed to
    threads, and the first answer there warns of it. Enter the block in the thread as well:

        def ask(text):
            with b:
                return client.chat(text)

        pool.map(ask, texts)
    """

    def __init__(self, amount: Amount, *, kind: Literal["budget", "question"] = "budget") -> None:
        param = "max_cost" if kind == "question" else None
        self._cap = Cap(f"{kind}:{uuid.uuid4().hex[:12]}", money.parse(amount, param))
        self._spent = 0
        self._lock = threading.Lock()
        self._warned = False

    @property
    def cap(self) -> Cap:
        """As each call inside carries it."""
        return self._cap

    @property
    def limit(self) -> Decimal:
        """In US dollars."""
        return _dollars(self._cap.limit_micro)

    @property
    def spent(self) -> Decimal:
        """In US dollars, by the calls inside that have ended, in this process.

        What still runs counts under the cap all the same, where it is kept.
        """
        return _dollars(self._spent)

    @property
    def left(self) -> Decimal:
        """In US dollars; never less than nothing."""
        return _dollars(max(self._cap.limit_micro - self._spent, 0))

    def add(self, cost: Cost) -> None:
        """A call inside ended, and cost this."""
        with self._lock:  # calls end in several threads
            self._spent += cost.micro or 0

    def __enter__(self) -> Self:
        _open.set((*_open.get(), self))
        _blocks().append(self)
        return self

    def __exit__(self, *_: object) -> None:
        inside = list(_open.get())
        with suppress(ValueError):  # once: the block around this one may be of the same budget
            inside.remove(self)
        _open.set(tuple(inside))
        with suppress(ValueError):
            _blocks().remove(self)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()

    def warn(self) -> bool:
        """A call came from a thread that is not inside. Is that to be told? The first time it is."""
        with self._lock:
            first, self._warned = not self._warned, True
        return first

    def __repr__(self) -> str:
        return f"<Budget {money.row(self._spent)} of {money.full(self._cap.limit_micro)} spent>"


_open: ContextVar[tuple[Budget, ...]] = ContextVar("osaurus_budgets", default=())


@lru_cache(maxsize=1)
def _blocks() -> list[Budget]:
    """Those that somebody in this process is inside of."""
    return []


def budget(amount: Amount) -> Budget:
    """A cap for a block: `with osaurus.budget("$0.50") as b:`. Raises RequestError for what is no amount."""
    return Budget(amount)


def holding(max_cost: Amount | None = None) -> tuple[Budget, ...]:
    """Those that hold for a question that is asked here and now, and one for itself if it has a `max_cost`."""
    around = tuple(dict.fromkeys(_open.get()))  # one that is entered twice counts once
    return around if max_cost is None else (*around, Budget(max_cost, kind="question"))


def astray() -> tuple[Warned, ...]:
    """A warning, once for each block, where a question comes from a thread that a block started and that is outside."""
    blocks = tuple(_blocks()) if _open.get(None) is None else ()
    first = [block.warn() for block in blocks]  # all of them: each is told of once
    if not any(first):
        return ()
    said = "This thread is not inside the budget that is open elsewhere: enter it there too, `with b:` in the thread."
    return (Warned("outside_budget", said),)


def count(budgets: Iterable[Budget], cost: Cost | None) -> None:
    """A call under these ended, and cost this; None where nobody meters."""
    if cost is not None:
        for budget in budgets:
            budget.add(cost)


def _dollars(micro: int) -> Decimal:
    return Decimal(micro) / 1_000_000
