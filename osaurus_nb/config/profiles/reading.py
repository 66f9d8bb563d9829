"""What a file of profiles says. Values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from osaurus_nb.routes import Profile


@dataclass(frozen=True, slots=True)
class Reading:
    """`profiles` are those that are right; `faulty` has a sentence for each that is not, by its name.

    Of a text that is not `sound` somebody has to repair something. One that is `damaged` does not even tell which
    names are in it.
    """

    profiles: Sequence[Profile] = ()
    problems: Sequence[str] = ()
    faulty: Mapping[str, str] = field(default_factory=dict)
    damaged: str | None = None

    @property
    def sound(self) -> bool:
        return not self.problems
