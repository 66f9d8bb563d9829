"""The labelled prompts, and their two halves by a hash of the text: one to learn from, one to be judged by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

PROMPTS = Path(__file__).parent / "prompts.jsonl"
#: The share of strings of four letters from which on two prompts are nearly the same.
ALIKE = 0.6


@dataclass(frozen=True, slots=True)
class Labelled:
    """One prompt and what a person says that it is. `hard` ones have words that point elsewhere."""

    text: str
    label: str
    complexity: str
    language: str
    hard: bool

    @property
    def held_out(self) -> bool:
        """Whether it is never learned from."""
        return hashlib.sha256(self.text.encode()).digest()[0] % 2 == 1


def prompts() -> list[Labelled]:
    """All of them, in the order of the file."""
    return [Labelled(**json.loads(line)) for line in PROMPTS.read_text("utf-8").splitlines()]


def halves() -> tuple[list[Labelled], list[Labelled]]:
    """What may be learned from, and what is held out."""
    every = prompts()
    return [each for each in every if not each.held_out], [each for each in every if each.held_out]


def nearest(one: Sequence[Labelled], other: Sequence[Labelled]) -> tuple[float, str, str]:
    """The two most alike prompts of the two, by the share of their strings of four letters that both have."""
    pieces = [(each.text, _pieces(each.text)) for each in other]
    return max((_alike(_pieces(each.text), theirs), each.text, text) for each in one for text, theirs in pieces)


def _pieces(text: str) -> frozenset[str]:
    plain = " ".join(text.casefold().split())
    return frozenset(plain[start : start + 4] for start in range(max(1, len(plain) - 3)))


def _alike(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)


def counted(values: Iterable[str]) -> dict[str, int]:
    """How often each occurs, by name."""
    every = list(values)
    return {value: every.count(value) for value in sorted(set(every))}
