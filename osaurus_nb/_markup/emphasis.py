"""Runs of `*`, `_` and `~~`, paired by CommonMark's rules so that the tags always nest. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

_TAGS = {("*", 1): "em", ("_", 1): "em", ("*", 2): "strong", ("_", 2): "strong", ("~", 2): "del"}
#: Openers that are remembered: keeps hostile text linear.
_DEPTH = 64


@dataclass(slots=True)
class Run:
    """Delimiters in a row; what is left of them is text."""

    char: str
    count: int
    opens: bool
    closes: bool
    whole: int
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, text: str, start: int, end: int) -> Run:
        before, after = text[start - 1 : start] or " ", text[end : end + 1] or " "
        left = not after.isspace() and (not _punctuation(after) or before.isspace() or _punctuation(before))
        right = not before.isspace() and (not _punctuation(before) or after.isspace() or _punctuation(after))
        char = text[start]
        if char == "_":  # snake_case stays as it is
            left, right = left and (not right or _punctuation(before)), right and (not left or _punctuation(after))
        return cls(char, end - start, left, right, end - start)

    def __str__(self) -> str:
        return "".join((*self.before, self.char * self.count, *self.after))


def join(pieces: Sequence[str | Run]) -> str:
    """The pieces as one HTML text, with the runs that pair up turned into tags."""
    openers: list[Run] = []
    for piece in pieces:
        if isinstance(piece, Run):
            if piece.closes:
                _close(openers, piece)
            if piece.opens and piece.count:
                openers.append(piece)
                del openers[:-_DEPTH]
    return "".join(map(str, pieces))


def _close(openers: list[Run], closer: Run) -> None:
    while closer.count:
        index = next((i for i in reversed(range(len(openers))) if _fit(openers[i], closer)), None)
        if index is None:
            return
        opener = openers[index]
        del openers[index + 1 :]
        size = 2 if min(opener.count, closer.count) >= 2 else 1
        tag = _TAGS[closer.char, size]
        opener.count -= size
        closer.count -= size
        opener.after.insert(0, f"<{tag}>")
        closer.before.append(f"</{tag}>")
        if not opener.count:
            del openers[index]


def _fit(opener: Run, closer: Run) -> bool:
    if opener.char != closer.char or (closer.char == "~" and min(opener.count, closer.count) < 2):
        return False
    both = opener.closes or closer.opens
    odd = (opener.whole + closer.whole) % 3 == 0 and (opener.whole % 3 or closer.whole % 3)
    return not (both and odd)


def _punctuation(char: str) -> bool:
    return unicodedata.category(char)[0] in "PS"
