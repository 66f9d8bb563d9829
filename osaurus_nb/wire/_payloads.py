"""The bytes of an answer as JSON objects: one for each event, or the plain body that some send instead. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json  # half the cost of json, which is most of the cost of a chunk

from osaurus_nb.errors import BadAnswer, ProviderError
from osaurus_nb.models import ModelCard
from osaurus_nb.wire import _sse


class Payloads:
    """Bytes in, objects out; `close` at the end of the body. Raises BadAnswer for what is no answer.

    `done` turns true at `[DONE]`, behind which nothing counts, and at the end of a plain body.
    """

    def __init__(self, card: ModelCard) -> None:
        self.done = False
        self._card = card
        self._reader = _sse.Reader()
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
        return self._objects(events)

    def close(self) -> list[Mapping[str, Any]]:
        if self._plain is not None:
            self.done = True
            return [self._object(bytes(self._plain))]
        return self._objects(self._reader.flush())

    def bad(self, what: str) -> ProviderError:
        return BadAnswer(f"{self._card.provider} {what}.", provider=self._card.provider, model=self._card.id)

    def _sniff(self, data: bytes) -> bool:
        start = data.lstrip()[:1]
        self._sniffed = bool(start)
        if start == b"{":
            self._plain = bytearray()
        elif start == b"<":
            raise self.bad("sent a web page instead of an answer; check its base URL")
        return self._sniffed

    def _objects(self, events: list[_sse.ServerEvent]) -> list[Mapping[str, Any]]:
        objects: list[Mapping[str, Any]] = []
        for event in events:
            content = event.data.strip()
            self.done = self.done or content == b"[DONE]"
            if content and not self.done:
                objects.append(self._object(content))
        return objects

    def _object(self, content: bytes) -> Mapping[str, Any]:
        try:
            payload = from_json(content)
        except ValueError:
            raise self.bad("sent something that is not JSON") from None
        if not isinstance(payload, dict):
            raise self.bad("sent JSON that is not an object")
        return payload
