"""Makes an answer safe to show as rich output: nothing in it runs, loads or leads anywhere unseen. Pure.

The Markdown is rendered here, into HTML of which every tag and attribute is our own; the answer adds only escaped
text and http, https or mailto links. Two Markdown parsers never have to agree on where a code span ends, and a front
end that does not sanitise what a cell just made has nothing to sanitise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from osaurus_nb._markup.document import Document
from osaurus_nb._markup.inline import clean

__all__ = ["Document", "bundle", "callout", "folded", "frame", "printable", "table"]

_MUTED = "color:var(--jp-ui-font-color2, GrayText);font-size:85%"
_CALLOUT = "border-left:3px solid {colour};margin:.5em 0;padding:.25em .75em"
_COLOURS = {"note": "var(--jp-warn-color1, #b58900)", "error": "var(--jp-error-color1, #c62828)"}


def bundle(text: str, *, footer: str = "", notices: Sequence[str] = (), more: str = "") -> dict[str, str]:
    """The MIME bundle of an answer: the text as it is, and a safe rendering with notices and a footer below.

    `more` is shown between, as `folded` makes it.
    """
    return frame(text, Document().render(text) + more, footer=footer, notices=notices)


def frame(text: str, body: str, *, footer: str = "", notices: Sequence[str] = ()) -> dict[str, str]:
    """The bundle around a body that `Document` rendered."""
    shown = [body, *(_box("note", notice) for notice in notices)]
    if line := footer.strip(" ·"):
        shown.append(f'<div style="{_MUTED};margin-top:.25em">{escape(clean(line))}</div>')
    return {"text/plain": text, "text/html": _wrap("".join(shown))}


def folded(texts: Sequence[tuple[str, str]]) -> str:
    """Texts under their titles, each rendered, and shown when its title is clicked."""
    return "".join(
        f'<details style="margin:.25em 0"><summary style="{_MUTED}">{escape(clean(title))}</summary>'
        f"{Document().render(text)}</details>"
        for title, text in texts
    )


def callout(message: str, *, kind: str = "error", hint: str = "") -> dict[str, str]:
    """One calm, visible box: `error` or `note`, with a smaller second line if there is a hint."""
    plain = f"{message}\n{hint}" if hint else message
    return {"text/plain": plain, "text/html": _wrap(_box(kind, message, hint))}


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, footer: str = "") -> dict[str, str]:
    """Rows under a head, aligned in plain text and as an HTML table."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]
    plain = "\n".join([*lines, *([footer] if footer else [])])
    inner = _row("th", head) + "".join(_row("td", row) for row in rows)
    return frame(plain, f"<table>{inner}</table>", footer=footer)


def printable(text: str) -> str:
    """The text without the control characters that could drive a terminal."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", text)


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f'<{tag} style="text-align:left">{escape(clean(cell))}</{tag}>' for cell in cells) + "</tr>"


def _box(kind: str, message: str, hint: str = "") -> str:
    small = f'<div style="{_MUTED}">{_lines(hint)}</div>' if hint else ""
    return f'<div style="{_CALLOUT.format(colour=_COLOURS[kind])}">{_lines(message)}{small}</div>'


def _lines(text: str) -> str:
    return escape(clean(text)).replace("\n", "<br>")


def _wrap(html: str) -> str:
    # MathJax leaves these classes alone: only what we marked as math is typeset.
    return f'<div class="osaurus mathjax_ignore tex2jax_ignore">{html}</div>'
