r"""TeX between `$`, `$$`, `\(` and `\[`: left to the front end to typeset, unless it could do more than that. Pure."""

from __future__ import annotations

import re
from html import escape

#: There is no end anywhere behind; no need to look again.
NEVER = -2
_NOT_HERE = -1
#: Longer ones are shown as they are: typesetting takes time.
_MAX = 4000

_INLINE = re.compile(r"\$(?![\s$])(?:\\.|[^$\\])*?(?<!\s)\$(?![\d$])", re.DOTALL)
_CLOSERS = {"$$": "$$", "\\(": "\\)", "\\[": "\\]"}
# Commands that make links, attributes or new commands, or load something.
_TRICKS = re.compile(
    r"\\(?:href|url|html|class|cssId|style|data|require|csname|def|edef|gdef|xdef|let|futurelet|newcommand|renewcommand"
    r"|providecommand|newenvironment|renewenvironment|DeclareMathOperator|includegraphics|unicode|mmlToken|bbox|error"
    r"|texttip|tooltip|toggle|mathtip|Newextarrow|text(?:html|style)|label|eqref|ref|tag|input|include|write|special)"
    r"(?![a-z])|\^\^|\\begin\s*\{[^}]*html",
    re.IGNORECASE,
)


def end(text: str, opener: str, start: int) -> int:
    """Where the math that opens at `start` ends; negative if it does not."""
    if opener == "$":
        match = _INLINE.match(text, start)
        return match.end() if match is not None else _NOT_HERE
    close = text.find(_CLOSERS[opener], start + len(opener))
    if close < 0:
        return NEVER
    return close + 2 if text[start + len(opener) : close].strip() else _NOT_HERE


def span(source: str) -> str:
    return _marked("span", source)


def block(source: str) -> str:
    return _marked("div", source)


def _marked(tag: str, source: str) -> str:
    if len(source) > _MAX or _TRICKS.search(source):
        return f"<code>{escape(source)}</code>"
    return f'<{tag} class="mathjax_process tex2jax_process">{escape(source)}</{tag}>'
