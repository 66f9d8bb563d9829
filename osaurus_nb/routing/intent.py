"""What a turn is about and how much work it is. Pure: it asks no model, opens no connection, keeps no text.

A log-linear model over the named features of `intent_features`; its weights (`intent_weights.json`) are learned from
labelled prompts by `benchmarks/intent/learn.py`. Every judgement can be taken apart: `reasons` names what spoke for it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from osaurus_nb.messages import Media, Message
from osaurus_nb.request import ChatRequest
from osaurus_nb.routing.intent_features import clip, features

Label = Literal["code", "chat", "reasoning", "creative", "refactor", "documentation", "unknown"]
Complexity = Literal["low", "medium", "high", "unknown"]

LABELS: tuple[Label, ...] = ("code", "chat", "reasoning", "creative", "refactor", "documentation", "unknown")
LEVELS: tuple[Complexity, ...] = ("low", "medium", "high")

#: Below this a first label is a guess, and `unknown` is said instead.
_UNSURE = 0.3
#: How much what was said before counts beside a turn that is clear by itself, and beside one that says nothing.
_EARLIER_CLEAR, _EARLIER_VAGUE, _SYSTEM = 0.1, 0.9, 0.08
#: Characters read of each of the two turns before, and of the instructions.
_EARLIER, _INSTRUCTIONS = 300, 300
#: Words in the names of tools that are offered for work on files.
_WORKSHOP = frozenset({"edit", "patch", "bash", "shell", "terminal", "grep", "write", "file", "files", "git", "lint"})


@dataclass(frozen=True, slots=True)
class Intent:
    """What is wanted, with the next best guess, and how much work it is. Confidences are probabilities."""

    label: Label
    confidence: float
    second: Label
    second_confidence: float
    complexity: Complexity
    complexity_confidence: float


@dataclass(frozen=True, slots=True)
class _Weights:
    """For each feature a weight of every label and, after those, of every level; what scores are divided by."""

    rows: Mapping[str, tuple[float, ...]]
    label_heat: float
    level_heat: float


def classify(asked: str | ChatRequest) -> Intent:
    """The intent of a text, or of a request's last user turn; instructions and turns before it count a little."""
    return _judged(*(_of_text(asked) if isinstance(asked, str) else _of_request(asked)))


def reasons(text: str, label: Label | None = None, *, limit: int = 8) -> Sequence[tuple[str, float]]:
    """The features that spoke most for a label (by default the one chosen) against the mean of all, best first."""
    place = LABELS.index(label or classify(text).label)
    rows = ((name, _weights().rows.get(name)) for name in features(text))
    spoke = [(name, row[place] - sum(row[: len(LABELS)]) / len(LABELS)) for name, row in rows if row is not None]
    return sorted(spoke, key=lambda each: -each[1])[:limit]


def _judged(labels: Sequence[float], levels: Sequence[float]) -> Intent:
    shares = _softmax(labels)
    first, second = sorted(range(len(LABELS)), key=lambda each: (-shares[each], each))[:2]
    if shares[first] < _UNSURE and LABELS[first] != "unknown":
        first, second = LABELS.index("unknown"), first
    work = _softmax(levels)
    most = work.index(max(work))
    known = LABELS[first] != "unknown"
    return Intent(
        label=LABELS[first],
        confidence=shares[first],
        second=LABELS[second],
        second_confidence=shares[second],
        complexity=LEVELS[most] if known else "unknown",
        complexity_confidence=work[most] if known else shares[first],
    )


def _of_text(text: str) -> tuple[list[float], list[float]]:
    """The scores of all labels and of all levels."""
    weights = _weights()
    totals = list(map(sum, zip(*filter(None, map(weights.rows.get, features(text))), strict=True)))
    return (
        [score / weights.label_heat for score in totals[: len(LABELS)]],
        [score / weights.level_heat for score in totals[len(LABELS) :]],
    )


def _of_request(request: ChatRequest) -> tuple[list[float], list[float]]:
    turn, before = _turns(request.messages)
    labels, levels = _of_text("\n".join(message.text for message in turn))
    vague = _softmax(labels)[-1]
    if any(isinstance(part, Media) for message in turn for part in message.parts):
        labels[-1] -= 2.0  # something is attached: the turn is about that
    if before:
        earlier = "\n".join(clip(message.text, _EARLIER // 2, _EARLIER // 2) for message in before)
        labels = _leaning(labels, earlier, _EARLIER_CLEAR + (_EARLIER_VAGUE - _EARLIER_CLEAR) * vague)
    instructions = "\n".join(message.text for message in request.messages if message.role in {"system", "developer"})
    if instructions:
        labels = _leaning(labels, instructions[:_INSTRUCTIONS], _SYSTEM)
    if _offers_workshop(request):
        labels[0] += 0.5
    return labels, levels


def _turns(messages: Sequence[Message]) -> tuple[Sequence[Message], Sequence[Message]]:
    """The user's last turn, all of its messages, and the two of the user's messages before it."""
    spoken = [place for place, message in enumerate(messages) if message.role == "user"]
    if not spoken:
        return (), ()
    start = len(spoken) - 1
    while start and spoken[start - 1] == spoken[start] - 1:
        start -= 1
    return [messages[place] for place in spoken[start:]], [
        messages[place] for place in spoken[max(0, start - 2) : start]
    ]


def _leaning(labels: Sequence[float], text: str, weight: float) -> list[float]:
    """The scores, drawn towards what another text is about, if it is about anything; the less unknown for it."""
    shares = _softmax(_of_text(text)[0])
    if shares[-1] > 0.5:
        return list(labels)
    drawn = [score + weight * max(math.log(share + 1e-9), -5.0) for score, share in zip(labels, shares, strict=True)]
    return [*drawn[:-1], drawn[-1] - weight * 5.0]


def _offers_workshop(request: ChatRequest) -> bool:
    """Whether tools for work on files are offered, as an agent that writes code does."""
    names = (name.replace("-", "_").casefold() for name in (tool.name for tool in request.tools[:64]))
    return sum(not _WORKSHOP.isdisjoint(name.split("_")) for name in names) >= 2


def _softmax(scores: Sequence[float]) -> list[float]:
    top = max(scores)
    grown = [math.exp(score - top) for score in scores]
    total = sum(grown)
    return [each / total for each in grown]


@cache
def _weights() -> _Weights:
    """Read once, at the first question. The file holds hundredths, rows of labels and of levels apart."""
    table = json.loads((files(__package__) / "intent_weights.json").read_bytes())
    if (tuple(table["labels"]), tuple(table["levels"])) != (LABELS, LEVELS):
        raise ValueError("intent_weights.json is of another version; make it anew with benchmarks/intent/learn.py")
    labels, levels = table["label_weights"], table["level_weights"]
    nothing = [0] * len(LABELS), [0] * len(LEVELS)
    rows = {
        name: tuple(value / 100 for value in (*labels.get(name, nothing[0]), *levels.get(name, nothing[1])))
        for name in (*labels, *levels)
    }
    return _Weights(rows, table["label_heat"], table["level_heat"])
