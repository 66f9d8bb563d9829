"""What may stand in the ledger as text: a name or an id, never a sentence. Pure; whatever else becomes a digest."""

from __future__ import annotations

import hashlib

LONGEST = 200
_MOST_WORDS = 8
_MARKS = frozenset(" ._-:/@+#()[]{}=,~%&!'*|$^\\")


def identifier(text: str) -> str:
    """The text itself where it looks like an id, a name or a path; `sha256:` and 16 hex digits of it where not."""
    if text.isascii() and text.isalnum() and len(text) <= LONGEST:  # most ids, at once
        return text
    if len(text) <= LONGEST and text.count(" ") < _MOST_WORDS and all(map(_plain, text)):
        return text
    return digest(text)


def digest(text: str) -> str:
    """The same for the same text, so that what it names can still be counted."""
    return f"sha256:{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:16]}"


def _plain(character: str) -> bool:
    return character in _MARKS or character.isalnum()
