"""How much answers say the same, by their words alone. Pure; it asks no model, so it is quick and always the same.

Short answers agree when they are equal once case, punctuation, markup and articles are gone. Longer ones are measured
by the word triples that they share (Dice: twice what is shared, over what both have). Two answers never agree that name
different numbers, or of which one denies more often than the other: such words turn a sentence round, and are few.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

#: From here on two answers count as agreeing.
AGREED = 0.6
#: What two answers with other numbers, or another number of denials, are at most.
_APART = 0.3
#: Answers of up to so many words are compared whole.
_SHORT = 6
#: Of a long answer this much is read: enough to tell, and bounded.
_LONGEST = 20_000
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
#: Scripts that put no blanks between words: each character is a word.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0e7f]")
_ARTICLES = frozenset(
    [
        "a",
        "an",
        "the",
        "der",
        "die",
        "das",
        "ein",
        "eine",
        "le",
        "la",
        "les",
        "un",
        "une",
        "el",
        "los",
        "las",
        "uno",
        "una",
        "il",
        "lo",
        "gli",
    ]
)
_DENIALS = frozenset(
    [
        "no",
        "not",
        "never",
        "none",
        "cannot",
        "nicht",
        "kein",
        "keine",
        "keinen",
        "nie",
        "non",
        "pas",
        "jamais",
        "ne",
        "nunca",
        "nada",
        "nao",
        "não",
        "nem",
        "ni",
        "mai",
        "не",
        "нет",
        "никогда",
        "不",
        "没",
        "非",
        "無",
        "ない",
    ]
)
_CONTRACTED = re.compile(r"(?<=\w)n['’]t\b")

Words = Sequence[str]


def words(answer: str) -> Words:
    """What is compared: the words in lower case, numbers whole, without articles, marks and markup."""
    plain = unicodedata.normalize("NFKC", answer[:_LONGEST]).casefold()
    plain = _UNSPACED.sub(lambda found: f" {found[0]} ", _CONTRACTED.sub(" not", plain))
    return [_number(word) for word in _WORD.findall(plain) if word not in _ARTICLES]


def similarity(one: Words, other: Words) -> float:
    """From 0, nothing in common, to 1, the same."""
    if not one or not other:
        return 0.0
    if list(one) == list(other):
        return 1.0
    if min(len(one), len(other)) <= _SHORT:
        shared = _dice(Counter(one), Counter(other))
        return min(shared, _APART)  # a short answer is the same or another one
    shared = _dice(_triples(one), _triples(other))
    return min(shared, _APART) if _numbers(one) != _numbers(other) or _denied(one) != _denied(other) else shared


def agreements(answers: Sequence[str]) -> Sequence[float | None]:
    """For each answer the mean of how much it says what the others say; None where there is no other."""
    read = [words(answer) for answer in answers]
    if len(read) < 2:
        return [None] * len(read)
    return [
        sum(similarity(one, other) for at, other in enumerate(read) if at != place) / (len(read) - 1)
        for place, one in enumerate(read)
    ]


def largest(answers: Sequence[str]) -> int:
    """How many of the answers agree with one and the same of them, itself included."""
    read = [words(answer) for answer in answers]
    return max((sum(similarity(one, other) >= AGREED for other in read) for one in read if one), default=0)


def enough(answers: Sequence[str], *, panel: int, at_least: int) -> bool:
    """Do so many agree that the rest could not outvote them? Then nobody needs to be waited for."""
    return largest(answers) >= max(at_least, panel // 2 + 1)


def _dice(one: Counter[str] | Counter[tuple[str, ...]], other: Counter[str] | Counter[tuple[str, ...]]) -> float:
    both = one.total() + other.total()
    return 2 * (one & other).total() / both if both else 0.0  # type: ignore[operator]  # both of one kind


def _triples(text: Words) -> Counter[tuple[str, ...]]:
    return Counter(zip(text, text[1:], text[2:], strict=False))


def _numbers(text: Words) -> frozenset[str]:
    return frozenset(word for word in text if word[0].isdigit())


def _denied(text: Words) -> int:
    return sum(word in _DENIALS for word in text)


def _number(word: str) -> str:
    """1,000 and 1000 are one number."""
    return re.sub(r"[.,](?=\d{3}(?:\D|$))", "", word) if word[0].isdigit() else word
