"""Faults on purpose for the calls of a block, so that you can prove your own ladder. Breaks nothing that is real."""

from __future__ import annotations

import uuid
from contextvars import ContextVar
from typing import Self

from osaurus_nb.trouble import Rehearsal, Trouble, together


class Chaos:
    """`with osaurus.chaos("lab down after 20 tokens"):` - for every call inside, it is as if that happened.

    It holds for everything that the block calls and awaits, tasks included; inside another one both hold. Breakers open
    as they would in earnest, but only for this block: nobody's real record is touched. Every answer carries a warning
    that says so. A thread that the block starts is not inside, unless it runs in a copy of its context.
    """

    def __init__(self, *faults: str) -> None:
        self.troubles = together(faults)
        self._id = uuid.uuid4().hex[:12]

    def __enter__(self) -> Self:
        _open.set((*_open.get(), self))
        return self

    def __exit__(self, *_: object) -> None:
        _open.set(tuple(block for block in _open.get() if block is not self))

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()

    def __repr__(self) -> str:
        return f"<Chaos: {'; '.join(map(str, self.troubles))}>"

    @property
    def id(self) -> str:
        """Of this block, for all calls inside."""
        return self._id


_open: ContextVar[tuple[Chaos, ...]] = ContextVar("osaurus_chaos", default=())


def chaos(*faults: str) -> Chaos:
    """Faults on purpose for a block: `with osaurus.chaos("provider down after 20 tokens"):`.

    Raises RequestError, saying what can be written, for what is no fault.
    """
    return Chaos(*faults)


def holding() -> Rehearsal | None:
    """What holds for a question that is asked here and now; the innermost block's faults go first."""
    blocks = _open.get()
    if not blocks:
        return None
    troubles: list[Trouble] = [trouble for block in reversed(blocks) for trouble in block.troubles]
    return Rehearsal("-".join(block.id for block in blocks[-4:]), tuple(troubles))
