"""HTTP/1.1 framing, client side: heads and bodies. Pure: bytes in, bytes out; anything ambiguous is refused.

Strict on purpose (RFC 9112): a message that two parsers could read in two ways is not repaired. No obsolete line
folding, no bare LF, no Content-Length beside Transfer-Encoding, no transfer coding but `chunked`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import httpx2

MAX_HEAD = 64 * 1024
MAX_HEADERS = 200
MAX_CHUNK_LINE = 256
MAX_TRAILERS = 8 * 1024

RawHeaders = list[tuple[bytes, bytes]]

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t \x21-\x7e\x80-\xff]*))?")
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*([\t \x21-\x7e\x80-\xff]*)")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[\t ]*(?:;.*)?")
_PLAIN_SIZE = re.compile(rb"([0-9A-Fa-f]{1,6})\r\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Head:
    """The head of one response."""

    minor_version: int
    status: int
    reason: bytes
    headers: RawHeaders

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def keeps_alive(self) -> bool:
        """May another request follow on this connection?"""
        options = {option.strip() for value in self.values(b"connection") for option in value.lower().split(b",")}
        return b"keep-alive" in options if self.minor_version == 0 else b"close" not in options


class Body(Protocol):
    """Takes what belongs to one body out of a buffer."""

    done: bool

    def take(self, inbox: bytearray) -> bytes:
        """The payload that is there now, removed from `inbox`."""

    def end(self) -> None:
        """The peer closed. Raises RemoteProtocolError when the body was not complete."""


def encode_head(method: str, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The head of a request. Raises LocalProtocolError for anything that could smuggle in a second line."""
    lines = [b"%b %b HTTP/1.1" % (method.encode(), target), *(b"%b: %b" % pair for pair in headers)]
    head = b"\r\n".join(lines) + b"\r\n\r\n"
    breaks = len(lines) + 1
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks or b"\0" in head or b" " in target:
        raise httpx2.LocalProtocolError("a header or the path holds a line break, a NUL or a space")
    if not _TOKEN.fullmatch(method):
        raise httpx2.LocalProtocolError("the method is no HTTP token")
    return head


def take_head(inbox: bytearray, searched: int = 0) -> Head | None:
    """The next response head, removed from `inbox`, or None when it is not complete yet."""
    end = inbox.find(b"\r\n\r\n", max(0, searched - 3))
    if end > MAX_HEAD or (end < 0 and len(inbox) > MAX_HEAD):
        raise httpx2.RemoteProtocolError("the response head is larger than 64 KiB")
    if end < 0:
        _refuse_garbage_early(inbox)
        return None
    head = _parse_head(bytes(inbox[:end]))
    del inbox[: end + 4]
    return head


def body_of(head: Head, method: str) -> Body:
    """How the body after this head is framed (RFC 9112, section 6.3)."""
    codings, lengths = head.values(b"transfer-encoding"), set(head.values(b"content-length"))
    if method == "HEAD" or head.status in (204, 304):
        return SizedBody(0)
    if codings and lengths:
        raise httpx2.RemoteProtocolError("the response has both Transfer-Encoding and Content-Length")
    if codings:
        if len(codings) > 1 or codings[0].lower() != b"chunked" or head.minor_version == 0:
            raise httpx2.RemoteProtocolError("the response has a transfer coding other than chunked")
        return ChunkedBody()
    if lengths:
        length = lengths.pop()
        if lengths or not _LENGTH.fullmatch(length):
            raise httpx2.RemoteProtocolError("the response has no single valid Content-Length")
        return SizedBody(int(length))
    return UntilClose()


class SizedBody:
    """Exactly as many bytes as Content-Length said."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0

    def take(self, inbox: bytearray) -> bytes:
        data = bytes(inbox[: self._left])
        del inbox[: len(data)]
        self._left -= len(data)
        self.done = self._left == 0
        return data

    def end(self) -> None:
        raise httpx2.RemoteProtocolError("the connection closed before the whole body had arrived")


class UntilClose:
    """All that comes until the peer closes."""

    def __init__(self) -> None:
        self.done = False

    def take(self, inbox: bytearray) -> bytes:
        data = bytes(inbox)
        inbox.clear()
        return data

    def end(self) -> None:
        self.done = True


class ChunkedBody:
    """Chunks until the one of size zero; extensions and trailers are read and dropped."""

    def __init__(self) -> None:
        self.done = False
        self._left = 0  # of the current chunk's payload
        self._after_payload = False
        self._trailers = -1  # bytes of trailer seen; -1 while chunks still come

    def take(self, inbox: bytearray) -> bytes:
        if (only := self._only(inbox)) is not None:
            return only
        pieces: list[bytes] = []
        at = 0
        while not self.done and (used := self._step(inbox, at, pieces)):
            at += used
        del inbox[:at]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def end(self) -> None:
        raise httpx2.RemoteProtocolError("the connection closed inside a chunked body")

    def _only(self, inbox: bytearray) -> bytes | None:
        """The payload of the one whole chunk that has come: so it is with most words of a stream."""
        if self._left or self._after_payload or self._trailers >= 0 or not inbox.endswith(b"\r\n"):
            return None
        size = _PLAIN_SIZE.match(inbox)
        if size is None or not (length := int(size[1], 16)) or size.end() + length + 2 != len(inbox):
            return None
        payload = bytes(inbox[size.end() : -2])
        inbox.clear()
        return payload

    def _step(self, inbox: bytearray, at: int, pieces: list[bytes]) -> int:
        """Take one piece or one line at `at`; the number of bytes used, 0 when more has to arrive."""
        if self._left:
            piece = bytes(inbox[at : at + self._left])
            if piece:
                pieces.append(piece)
                self._left -= len(piece)
            return len(piece)
        if self._after_payload:
            return self._end_of_payload(inbox, at)
        end = inbox.find(b"\r\n", at, at + MAX_CHUNK_LINE if self._trailers < 0 else at + MAX_TRAILERS)
        if end < 0:
            self._refuse_long_line(len(inbox) - at)
            return 0
        line = bytes(inbox[at:end])
        if self._trailers < 0:
            self._size_line(line)
        else:
            self._trailer_line(line)
        return end + 2 - at

    def _end_of_payload(self, inbox: bytearray, at: int) -> int:
        mark = inbox[at : at + 2]
        if mark != b"\r\n"[: len(mark)]:
            raise httpx2.RemoteProtocolError("a chunk is longer than its size line said")
        if len(mark) < 2:
            return 0
        self._after_payload = False
        return 2

    def _size_line(self, line: bytes) -> None:
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise httpx2.RemoteProtocolError("a chunk has no valid size line")
        self._left = int(match[1], 16)
        if self._left:
            self._after_payload = True
        else:
            self._trailers = 0

    def _trailer_line(self, line: bytes) -> None:
        self.done = not line
        self._trailers += len(line)
        if self._trailers > MAX_TRAILERS:
            raise httpx2.RemoteProtocolError("the trailers are larger than 8 KiB")

    def _refuse_long_line(self, waiting: int) -> None:
        if waiting >= (MAX_CHUNK_LINE if self._trailers < 0 else MAX_TRAILERS):
            raise httpx2.RemoteProtocolError("a chunk's size line or trailer is too long")


def _parse_head(block: bytes) -> Head:
    first, *lines = block.split(b"\r\n")
    status = _STATUS_LINE.fullmatch(first)
    if status is None:
        raise httpx2.RemoteProtocolError("the answer is not HTTP/1.1")
    if len(lines) > MAX_HEADERS:
        raise httpx2.RemoteProtocolError("the response has more than 200 headers")
    return Head(int(status[1]), int(status[2]), status[3] or b"", [_header(line) for line in lines])


def _header(line: bytes) -> tuple[bytes, bytes]:
    match = _HEADER.fullmatch(line)
    if match is None:
        raise httpx2.RemoteProtocolError("the response has a malformed or folded header")
    return match[1], match[2].rstrip(b" \t")


def _refuse_garbage_early(inbox: bytearray) -> None:
    # Else a peer that speaks another protocol, or ends its lines with LF alone, holds us until the read deadline.
    if not inbox.startswith(b"HTTP/1."[: len(inbox)]) or b"\n\n" in inbox:
        raise httpx2.RemoteProtocolError("the answer is not HTTP/1.1")
