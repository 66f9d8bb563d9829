"""Python values in a prompt: `{{expression}}` and $`name`. Ordinary braces, JSON and LaTeX stay untouched. Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

# A brace more on either side, a backslash or a percent sign before: somebody else's syntax.
_BRACES = re.compile(r"(?P<escaped>\\)?(?<![{%])\{\{(?!\{)(?P<source>[^\n]+?)\}\}(?!\})")
_TICKS = re.compile(r"(?<![$\\\w])\$`(?P<source>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)`(?!\$)")
_PLACES = re.compile(f"{_BRACES.pattern}|{_TICKS.pattern.replace('source', 'name')}")
# `\frac{{a}}{b}` and `x^{{2}}` are LaTeX.
_LATEX = re.compile(r"(?:\\[A-Za-z]+\*?|[\^_])$")


def expand(text: str, evaluate: Callable[[str], object]) -> str:
    r"""The text with each place replaced by `str` of its value; `\{{` stands for plain braces.

    Braces around something that is no Python expression, or names nothing, stay as they are. What `evaluate` raises
    passes through.
    """
    pieces: list[str] = []
    at, latex = 0, -1
    for match in _PLACES.finditer(text):
        pieces.append(text[at : match.start()])
        at = match.end()
        if match["name"]:
            pieces.append(str(evaluate(match["name"])))
        elif match["escaped"]:
            pieces.append(match[0][1:])
        elif latex == match.start() or _LATEX.search(text, max(0, match.start() - 40), match.start()):
            pieces.append(match[0])
            latex = match.end()
        elif _names_something(match["source"].strip()):
            pieces.append(str(evaluate(match["source"].strip())))
        else:
            pieces.append(match[0])
    return "".join((*pieces, text[at:]))


def _names_something(source: str) -> bool:
    """Is it an expression with a name in it? A constant or a set of them is data."""
    try:
        tree = ast.parse(source, mode="eval")
    except (SyntaxError, ValueError):
        return False
    return any(isinstance(node, ast.Name) for node in ast.walk(tree))
