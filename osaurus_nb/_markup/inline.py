"""What stands inside a paragraph: emphasis, code, math, links. Renders to safe HTML in linear time. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from html import escape, unescape

from osaurus_nb._markup import emphasis, math
from osaurus_nb._markup.emphasis import Run
from osaurus_nb._markup.links import References, anchor, fold, target

_TOKEN = re.compile(
    r"(?P<math>\$\$?|\\\(|\\\[)"
    r"|(?P<hard> {2,}\n|\\\n)"
    r"|(?P<escape>\\[!-/:-@\[-`{-~])"
    r"|(?P<code>`+)"
    r"|(?P<br><br\s{0,3}/?>)"
    r"|(?P<auto><[^<>\s]{1,2000}>)"
    r"|(?P<image>!\[)"
    r"|(?P<link>\[)"
    r"|(?P<url>(?<![\w/])https?://[^\s<>\"'`\\*|]{1,2000})"
    r"|(?P<entity>&(?:\#\d{1,7}|\#[xX][0-9a-fA-F]{1,6}|[A-Za-z]\w{1,31});)"
    r"|(?P<run>\*+|_+|~~)"
)
_BRACKETS = re.compile(r"\\.|`+|[\[\]]", re.DOTALL)
_DESTINATION = re.compile(
    r"\(\s*(?:<([^<>\n]*)>|((?:[^\s<>()\\]|\\.)*(?:\((?:[^\s()\\]|\\.)*\)(?:[^\s<>()\\]|\\.)*)*))"
    r"(?:\s+(?:\"[^\"]*\"|'[^']*'|\([^()]*\)))?\s*\)"
)
_LABEL = re.compile(r"\[([^\[\]]{0,200})\]")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.ASCII)


def clean(text: str) -> str:
    """The text with what HTML cannot hold, or what hides, made visible: control characters and bidi overrides."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", "\ufffd", text)


def render(text: str, references: References) -> str:
    """One paragraph's text as HTML."""
    return _Inline(text, references, links=True).html()


class _Inline:
    """One pass over one text; links inside a link's text stay text."""

    def __init__(self, text: str, references: References, *, links: bool) -> None:
        self._text = text
        self._references = references
        self._links = links
        self._runs = _backticks(text)
        self._pairs = _pairs(text, self._runs)
        self._missing: set[str] = set()  # closers that do not occur again
        self._out: list[str | Run] = []

    def html(self) -> str:
        at = 0
        while (match := _TOKEN.search(self._text, at)) is not None:
            self._plain(self._text[at : match.start()])
            at = self._token(match)
        self._plain(self._text[at:])
        return emphasis.join(self._out)

    def _plain(self, text: str) -> None:
        if text:
            self._out.append(escape(text))

    def _token(self, match: re.Match[str]) -> int:
        """Add what the token stands for; return where to go on."""
        token, at = match[0], match.end()
        match match.lastgroup:
            case "math":
                return self._math(token, match.start())
            case "hard" | "br":
                self._out.append("<br>\n")
            case "escape":
                self._plain(token[1])
            case "code":
                return self._code(match.start(), at)
            case "auto":
                return self._auto(token, match.start(), at)
            case "image" | "link":
                return self._bracket(token, match.start(), at)
            case "url":
                return self._url(token, match.start())
            case "entity":
                self._plain(clean(unescape(token)))
            case _:
                self._out.append(Run.read(self._text, match.start(), at))
        return at

    def _math(self, opener: str, start: int) -> int:
        end = -1 if opener in self._missing else math.end(self._text, opener, start)
        if end == math.NEVER:
            self._missing.add(opener)
        if end < 0:  # `\(` and `\[` are then plain escapes
            self._plain(opener.removeprefix("\\"))
            return start + len(opener)
        self._out.append(math.span(self._text[start:end]))
        return end

    def _code(self, start: int, at: int) -> int:
        close = _closing(self._runs, start, at - start)
        if close is None:
            self._plain(self._text[start:at])
            return at
        inner = self._text[at:close].replace("\n", " ")
        padded = inner.startswith(" ") and inner.endswith(" ") and inner.strip()
        self._out.append(f"<code>{escape(inner[1:-1] if padded else inner)}</code>")
        return close + at - start

    def _auto(self, token: str, start: int, at: int) -> int:
        inner = token[1:-1]
        url = target(f"mailto:{inner}" if _EMAIL.fullmatch(inner) else inner)
        if url is None or not self._links:
            self._plain("<")
            return start + 1
        self._out.append(anchor(url, escape(inner)))
        return at

    def _url(self, token: str, start: int) -> int:
        token = token.rstrip("?!.,:;_~")
        while token.endswith((")", "]")) and token.count(token[-1]) > token.count({")": "(", "]": "["}[token[-1]]):
            token = token[:-1].rstrip("?!.,:;_~")
        url = target(token) if self._links else None
        self._out.append(anchor(url, escape(token)) if url else escape(token))
        return start + len(token)

    def _bracket(self, token: str, start: int, at: int) -> int:
        """A link or an image. An image is never loaded: it becomes a link that says so."""
        close = self._pairs.get(at - 1)
        written, end = self._destination(at, close) if close is not None else (None, at)
        if close is None or written is None:
            self._plain(token)
            return at
        image = token.startswith("!")
        label = self._text[at:close]
        inner = escape(f"image: {label}".strip()) if image else _Inline(label, {}, links=False).html()
        url = target(written)
        if url is not None and self._links:
            self._out.append(anchor(url, inner or escape(url)))
        else:
            self._out.append(f"{inner} ({escape(written)})" if written else inner)
        return end

    def _destination(self, at: int, close: int) -> tuple[str | None, int]:
        """What the link's second half says, and where it ends; None for plain brackets."""
        if (match := _DESTINATION.match(self._text, close + 1)) is not None:
            return match[1] if match[1] is not None else match[2], match.end()
        label, end = self._text[at:close], close + 1
        if (match := _LABEL.match(self._text, close + 1)) is not None:
            label, end = match[1] or label, match.end()
        return self._references.get(fold(label)), end


def _backticks(text: str) -> dict[int, list[int]]:
    """Where the runs of backticks start, by their length."""
    found: dict[int, list[int]] = {}
    for match in re.finditer(r"`+", text):
        found.setdefault(len(match[0]), []).append(match.start())
    return found


def _closing(runs: dict[int, list[int]], start: int, length: int) -> int | None:
    """The next run of the same length behind the one at `start`."""
    places = runs.get(length, [])
    index = bisect_right(places, start)
    return places[index] if index < len(places) else None


def _pairs(text: str, runs: dict[int, list[int]]) -> dict[int, int]:
    """For each `[` that is closed, its `]`. Brackets in code spans do not count."""
    pairs: dict[int, int] = {}
    open_at: list[int] = []
    at = 0
    while (match := _BRACKETS.search(text, at)) is not None:
        at = match.end()
        if match[0] == "[":
            open_at.append(match.start())
        elif match[0] == "]":
            if open_at:
                pairs[open_at.pop()] = match.start()
        elif match[0][0] == "`" and (close := _closing(runs, match.start(), len(match[0]))) is not None:
            at = close + len(match[0])
    return pairs
