"""Tables with pipes. Renders to safe HTML. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from osaurus_nb._markup import inline
from osaurus_nb._markup.links import References

_RULE = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")


def starts(lines: Sequence[str], at: int) -> bool:
    """Is this line a table's head, with its rule below?"""
    if at + 1 >= len(lines) or "|" not in lines[at] or "-" not in lines[at + 1]:
        return False
    return _RULE.match(lines[at + 1]) is not None and len(_cells(lines[at])) == len(_cells(lines[at + 1]))


def render(lines: Sequence[str], references: References) -> str:
    """Head, rule and rows. A row is never wider than the head, and a short one stays short."""
    styles = [_style(cell) for cell in _cells(lines[1])]
    head = _row("th", _cells(lines[0]), styles, references)
    rows = "".join(_row("td", _cells(line), styles, references) for line in lines[2:])
    return f"<table>\n<thead>{head}</thead>\n<tbody>{rows}</tbody>\n</table>\n"


def _row(tag: str, cells: Sequence[str], styles: Sequence[str], references: References) -> str:
    shown = zip(cells, styles, strict=False)
    return (
        "<tr>" + "".join(f"<{tag}{style}>{inline.render(cell, references)}</{tag}>" for cell, style in shown) + "</tr>"
    )


def _cells(line: str) -> list[str]:
    line = line.strip().removeprefix("|")
    if line.endswith("|") and not line.endswith("\\|"):
        line = line[:-1]
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)]


def _style(rule: str) -> str:
    left, right = rule.startswith(":"), rule.endswith(":")
    align = "center" if left and right else "right" if right else "left"
    return f' style="text-align:{align}"'
