"""Tells how far a long job is: a bar on a terminal, a line for each stage elsewhere. Goes to stderr only."""

from __future__ import annotations

import sys
from typing import Protocol, TextIO

_WIDTH = 24


class Progress(Protocol):
    """Called often: the stage in a few words, and how much of it is done; `total` is 0 when nobody knows."""

    def __call__(self, stage: str, done: int, total: int, /) -> None: ...


class Lines:
    """The default `Progress`."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._stage = ""
        self._shown = -1

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        if self._stream.isatty():
            self._draw(stage, 100 * min(done, total) // total if total else 0)
        elif stage != self._stage:
            self._stream.write(f"{stage}\n")
        self._stage = stage
        self._stream.flush()

    def _draw(self, stage: str, percent: int) -> None:
        if (stage, percent) == (self._stage, self._shown):
            return
        if self._stage not in ("", stage) and self._shown < 100:
            self._stream.write("\n")
        bar = ("=" * (_WIDTH * percent // 100)).ljust(_WIDTH)
        self._stream.write(f"\r{stage:<32.32} [{bar}] {percent:3d} %" + ("\n" if percent == 100 else ""))
        self._shown = percent
