"""The Router's streams, read more liberally than any other's: JSON without `data:`, or split over several of them.

Some of its upstreams break one object over data lines, over events even, or send it bare. An object counts as soon as
its last bracket is there, wherever the lines end. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic_core import from_json

from osaurus_nb.models import ModelCard
from osaurus_nb.wire._json import MAX_DEPTH
from osaurus_nb.wire._payloads import Frame, bad
from osaurus_nb.wire._sse import MAX_LINE

_FIELD = re.compile(rb"[ \t]*(?:data|event|id|retry)?:")
_MARKS = re.compile(rb'["\\{}\[\]]')
_SOMETHING = re.compile(rb"[^ \t]")
_END = b"[DONE]"
_BOM = b"\xef\xbb\xbf"


class TolerantFrames:
    """Bytes in, objects out; `close` at the end of the body. Raises BadAnswer for what cannot be mended."""

    def __init__(self, card: ModelCard) -> None:
        self.done = False
        self._card = card
        self._tail = b""
        self._after_cr = False
        self._begun = False
        self._open = _Open()

    @property
    def between(self) -> bool:
        """Is nothing held that came before?"""
        return self._begun and not (self._tail or self._open.size or self._after_cr)

    def feed(self, data: bytes) -> Iterator[Frame]:
        if self._after_cr:
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r") if data else self._after_cr
        lines = (self._tail + data).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._tail = lines.pop()
        if len(self._tail) + self._open.size > MAX_LINE:
            raise bad(self._card, "sent an object without end")
        for line in lines:
            yield from self._line(line)

    def close(self) -> Iterator[Frame]:
        tail, self._tail = self._tail, b""
        yield from self._line(tail)
        if self._open.size and not self.done:
            raise bad(self._card, "broke off in the middle of an object")

    def _line(self, line: bytes) -> Iterator[Frame]:
        if not line or self.done:
            return
        if not self._begun:
            line = self._first(line)
        if _FIELD.match(line):
            name, _, value = line.partition(b":")
            if name.strip() == b"data":
                yield from self._piece(value.removeprefix(b" "))
        elif self._open.size or line.lstrip()[:1] in (b"{", b"["):
            yield from self._piece(line)

    def _first(self, line: bytes) -> bytes:
        self._begun = True
        line = line.removeprefix(_BOM)
        if line.lstrip().startswith(b"<"):
            raise bad(self._card, "sent a web page instead of an answer; check its base URL")
        return line

    def _piece(self, piece: bytes) -> Iterator[Frame]:
        """A line of content: nearly always one whole object, else a part of one, or several."""
        if not self._open.size and piece.startswith(b"{"):
            try:
                yield self._frame(from_json(piece), piece)
            except ValueError:
                pass
            else:
                return
        at = 0
        while not self.done and (at := self._next(piece, at)) < len(piece):
            try:
                whole, at = self._open.take(piece, at)
            except RecursionError:
                raise bad(self._card, "sent an object nested too deeply") from None
            if whole is not None:
                yield from self._whole(whole)

    def _next(self, piece: bytes, at: int) -> int:
        """Where it goes on: inside an open object at once, else where the next one begins."""
        if self._open.size:
            return at
        found = _SOMETHING.search(piece, at)
        if found is None:
            return len(piece)
        if found.group() not in b"{[":
            raise bad(self._card, "sent something that is not JSON")
        return found.start()

    def _whole(self, content: bytes) -> Iterator[Frame]:
        if content == _END:
            self.done = True
            return
        try:
            payload = from_json(content)
        except ValueError:
            raise bad(self._card, "sent something that is not JSON") from None
        yield self._frame(payload, content)

    def _frame(self, payload: object, content: bytes) -> Frame:
        if not isinstance(payload, dict):
            raise bad(self._card, "sent JSON that is not an object")
        return Frame(payload, content)


class _Open:
    """An object whose last bracket has not come yet."""

    def __init__(self) -> None:
        self.size = 0
        self._pieces: list[bytes] = []
        self._depth = 0
        self._string = False
        self._escaped = False

    def take(self, piece: bytes, start: int) -> tuple[bytes | None, int]:
        """The object, if it ends in this piece, and where what comes behind it begins. Raises RecursionError."""
        end = self._end(piece, start)
        self._pieces.append(piece[start:end])
        self.size += len(self._pieces[-1])
        if end is None:
            return None, len(piece)
        whole, self._pieces, self.size = b"".join(self._pieces), [], 0
        return whole, end

    def _end(self, piece: bytes, start: int) -> int | None:
        if self._escaped:
            self._escaped, start = False, start + 1
        skip = start
        for mark in _MARKS.finditer(piece, start):
            at, char = mark.start(), mark.group()
            if at < skip:
                continue
            if self._string:
                if char == b"\\":
                    skip = at + 2
                    self._escaped = skip > len(piece)
                elif char == b'"':
                    self._string = False
            elif char == b'"':
                self._string = True
            elif char in b"{[":
                self._depth += 1
                if self._depth > MAX_DEPTH:
                    raise RecursionError
            elif char in b"}]":
                self._depth -= 1
                if self._depth == 0:
                    return mark.end()
        return None
