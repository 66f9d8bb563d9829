"""Where a question comes from: this process, its notebook, the cell that runs. Ids alone; asks nobody.

A surface that knows of cells tells how to find the one that runs; without one there are none.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from osaurus_nb.ledger.identifiers import identifier
from osaurus_nb.spending import Origin

#: What a Jupyter server tells its kernels: the path of the notebook.
_NOTEBOOK = "JPY_SESSION_NAME"


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a cell. `cell` is its id, where the front end tells it."""

    id: str
    cell: str | None = None


#: The execution on whose behalf the caller runs; None where there is none.
Finder = Callable[[], Run | None]


class Process:
    """What all questions of one process have in common, and who knows of its cells."""

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        self.session = uuid.uuid4().hex[:12]
        notebook = env.get(_NOTEBOOK)
        self.notebook = identifier(notebook) if notebook else None
        self._finders: tuple[Finder, ...] = ()

    def add(self, finder: Finder) -> None:
        """Ask this one first from now on."""
        self._finders = (finder, *self._finders)

    def remove(self, finder: Finder) -> None:
        """Ask it no more."""
        self._finders = tuple(kept for kept in self._finders if kept != finder)

    def origin(self) -> Origin:
        """Of whoever calls: his own cell in a thread of a subshell, in an async cell, and on the portal's loop."""
        run = next((found for finder in self._finders if (found := finder()) is not None), None)
        if run is None:
            return Origin(self.session, self.notebook)
        return Origin(self.session, self.notebook, run.cell, run.id)


@lru_cache(maxsize=1)
def process() -> Process:
    """This process."""
    return Process()


def current() -> Origin:
    """Where a question that is asked here and now comes from."""
    return process().origin()


@lru_cache(maxsize=256)  # a cell may ask a thousand times
def run_of(request: str, cell: str | None) -> Run:
    """The execution that this request began: a short id for it, and the cell's as it may be stored."""
    return Run(hashlib.sha256(request.encode()).hexdigest()[:16], identifier(cell) if cell else None)


if hasattr(os, "register_at_fork"):  # a child is a process of its own
    os.register_at_fork(after_in_child=process.cache_clear)
