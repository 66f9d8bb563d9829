"""Promises of the HTTP/1.1 parser."""

from __future__ import annotations

import httpx2
import pytest

from osaurus_nb.providers.http1 import MAX_HEAD, Head, body_of, encode_head, take_head

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def read(*pieces: bytes, method: str = "GET") -> tuple[Head, bytes, bytearray]:
    """What a connection would read, when the bytes come in these pieces and then the peer closes."""
    inbox, head, body, payload = bytearray(), None, None, b""
    for piece in pieces:
        inbox += piece
        if head is None and (head := take_head(inbox)) is not None:
            body = body_of(head, method)
        if body is not None and not body.done:
            payload += body.take(inbox)
    assert head is not None
    assert body is not None
    if not body.done:
        body.end()
    return head, payload, inbox


@pytest.mark.parametrize(
    ("answer", "payload"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", b"hello"),
        (OK + b"Content-Length: 5\r\ncontent-length: 5\r\n\r\nhello", b"hello"),
        (OK + b"Content-Length: 0\r\n\r\n", b""),
        (OK + b"\r\nhello", b"hello"),
        (CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", b"hello"),
        (CHUNKED + b"5;name=value\r\nhello\r\n0\r\nSome: trailer\r\n\r\n", b"hello"),
        (CHUNKED + b"0a\r\nhello\r\n\r\n!\r\n0\r\n\r\n", b"hello\r\n\r\n!"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.0 200\r\nX: \xe9\r\n\r\nhello", b"hello"),
    ],
)
def test_every_split_reads_the_same(answer: bytes, payload: bytes) -> None:
    """Where the network cuts the bytes makes no difference."""
    splits = [(answer[:at], answer[at:]) for at in range(1, len(answer))]
    splits.append(tuple(answer[at : at + 1] for at in range(len(answer))))

    for pieces in splits:
        assert read(*pieces)[1] == payload


@pytest.mark.parametrize(
    "answer",
    [
        b"\x16\x03\x01 not http",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 O\x00K\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        OK + b"Content-Length: 5, 5\r\n\r\nhello",
        OK + b"Content-Length: +5\r\n\r\nhello",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Folded: a\r\n b\r\n\r\n",
        OK + b"Spaced : a\r\n\r\n",
        OK + b"No colon\r\n\r\n",
        OK + b"Nul: a\x00b\r\n\r\n",
        OK + b"Bare: a\rb\r\n\r\n",
        OK + b"Bare: a\nb: c\r\n\r\n",
        OK + b"Many: 1\r\n" * 201 + b"\r\n",
        OK + b"Long: " + b"x" * MAX_HEAD + b"\r\n\r\n",
        OK + b"Endless: " + b"x" * MAX_HEAD,
        CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"1_0\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n",
        CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"4\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"fffffffffffffffff\r\nhello",
        CHUNKED + b"5;" + b"x" * 300 + b"\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"0\r\n" + b"Some: trailer\r\n" * 1000 + b"\r\n",
    ],
)
def test_ambiguous_framing_is_refused(answer: bytes) -> None:
    """What two parsers could read in two ways, or could grow without end, is an error."""
    with pytest.raises(httpx2.RemoteProtocolError):
        read(answer)


@pytest.mark.parametrize(
    "answer", [OK + b"Content-Length: 5\r\n\r\nhell", CHUNKED + b"5\r\nhello\r\n", CHUNKED + b"5\r\nhello\r\n0\r\n"]
)
def test_a_cut_body_is_an_error(answer: bytes) -> None:
    """A body that ends before its frame says so is not taken for a whole one."""
    with pytest.raises(httpx2.RemoteProtocolError):
        read(answer)


def test_bytes_after_the_body_stay() -> None:
    """What follows a body is not part of it."""
    _, payload, rest = read(OK + b"Content-Length: 2\r\n\r\nhi, there")

    assert (payload, bytes(rest)) == (b"hi", b", there")


@pytest.mark.parametrize(
    ("headers", "minor", "kept"),
    [(b"", 1, True), (b"close", 1, False), (b"x, Close", 1, False), (b"", 0, False), (b"Keep-Alive", 0, True)],
)
def test_keep_alive_follows_the_version_and_the_header(headers: bytes, minor: int, kept: bool) -> None:
    """HTTP/1.1 keeps a connection unless told otherwise, HTTP/1.0 the other way round."""
    head = Head(minor, 200, b"", [(b"Connection", headers)] if headers else [])

    assert head.keeps_alive is kept


@pytest.mark.parametrize(
    ("method", "target", "header"),
    [
        ("GET", b"/", (b"X", b"a\r\nHost: evil")),
        ("GET", b"/", (b"X", b"a\nb")),
        ("GET", b"/", (b"X\r\nY", b"a")),
        ("GET", b"/", (b"X", b"a\0")),
        ("GET", b"/a HTTP/1.1\r\nX:", (b"X", b"a")),
        ("GET", b"/a b", (b"X", b"a")),
        ("GE T", b"/", (b"X", b"a")),
        ("", b"/", (b"X", b"a")),
    ],
)
def test_a_request_cannot_smuggle_in_a_line(method: str, target: bytes, header: tuple[bytes, bytes]) -> None:
    """A key or path with a line break never reaches the wire."""
    with pytest.raises(httpx2.LocalProtocolError):
        encode_head(method, target, [header])
