"""Server-sent events, read liberally and written strictly. Pure.

Reading follows the WHATWG event-stream grammar: lines end at CR, LF or CRLF and nothing else, data lines are joined,
comments are dropped. Beyond it we accept a missing last blank line, because real providers leave it out.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pydantic_core import PydanticSerializationError, to_json

_ENCODE = json.JSONEncoder(separators=(",", ":")).encode

DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
#: A line, or an event, longer than this is no answer but an attack or a fault.
MAX_LINE = 16 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class ServerEvent(NamedTuple):
    event: str | None
    data: bytes


class LineTooLong(ValueError):
    """A line, or an event of many lines, passed MAX_LINE without an end."""


class Reader:
    """Bytes in, events out; `flush` at the end of the body."""

    def __init__(self) -> None:
        self._tail = bytearray()  # it grows in place: a long line is not copied for each piece of it
        self._after_cr = False
        self._at_start = True
        self._event: str | None = None
        self._data: bytes | bytearray | None = None

    def feed(self, data: bytes) -> list[ServerEvent]:
        if self._at_start:
            data = self._taken() + data
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._tail += data
                return []
            self._at_start = False
            data = data.removeprefix(_BOM)
        if b"\r" in data or self._after_cr:
            data = self._only_lf(data)
        *lines, rest = data.split(b"\n")
        if lines and self._tail:
            lines[0] = self._taken() + lines[0]
        self._tail += rest
        if len(self._tail) > MAX_LINE:
            raise LineTooLong
        events: list[ServerEvent] = []
        for line in lines:
            if line:
                self._line(line)
            elif self._data is not None or self._event:
                events.extend(self._dispatch())
        return events

    @property
    def between(self) -> bool:
        """Has all that came so far been told?"""
        return not (self._tail or self._data is not None or self._event or self._after_cr)

    def flush(self) -> list[ServerEvent]:
        if self._tail:
            self._line(self._taken())
        return self._dispatch()

    def _taken(self) -> bytes:
        tail = bytes(self._tail)
        self._tail.clear()
        return tail

    def _only_lf(self, data: bytes) -> bytes:
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        self._after_cr = data.endswith(b"\r") if data else self._after_cr
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _line(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data = value if self._data is None else self._longer(self._data, value)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")

    def _longer(self, data: bytes | bytearray, value: bytes) -> bytearray:
        """Most events have one line. Others grow in place: a list of short lines is far more than their bytes."""
        longer = data if isinstance(data, bytearray) else bytearray(data)
        longer += b"\n"
        longer += value
        if len(longer) > MAX_LINE:
            raise LineTooLong
        return longer

    def _dispatch(self) -> list[ServerEvent]:
        found = [ServerEvent(self._event, bytes(self._data))] if self._data is not None else []
        self._event = self._data = None
        return found


def frame(payload: Any, *, event: str | None = None) -> bytes:
    """One event on one `data:` line, ASCII only: some parsers split at U+2028."""
    head = b"event: %b\n" % event.encode() if event else b""
    return b"%bdata: %b\n\n" % (head, ascii_json(payload))


def ascii_json(payload: Any) -> bytes:
    """Compact JSON that no parser can split."""
    try:
        quick = to_json(payload)
    except PydanticSerializationError:  # half a surrogate pair has no UTF-8, but an escape
        return _ENCODE(payload).encode("ascii")
    return quick if quick.isascii() else _ENCODE(payload).encode("ascii")
