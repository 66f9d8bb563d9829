"""The bytes of an answer as JSON objects: one on each line. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from osaurus_nb.models import ModelCard
from osaurus_nb.wire import _sse
from osaurus_nb.wire._payloads import Frame, Payloads, bad


class Lines(Payloads):
    """As `Payloads`, without events around the objects."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        self._tail = b""

    @property
    def between(self) -> bool:
        return not self._tail

    def feed(self, data: bytes) -> Iterator[Frame]:
        *lines, self._tail = (self._tail + data).split(b"\n")
        if len(self._tail) > _sse.MAX_LINE:
            raise bad(self._card, "sent a line without end")
        return self._frames(lines)

    def close(self) -> Iterator[Frame]:
        return self._frames([self._tail])

    def _parse(self, content: bytes) -> Iterator[Frame]:
        if content.startswith(b"<"):
            raise bad(self._card, "sent a web page instead of an answer; check its base URL")
        return iter(super()._parse(content))
