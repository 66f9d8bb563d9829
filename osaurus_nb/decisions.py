"""Typed questions about one subject, answered with probabilities instead of prose. Values only.

Every question comes down to a closed list of options; an answer is one probability for each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from osaurus_nb.events import Warned
from osaurus_nb.messages import Opaque, Part
from osaurus_nb.models import Usage


@dataclass(frozen=True, slots=True)
class Option:
    """One possible answer: what it is called, and what it means where the name does not say it."""

    value: str | bool
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Predicate:
    """Is it so? Its two options are True and False, in this order."""

    name: str
    instructions: str
    true: str | None = None
    false: str | None = None

    @property
    def options(self) -> tuple[Option, ...]:
        return (Option(True, self.true), Option(False, self.false))


@dataclass(frozen=True, slots=True)
class Choice:
    """Which one of these?"""

    name: str
    instructions: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """How much? The options are levels, lowest first; level i counts i."""

    name: str
    instructions: str
    options: tuple[Option, ...]


Question = Predicate | Choice | Score


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """Questions about one subject, put to one model. Each is answered by itself."""

    model: str
    subject: tuple[Part, ...]
    questions: tuple[Question, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)
    provider_metadata: Opaque | None = None

    def __repr__(self) -> str:
        return f"DecisionRequest({self.model!r}, {len(self.questions)} questions)"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one question: a probability for each option, in their order; they sum to 1.

    `calibrated` is False where no probabilities could be read and the model was only asked for its pick.
    `refused` says why there is no answer; then `probabilities` is empty.
    """

    question: Question
    probabilities: tuple[float, ...]
    calibrated: bool = True
    refused: str | None = None

    @property
    def pick(self) -> int:
        """The position of the likeliest option; the first of equals."""
        return max(range(len(self.probabilities)), key=self.probabilities.__getitem__)

    @property
    def expected(self) -> float:
        """The mean level of a score."""
        return sum(level * probability for level, probability in enumerate(self.probabilities))


@dataclass(frozen=True, slots=True)
class Decisions:
    """One verdict for each question, in the order asked."""

    provider: str
    model: str
    verdicts: tuple[Verdict, ...]
    usage: Usage | None = None
    warnings: tuple[Warned, ...] = ()
