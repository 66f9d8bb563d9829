"""Typed questions about one subject, answered with probabilities instead of prose. Values only.

Every question comes down to a closed list of options; an answer is one probability for each of them.
`repr` shows names and sizes, never what was asked or answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from osaurus_nb import _markup
from osaurus_nb.events import Warned
from osaurus_nb.messages import Media, Opaque, Text
from osaurus_nb.models import Usage
from osaurus_nb.spending import Cost


@dataclass(frozen=True, slots=True)
class Option:
    """One possible answer: what it is called, and what it means where the name does not say it."""

    value: str | bool = field(repr=False)
    description: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Predicate:
    """Is it so? Its two options are True and False, in this order."""

    name: str
    instructions: str = field(repr=False)
    true: str | None = field(default=None, repr=False)
    false: str | None = field(default=None, repr=False)

    @property
    def options(self) -> tuple[Option, ...]:
        return (Option(True, self.true), Option(False, self.false))


@dataclass(frozen=True, slots=True)
class Choice:
    """Which one of these?"""

    name: str
    instructions: str = field(repr=False)
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """How much? The options are levels, lowest first; level i counts i."""

    name: str
    instructions: str = field(repr=False)
    options: tuple[Option, ...]


Question = Predicate | Choice | Score
#: What a choice or a score is made of: names, with or without what they mean.
Options = Sequence[str | Option] | Mapping[str, str | None]


def predicate(instructions: str, *, true: str | None = None, false: str | None = None) -> Predicate:
    """A question whose answer is yes or no; `true` and `false` say what that means here."""
    return Predicate("", instructions, true, false)


def choice(instructions: str, options: Options) -> Choice:
    """A question with one of `options` as its answer, e.g. `choice("What is it about?", ["billing", "bug"])`."""
    return Choice("", instructions, _options(options))


def score(instructions: str, levels: Options) -> Score:
    """A question of degree, e.g. `score("How angry is it?", ["calm", "annoyed", "furious"])`, lowest level first."""
    return Score("", instructions, _options(levels))


def _options(given: Options) -> tuple[Option, ...]:
    if isinstance(given, Mapping):
        return tuple(Option(name, description) for name, description in given.items())
    return tuple(option if isinstance(option, Option) else Option(option) for option in given)


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """Questions about one subject, put to one model. Each is answered by itself; a name may be empty, never twice."""

    model: str
    subject: tuple[Text | Media, ...]
    questions: tuple[Question, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)
    provider_metadata: Opaque | None = None

    def __repr__(self) -> str:
        return f"DecisionRequest({self.model!r}, {len(self.questions)} questions)"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one question: a probability for each option, in their order; they sum to 1.

    `calibrated` is False where no probabilities could be read and the model was only asked for its pick: that option
    has 1, the others 0, and nothing is said of how sure the model was. `refused` says why there is no answer; then
    `probabilities` is empty.
    """

    question: Question
    probabilities: tuple[float, ...] = field(repr=False)
    calibrated: bool = True
    refused: str | None = None

    @property
    def pick(self) -> int:
        """The position of the likeliest option; the first of equals. A refusal has none: ValueError."""
        return max(range(len(self.probabilities)), key=self.probabilities.__getitem__)

    @property
    def value(self) -> str | bool | None:
        """What the likeliest option is called; None for a refusal."""
        return None if self.refused is not None else self.question.options[self.pick].value

    @property
    def confidence(self) -> float:
        """The probability of the pick; 0 where there is no pick, or nothing is known of how sure the model was."""
        return max(self.probabilities) if self.calibrated and self.refused is None else 0.0

    @property
    def expected(self) -> float:
        """The mean level of a score."""
        return sum(level * probability for level, probability in enumerate(self.probabilities))

    @property
    def by_option(self) -> Mapping[str | bool, float]:
        """Each option's probability; nothing for a refusal."""
        options = self.question.options if self.refused is None else ()
        return {option.value: p for option, p in zip(options, self.probabilities, strict=True)}


@dataclass(frozen=True, slots=True)
class Decisions:
    """One verdict for each question, in the order asked. `decisions["name"]` is the one of that name."""

    provider: str
    model: str
    verdicts: tuple[Verdict, ...]
    usage: Usage | None = None
    warnings: tuple[Warned, ...] = ()
    #: None where nobody meters.
    cost: Cost | None = None

    def __getitem__(self, name: str) -> Verdict:
        for verdict in self.verdicts:
            if verdict.question.name == name:
                return verdict
        raise KeyError(name)

    def __repr__(self) -> str:
        return f"<Decisions {self.provider}: {self.model}, {len(self.verdicts)} verdicts>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """A table of names, answers and their probabilities, in which nothing can run or load."""
        rows = [[_markup.printable(cell) for cell in _row(verdict)] for verdict in self.verdicts]
        notices = (warning.message for warning in self.warnings)
        footer = " · ".join([f"{self.provider}: {self.model}", *notices])
        return _markup.table(("question", "answer", "probability"), rows, footer=_markup.printable(footer))


def _row(verdict: Verdict) -> tuple[str, str, str]:
    name = verdict.question.name
    if verdict.refused is not None:
        return name, "refused", verdict.refused
    answer = str(verdict.value)
    if isinstance(verdict.question, Score):
        answer += f" ({verdict.expected:.2f} of {len(verdict.probabilities) - 1})"
    return name, answer, f"{verdict.confidence:.1%}" if verdict.calibrated else "not known"
