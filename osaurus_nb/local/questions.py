"""Typed questions in words that any language model can answer with one short label. Pure.

The subject leads, so that all questions about it begin alike and it is read once. Text only: media are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from osaurus_nb.decisions import DecisionRequest, Option, Predicate, Question, Score
from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.messages import Media, Part, Reasoning, Text, ToolCall, ToolResult


@dataclass(frozen=True, slots=True, repr=False)
class Sheet:
    """One question as the model reads it, and the label of each option, in their order."""

    text: str
    labels: tuple[str, ...]


def subject(request: DecisionRequest) -> str:
    """What the questions are about. Raises Unsupported for media, RequestError where there is nothing to ask."""
    if not request.questions:
        raise RequestError("There is no question to decide.", param="questions")
    for question in request.questions:
        if not question.options:
            raise RequestError(f"The question {question.name!r} has no options.", param="questions")
    return "\n\n".join(filter(None, _words(request.subject)))


def sheet(about: str, question: Question) -> Sheet:
    """One question about the subject, with a label for each of its options."""
    labels = _labels(question)
    kind = "letter" if labels[0].isalpha() else "number"
    lines = [f"{label}: {_meaning(option)}" for label, option in zip(labels, question.options, strict=True)]
    match question:
        case Predicate():
            lines = _criteria(question)
            lead, how = "Is the following true?", "Answer with Yes or No only."
        case Score():
            lead, how = (
                "Which level fits best? They go from the lowest to the highest.",
                f"Answer with its {kind} only.",
            )
        case _:
            lead, how = "Which of these is right?", f"Answer with its {kind} only."
    asked = "\n".join((question.instructions, *lines))
    return Sheet("\n\n".join(filter(None, (about, lead, asked, how))), labels)


def _labels(question: Question) -> tuple[str, ...]:
    """Short, all of one length where they are many: so none is the beginning of another."""
    count = len(question.options)
    if isinstance(question, Predicate):
        return ("Yes", "No")
    if count <= len(ascii_uppercase):
        return tuple(ascii_uppercase[:count])
    return tuple(str(number).zfill(len(str(count))) for number in range(1, count + 1))


def _criteria(question: Predicate) -> list[str]:
    told = (("Yes", question.true), ("No", question.false))
    return [f"{label}: {meaning}" for label, meaning in told if meaning]


def _meaning(option: Option) -> str:
    value = option.value if isinstance(option.value, str) else str(option.value).lower()
    return f"{value} ({option.description})" if option.description else value


def _words(parts: Iterable[Part]) -> Sequence[str]:
    found = []
    for part in parts:
        match part:
            case Text() | Reasoning():
                found.append(part.text)
            case ToolCall():
                found.append(f"{part.name}({part.arguments})")
            case ToolResult():
                found.extend(_words(part.parts))
            case Media():
                words = f"Local models decide about text only; the subject holds an {part.kind} part."
                raise Unsupported(words, param="input")
    return found
