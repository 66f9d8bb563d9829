"""Where a link may lead: http, https and mailto, spelt without tricks. Everything else stays text. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape, unescape

#: Link targets by their folded label, as `[label]: https://...` lines define them.
References = Mapping[str, str]

_ALLOWED = re.compile(r"(?:https?://|mailto:)[^\s<>\"'`\\]+", re.IGNORECASE)
_DEFINITION = re.compile(
    r"^ {0,3}\[([^\]\[\n^][^\]\[\n]{0,200})\]:[ \t]*<?([^\s<>]+)>?"
    r"(?:[ \t]+(?:\"[^\"\n]*\"|'[^'\n]*'|\([^()\n]*\)))?[ \t]*$",
    re.MULTILINE,
)


def target(written: str) -> str | None:
    """The address to link to, or None when it may not be one. Entities and escapes are decoded first."""
    url = unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", written.strip()))
    return url if url.isprintable() and _ALLOWED.fullmatch(url) else None


def anchor(url: str, inner: str) -> str:
    """The link around HTML that is already safe. `url` comes from `target`."""
    return f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer nofollow">{inner}</a>'


def definitions(text: str) -> References:
    """Every usable definition in the text; of two with one label the first holds."""
    found: dict[str, str] = {}
    for label, written in _DEFINITION.findall(text):
        if (url := target(written)) is not None:
            found.setdefault(fold(label), url)
    return found


def defines(line: str, references: References) -> bool:
    """Is the line one of these definitions? Then it is not shown."""
    match = _DEFINITION.match(line)
    return match is not None and fold(match[1]) in references and target(match[2]) is not None


def fold(label: str) -> str:
    return " ".join(label.split()).casefold()
