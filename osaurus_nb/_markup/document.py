"""A Markdown text as safe HTML, also while it grows: what can no longer change is rendered once. Pure."""

from __future__ import annotations

from html import escape

from osaurus_nb._markup import blocks, links
from osaurus_nb._markup.inline import clean

#: A longer text is shown as it is.
_MAX = 1_000_000


class Document:
    """Renders one text, or one growing text again and again."""

    def __init__(self) -> None:
        self._context = blocks.Context()
        self._settled = ""  # the source of the blocks that cannot change any more
        self._html: list[str] = []

    def render(self, text: str) -> str:
        """The HTML of the whole text."""
        if len(text) > _MAX:
            return f"<pre>{escape(clean(text))}</pre>\n"
        text = clean(text.replace("\r\n", "\n").replace("\r", "\n")).replace("\t", "    ")
        context = blocks.Context(links.definitions(text))
        if context != self._context or not text.startswith(self._settled):
            self._context, self._settled, self._html = context, "", []
        fresh = self._grow(text[len(self._settled) :])
        return "".join((*self._html, *fresh))

    def _grow(self, rest: str) -> list[str]:
        """The blocks behind the settled ones. Those settle that are parted by a blank line from what can still grow."""
        lines = rest.split("\n")
        fresh: list[str] = []
        settled = 0
        for html, end in blocks.walk(lines, self._context):
            fresh.append(html)
            if end < len(lines) - 2 and not (lines[end - 1].strip() and lines[end].strip()):
                self._html += fresh
                fresh, settled = [], end
        self._settled += "".join(f"{line}\n" for line in lines[:settled])
        return fresh
