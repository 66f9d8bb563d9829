"""Why a model was chosen, for a person: an explanation that shows itself. Pure; nothing in it can run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from osaurus_nb import _markup
from osaurus_nb.models import ROUTER
from osaurus_nb.routes import Explanation, Ranked

#: So many models are shown of each kind, and so many reasons of each model; all of them are in it.
_RANKED, _REJECTED, _TERMS = 8, 12, 4


class Explained(Explanation):
    """An explanation as a small table: who would answer and why, who may not and what would change that."""

    __slots__ = ()

    @classmethod
    def of(cls, explanation: Explanation) -> Explained:
        """The same, showing itself."""
        return cls(**{field.name: getattr(explanation, field.name) for field in fields(explanation)})

    def __repr__(self) -> str:
        chosen = ", ".join(row.model for row in self.chosen) or "nobody"
        return f"<Explanation of '{self.asked}': {chosen}; {len(self.rejected)} rejected>"

    def __str__(self) -> str:
        return "\n".join(part for part in (self._head, *(table["text/plain"] for table in self._tables()), *self.notes))

    @property
    def by(self) -> str | None:
        """The profile that chose, as it is asked for; None where a model was simply named."""
        return f"{ROUTER}/{self.profile}" if self.profile is not None else None

    @property
    def notes(self) -> Sequence[str]:
        """What is to be known beside the table."""
        said = [self.sticky and f"The conversation {self.sticky}", self.exploring and "The first one is tried out."]
        return (*(text.rstrip(".") + "." for text in said if text), *self.warnings)

    @property
    def _head(self) -> str:
        """Who would answer, and what was seen in the question."""
        first = f"'{self.chosen[0].model}' answers" if self.chosen else "Nobody may answer"
        if self.by is None:
            return f"{first}: it was named."
        intent = f"{self.intent} or {self.second}" if self.second else self.intent
        seen = [f"mode {self.mode}", f"intent {intent} ({self.confidence:.0%})", f"complexity {self.complexity}"]
        if self.needs:
            seen.append(f"needs {', '.join(_need(name, value) for name, value in self.needs.items())}")
        return f"{first} by {self.by} · {' · '.join(seen)}"

    def _tables(self) -> Iterator[dict[str, str]]:
        if self.ranked:
            rows = [
                (str(at + 1) if at < self.chain else "", row.model, f"{row.score:.2f}" if row.terms else "", _why(row))
                for at, row in enumerate(self.ranked[: max(_RANKED, self.chain)])
            ]
            more = len(self.ranked) - len(rows)
            yield _markup.table(("", "model", "score", "mostly for"), rows, footer=f"and {more} more" if more else "")
        if self.rejected:
            rejected = [(row.model, row.reason, row.remedy) for row in self.rejected[:_REJECTED]]
            more = len(self.rejected) - len(rejected)
            head = ("may not answer", "because", "what would admit it")
            yield _markup.table(head, rejected, footer=f"and {more} more" if more else "")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Plain text, and the same with tables."""
        head = _markup.callout(self._head, kind="note")["text/html"]
        notes = [_markup.callout(note, kind="note")["text/html"] for note in self.notes]
        tables = [table["text/html"] for table in self._tables()]
        return {"text/plain": str(self), "text/html": "".join((head, *tables, *notes))}


def _why(row: Ranked) -> str:
    """The terms that counted most, for it or against it."""
    counted = sorted((term for term in row.terms if term.points), key=lambda term: -abs(term.points))
    return ", ".join(f"{term.name.replace('_', ' ')} {term.points:+.2f}" for term in counted[:_TERMS])


def _need(name: str, value: object) -> str:
    plain = name.replace("_", " ")
    return plain if value is True else f"{plain} {value:,}" if isinstance(value, int | float) else f"{plain} {value}"
