"""The bytes of an answer as JSON objects, in any of the forms in which the vendor sends them. Pure.

Events, one object, one array; and between events a late error as JSON without `data:`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import from_json

from osaurus_nb.errors import BadAnswer, ProviderError
from osaurus_nb.models import ModelCard
from osaurus_nb.wire import _sse

_FIELDS = (b"data:", b":", b"event:", b"id:", b"retry:")


class Chunks:
    """Bytes in, objects out; `close` at the end of the body. Raises BadAnswer for what is no answer."""

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        self._reader = _Reader()
        self._sniffed = False
        self._plain: bytearray | None = None

    def feed(self, data: bytes) -> list[Mapping[str, Any]]:
        if not self._sniffed and not self._sniff(data):
            return []
        if self._plain is not None:
            self._plain += data
            if len(self._plain) > _sse.MAX_LINE:
                raise self.bad("sent an answer larger than 16 MiB")
            return []
        try:
            events = self._reader.feed(data)
        except _sse.LineTooLong:
            raise self.bad("sent a line without end") from None
        return self._objects(event.data for event in events)

    def close(self) -> list[Mapping[str, Any]]:
        if self._plain is not None:
            return self._objects([bytes(self._plain)])
        events = self._reader.flush()
        return self._objects([*(event.data for event in events), bytes(self._reader.stray)])

    def bad(self, what: str) -> ProviderError:
        return BadAnswer(f"{self._card.provider} {what}.", provider=self._card.provider, model=self._card.id)

    def _sniff(self, data: bytes) -> bool:
        start = data.lstrip()[:1]
        self._sniffed = bool(start)
        if start in (b"{", b"["):
            self._plain = bytearray()
        elif start == b"<":
            raise self.bad("sent a web page instead of an answer; check its base URL")
        return self._sniffed

    def _objects(self, texts: Iterable[bytes]) -> list[Mapping[str, Any]]:
        stripped = (text.strip() for text in texts)
        return [row for text in stripped if text and text != b"[DONE]" for row in self._rows(text)]

    def _rows(self, text: bytes) -> list[Mapping[str, Any]]:
        try:
            payload = from_json(text)
        except ValueError:
            raise self.bad("sent something that is not JSON") from None
        rows = payload if isinstance(payload, list) else [payload]
        if not all(isinstance(row, dict) for row in rows):
            raise self.bad("sent JSON that is no answer")
        return rows


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
