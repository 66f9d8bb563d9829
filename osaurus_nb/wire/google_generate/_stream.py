"""The bytes of an answer as JSON objects, in any of the forms in which the vendor sends them. Pure.

Events, one object, one array; and between events a late error as JSON without `data:`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from osaurus_nb.models import ModelCard
from osaurus_nb.wire import _sse
from osaurus_nb.wire._payloads import Frame, Payloads, bad

_FIELDS = (b"data:", b":", b"event:", b"id:", b"retry:")


class Chunks(Payloads):
    """As `Payloads`, and arrays and stray JSON besides."""

    _PLAIN = (b"{", b"[")

    def __init__(self, card: ModelCard) -> None:
        self._stray = _Reader()
        super().__init__(card, self._stray)

    def close(self) -> Iterator[Frame]:
        yield from super().close()
        yield from self._frames([bytes(self._stray.stray)])

    def _found(self, payload: Any, content: bytes) -> Iterable[Frame]:
        if not isinstance(payload, list):
            return super()._found(payload, content)
        if not all(isinstance(row, dict) for row in payload):
            raise bad(self._card, "sent JSON that is no answer")
        return [Frame(row, b"") for row in payload]


class _Reader(_sse.Reader):
    """Events, whose stray lines of JSON are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.stray = bytearray()

    def _line(self, line: bytes) -> None:
        if line.startswith(_FIELDS) or not (self.stray or line.startswith((b"{", b"["))):
            super()._line(line)
            return
        self.stray += line + b"\n"
        if len(self.stray) > _sse.MAX_LINE:
            raise _sse.LineTooLong
