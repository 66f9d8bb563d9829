"""Who of those that wrote open lines is still alive: each writer holds a lock on a file of its own for its life.

The system lets go of the lock when the process ends, however it ends.
"""

from __future__ import annotations

import os
import uuid
import weakref
from contextlib import suppress
from pathlib import Path

from osaurus_nb.config.paths import private_dir

try:
    import fcntl
except ImportError:  # Windows: of other processes nobody knows
    fcntl = None  # type: ignore[assignment]


class Liveness:
    """One writer. With no folder only this one is known."""

    def __init__(self, folder: Path | None) -> None:
        self.id = uuid.uuid4().hex
        self._folder = folder if fcntl is not None else None
        self._held: int | None = None
        if self._folder is not None:
            self._held = _hold(private_dir(self._folder), self.id)
            mine = weakref.ref(self)
            # A forked child shares the lock with its parent, and would make it look alive after its end.
            os.register_at_fork(after_in_child=lambda: _leave(mine()))

    @property
    def lasting(self) -> bool:
        """Do other processes know of it?"""
        return self._folder is not None

    def alive(self, writer: str) -> bool:
        if writer == self.id:
            return True
        return self._folder is not None and _held_by_somebody(self._folder / f"{writer}.lock")

    def sweep(self) -> None:
        """Remove the files of writers that are gone."""
        if self._folder is not None:
            for file in self._folder.glob("*.lock"):
                self.alive(file.stem)

    def release(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            if self._folder is not None:
                (self._folder / f"{self.id}.lock").unlink(missing_ok=True)
            os.close(held)


def _hold(folder: Path, id: str) -> int:
    """Nobody sees the file before it is locked."""
    draft = folder / f".{id}"
    held = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    draft.rename(folder / f"{id}.lock")
    return held


def _held_by_somebody(file: Path) -> bool:
    """A file that nobody holds is removed."""
    try:
        found = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        with suppress(OSError):
            file.unlink(missing_ok=True)
        return False
    finally:
        os.close(found)


def _leave(liveness: Liveness | None) -> None:
    """In the child: the lock is the parent's."""
    if liveness is not None and liveness._held is not None:
        os.close(liveness._held)
        liveness._held = None
