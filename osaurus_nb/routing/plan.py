"""The candidates for one request, in the order in which they may be asked. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from osaurus_nb.models import ModelCard
from osaurus_nb.ports import Adapter
from osaurus_nb.routes import Explanation, Label


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may answer, and the code that asks it."""

    card: ModelCard
    adapter: Adapter


@dataclass(frozen=True, slots=True)
class Plan:
    """Who is asked, first to last. `asked` is the name that the caller wrote; `why` is told where it is a profile's."""

    asked: str
    candidates: tuple[Candidate, ...]
    why: Explanation | None = None

    @property
    def label(self) -> Label:
        """What kind of work it is, where that was looked at."""
        return self.why.intent if self.why is not None else "unknown"


def chain(asked: str, candidates: Iterable[Candidate]) -> Plan:
    """The named model and then the caller's own fallbacks, each model once."""
    unique = {candidate.card.name: candidate for candidate in candidates}
    return Plan(asked, tuple(unique.values()))
