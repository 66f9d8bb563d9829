"""What a command has to say, for whichever surface shows it. Holds no secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Told:
    """Sentences, a table, and below them what is to be noted: risks, next steps, what is wrong with a file.

    `faulty`: what was looked at is not in order, which a script should learn by the exit status.
    """

    lines: Sequence[str] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = ()
    faulty: bool = False
