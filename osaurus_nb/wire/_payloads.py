"""The bytes of an answer as JSON objects: one for each event, or the plain body that some send instead. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from pydantic_core import from_json  # half the cost of json, which is most of the cost of a chunk

from osaurus_nb.errors import BadAnswer
from osaurus_nb.models import ModelCard
from osaurus_nb.wire import _sse


class Frame(NamedTuple):
    """One object, and the bytes that it was read from; none where it is a part of something larger.

    `whole`: these bytes are the whole body, not one event of a stream.
    """

    payload: Mapping[str, Any]
    content: bytes
    whole: bool = False


def bad(card: ModelCard, what: str) -> BadAnswer:
    """The error of a provider that answers in no way that we know. `what` goes behind its name."""
    return BadAnswer(f"{card.provider} {what}.", provider=card.provider, model=card.id)


class Payloads:
    """Bytes in, objects out; `close` at the end of the body. Raises BadAnswer for what is no answer.

    `done` turns true at `[DONE]`, behind which nothing counts, and at the end of a plain body; `plain` says that it
    is one.
    """

    #: How a body begins that is no stream.
    _PLAIN: ClassVar[tuple[bytes, ...]] = (b"{",)

    def __init__(self, card: ModelCard, reader: _sse.Reader | None = None) -> None:
        self.done = False
        self.plain = False
        self._card = card
        self._reader = reader or _sse.Reader()
        self._sniffed = False
        self._body = bytearray()

    @property
    def between(self) -> bool:
        """Is nothing held that came before?"""
        return self._sniffed and not self.plain and self._reader.between

    def feed(self, data: bytes) -> Iterator[Frame]:
        if not self._sniffed and not self._sniff(data):
            return iter(())
        if not self.plain:
            return self._frames(event.data for event in self._read(data))
        self._body += data
        if len(self._body) > _sse.MAX_LINE:
            raise bad(self._card, "sent an answer larger than 16 MiB")
        return iter(())

    def close(self) -> Iterator[Frame]:
        if not self.plain:
            yield from self._frames(event.data for event in self._reader.flush())
            return
        yield from self._frames([bytes(self._body)])
        self.done = True

    def _sniff(self, data: bytes) -> bool:
        start = data.lstrip()[:1]
        self._sniffed = bool(start)
        self.plain = start in self._PLAIN
        if start == b"<":
            raise bad(self._card, "sent a web page instead of an answer; check its base URL")
        return self._sniffed

    def _read(self, data: bytes) -> list[_sse.ServerEvent]:
        try:
            return self._reader.feed(data)
        except _sse.LineTooLong:
            raise bad(self._card, "sent a line without end") from None

    def _frames(self, contents: Iterable[bytes]) -> Iterator[Frame]:
        for content in map(bytes.strip, contents):
            self.done = self.done or content == b"[DONE]"
            if content and not self.done:
                yield from self._parse(content)

    def _parse(self, content: bytes) -> Iterable[Frame]:
        try:
            payload = from_json(content)
        except ValueError:
            raise bad(self._card, "sent something that is not JSON") from None
        return self._found(payload, content)

    def _found(self, payload: Any, content: bytes) -> Iterable[Frame]:
        if not isinstance(payload, dict):
            raise bad(self._card, "sent JSON that is not an object")
        return (Frame(payload, content, self.plain),)
