"""What an answer is made of: paragraphs, headings, lists, quotes, code, tables. Renders to safe HTML. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from html import escape

from osaurus_nb._markup import inline, math, tables
from osaurus_nb._markup.links import References, defines

#: Quotes and lists in each other, at most; deeper ones are paragraphs.
_DEPTH = 12


@dataclass(frozen=True, slots=True)
class Context:
    references: References = field(default_factory=dict)
    depth: int = 0
    tight: bool = False

    def inner(self, *, tight: bool = False) -> Context:
        return replace(self, depth=self.depth + 1, tight=tight)


#: Reads the block that starts at a line: its HTML, and the line behind it. None: it is no such block after all.
Reader = Callable[[Sequence[str], int, Context], tuple[str, int] | None]

_FENCE = re.compile(r"( {0,3})(`{3,}|~{3,})[ \t]*([^`]*)$")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_RULE = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_QUOTE = re.compile(r" {0,3}> ?")
_ITEM = re.compile(r"( {0,3})([-*+]|\d{1,9}[.)])([ \t]+|$)(.*)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_MATH = re.compile(r" {0,3}(\$\$|\\\[|\\begin\{([A-Za-z]+\*?)\})")
_FRAMED = "background:var(--jp-cell-editor-background, transparent);padding:.5em .75em;overflow:auto"
_TASK = re.compile(r"\[([ xX])\][ \t]+")


def walk(lines: Sequence[str], context: Context) -> Iterator[tuple[str, int]]:
    """Each block as HTML, with the number of the line behind it."""
    at = 0
    while at < len(lines):
        if lines[at].strip():
            html, at = _block(lines, at, context)
            yield html, at
        else:
            at += 1


def _block(lines: Sequence[str], at: int, context: Context) -> tuple[str, int]:
    for read in _READERS:
        if (found := read(lines, at, context)) is not None:
            return found
    return _paragraph(lines, at, context)


def _fence(lines: Sequence[str], at: int, context: Context) -> tuple[str, int] | None:
    """Fenced code. One without an end, as while it streams, goes to the end of the text."""
    if (match := _FENCE.match(lines[at])) is None:
        return None
    indent, fence, info = match.groups()
    closing = re.compile(rf" {{0,3}}{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$")
    end = next((i for i in range(at + 1, len(lines)) if closing.match(lines[i])), len(lines))
    code = [re.sub(rf"^ {{0,{len(indent)}}}", "", line) for line in lines[at + 1 : end]]
    return _code(code, info), end + 1


def _indented(lines: Sequence[str], at: int, context: Context) -> tuple[str, int] | None:
    if not lines[at].startswith("    "):
        return None
    end = at
    while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
        end += 1
    return _code([line[4:] for line in lines[at:end]], ""), end


def _code(lines: Sequence[str], info: str) -> str:
    language = re.match(r"[A-Za-z][\w+#.-]{0,30}", info, re.ASCII)
    mark = f' class="language-{escape(language[0])}"' if language else ""
    body = "\n".join(lines).rstrip("\n")
    return f'<pre style="{_FRAMED}"><code{mark}>{escape(body)}\n</code></pre>\n'


def _heading(lines: Sequence[str], at: int, context: Context) -> tuple[str, int] | None:
    if (match := _HEADING.match(lines[at])) is None:
        return None
    level = len(match[1])
    return f"<h{level}>{inline.render(match[2] or '', context.references)}</h{level}>\n", at + 1


def _rule(lines: Sequence[str], at: int, context: Context) -> tuple[str, int] | None:
    return ("<hr>\n", at + 1) if _RULE.match(lines[at]) else None


def _quote(lines: Sequence[str], at: int, context: Context) -> tuple[str, int] | None:
    if context.depth >= _DEPTH or not _QUOTE.match(lines[at]):
        return None
    end = at
    while end < len(lines) and _QUOTE.match(lines[end]):
        end += 1
    inner = [_QUOTE.sub("", line, count=1) for line in lines[at:end]]
    return f"<blockquote>{_all(inner, context.inner())}</blockquote>\n", end


def _math(lines: Sequence[str], at: int, context: Context) -> tuple[str, int] | None:
    """Display math that begins a line and ends one."""
    if (match := _MATH.match(lines[at])) is None:
        return None
    opener, environment = match.groups()
    closer = rf"\end{{{environment}}}" if environment else {"$$": "$$", "\\[": "\\]"}[opener]
    first = lines[at][match.end() :]
    for end in range(at, min(at + 100, len(lines))):
        line = first if end == at else lines[end]
        if line.rstrip().endswith(closer):
            return math.block("\n".join(lines[at : end + 1]).strip()) + "\n", end + 1
        if closer in line or not lines[end].strip():  # TeX knows no blank lines in displays
            return None
    return None


def _table(lines: Sequence[str], at: int, context: Context) -> tuple[str, int] | None:
    if not tables.starts(lines, at):
        return None
    end = at + 2
    while end < len(lines) and "|" in lines[end]:
        end += 1
    return tables.render(lines[at:end], context.references), end


def _definition(lines: Sequence[str], at: int, context: Context) -> tuple[str, int] | None:
    return ("", at + 1) if defines(lines[at], context.references) else None


def _list(lines: Sequence[str], at: int, context: Context) -> tuple[str, int] | None:
    first = _ITEM.match(lines[at])
    if context.depth >= _DEPTH or first is None:
        return None
    ordered = first[2][0].isdigit()
    items: list[list[str]] = []
    while at < len(lines) and (match := _ITEM.match(lines[at])) and match[2][0].isdigit() == ordered:
        if items and _RULE.match(lines[at]):
            break
        item, at = _item(lines, at, match)
        items.append(item)
    loose = any("" in item[:-1] for item in items) or any(not item[-1] for item in items[:-1])
    inner = context.inner(tight=not loose)
    body = "".join(f"<li>{_task(item, inner)}</li>\n" for item in items)
    start = f' start="{int(first[2][:-1])}"' if ordered and first[2][:-1] != "1" else ""
    return (f"<ol{start}>\n{body}</ol>\n" if ordered else f"<ul>\n{body}</ul>\n"), at


def _item(lines: Sequence[str], at: int, match: re.Match[str]) -> tuple[list[str], int]:
    """The item's own lines, without its indent; a blank line at the end says that one followed."""
    wide = len(match[3].expandtabs(4))
    need = len(match[1]) + len(match[2]) + (wide if 1 <= wide <= 4 else 1)
    item, at = [match[4].rstrip()], at + 1
    while at < len(lines):
        line = lines[at].rstrip()
        indent = len(line) - len(line.lstrip())
        if not line:
            item.append("")
        elif indent >= need or (indent >= 2 and _ITEM.match(line.lstrip())):
            item.append(line[min(indent, need) :])
        elif item[-1] and not _interrupts(lines, at):
            item.append(line.lstrip())
        else:
            break
        at += 1
    while len(item) > 1 and not item[-1] and not item[-2]:
        item.pop()
    return item, at


def _task(item: list[str], context: Context) -> str:
    box = _TASK.match(item[0])
    if box is None:
        return _all(item, context)
    return ("☐ " if box[1] == " " else "☑ ") + _all([item[0][box.end() :], *item[1:]], context)


def _paragraph(lines: Sequence[str], at: int, context: Context) -> tuple[str, int]:
    end = at + 1
    while end < len(lines) and lines[end].strip():
        if underline := _UNDERLINE.match(lines[end]):
            tag = "h1" if underline[1][0] == "=" else "h2"
            return f"<{tag}>{_inline(lines[at:end], context)}</{tag}>\n", end + 1
        if _interrupts(lines, end):
            break
        end += 1
    html = _inline(lines[at:end], context)
    return (f"{html}\n" if context.tight else f"<p>{html}</p>\n"), end


def _interrupts(lines: Sequence[str], at: int) -> bool:
    """Does this line end the paragraph above it?"""
    line = lines[at]
    begins = any(pattern.match(line) for pattern in (_FENCE, _HEADING, _RULE, _QUOTE, _MATH))
    return begins or ((item := _ITEM.match(line)) is not None and bool(item[4])) or tables.starts(lines, at)


def _inline(lines: Sequence[str], context: Context) -> str:
    return inline.render("\n".join(line.lstrip() for line in lines).rstrip(), context.references)


def _all(lines: Sequence[str], context: Context) -> str:
    return "".join(html for html, _ in walk(lines, context))


_READERS: tuple[Reader, ...] = (_indented, _fence, _heading, _rule, _quote, _list, _math, _table, _definition)
