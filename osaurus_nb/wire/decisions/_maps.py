"""Answers by name, as System One and Google write them, and the keys that options have in them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, assert_never

from osaurus_nb.decisions import Choice, Decisions, Option, Predicate, Question, Score, Verdict
from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.models import ModelCard
from osaurus_nb.wire.decisions import _shared as shared

#: How sure a verdict is, from 0 to 1, or None for a kind that has no such key. Each vendor has a measure of its own.
Sure = Callable[[Verdict], float | None]


def answers(decisions: Decisions, sure: Sure) -> dict[str, dict[str, Any]]:
    """One answer for each name. A refused question has none; our own key says why."""
    names = shared.keys([verdict.question for verdict in decisions.verdicts])
    both = zip(names, decisions.verdicts, strict=True)
    return {name: _answer(verdict, sure(verdict)) for name, verdict in both if verdict.refused is None}


def _answer(verdict: Verdict, confidence: float | None) -> dict[str, Any]:
    question, mark = verdict.question, shared.mark(verdict)
    sure = {} if confidence is None else {"confidence": confidence}
    match question:
        case Predicate():
            return {"type": "noul", "noul": verdict.probabilities[0], **sure, **mark}
        case Choice():
            names = options(question.options)
            rows = dict(zip(names, verdict.probabilities, strict=True))
            said = {"choice": names[verdict.pick], "probabilities": rows, **sure}
            return {"type": "choice", **said, **mark}
        case Score():
            legend = {str(at): level(option) for at, option in enumerate(question.options)}
            rows = {str(at): p for at, p in enumerate(verdict.probabilities)}
            said = {"score": verdict.expected, "legend": legend, "probabilities": rows, **sure}
            return {"type": "score", **said, **mark}
        case _:
            assert_never(question)


def verdicts(found: Any, questions: Sequence[Question], card: ModelCard, refused: Any = None) -> tuple[Verdict, ...]:
    """The verdicts in the order asked. A question without an answer was refused; `refused` may say why, by name."""
    if not isinstance(found, Mapping):
        raise shared.bad(card)
    reasons = refused if isinstance(refused, Mapping) else {}
    named = zip(shared.keys(questions), questions, strict=True)
    return tuple(
        _verdict(question, found[name], card) if name in found else shared.refusal(question, reasons.get(name))
        for name, question in named
    )


def _verdict(question: Question, answer: Any, card: ModelCard) -> Verdict:
    if not isinstance(answer, Mapping):
        raise shared.bad(card)
    return Verdict(question, _probabilities(question, answer, card), shared.is_calibrated(answer))


def _probabilities(question: Question, answer: Mapping[str, Any], card: ModelCard) -> tuple[float, ...]:
    if isinstance(question, Predicate):
        true = answer.get("noul")
        if not isinstance(true, int | float) or not shared.is_probability(true):
            raise shared.bad(card)
        return (float(true), 1.0 - true)
    rows = answer.get("probabilities")
    if not isinstance(rows, Mapping):
        raise shared.bad(card)
    is_score = isinstance(question, Score)
    names = [str(at) for at in range(len(question.options))] if is_score else options(question.options)
    return shared.distribution((rows.get(name) for name in names), card)


def options(given: Sequence[Option]) -> list[str]:
    """The names of a choice's options. Booleans are words here, so both must not stand beside such a word."""
    names = [option.value if isinstance(option.value, str) else str(option.value).lower() for option in given]
    if len(set(names)) < len(names):
        raise Unsupported("This dialect has no booleans beside strings of the same name.", param="questions")
    return names


def level(option: Option) -> str:
    """One level of a score in words."""
    return f"{option.value}: {option.description}" if option.description else str(option.value)


def named(name: str) -> str:
    if not name:
        raise RequestError("'questions': a question needs a name.", param="questions")
    return name
