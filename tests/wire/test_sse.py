"""Server-sent events: however the bytes are cut, the same events come out."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb.wire._sse import Reader, ServerEvent, frame

LINES = st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=("Cs",)), min_size=1, max_size=20)


def read(pieces: list[bytes]) -> list[ServerEvent]:
    reader = Reader()
    return [event for piece in pieces for event in reader.feed(piece)] + reader.flush()


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(st.lists(LINES, min_size=1, max_size=5), st.sampled_from(["\n", "\r", "\r\n"]), st.lists(st.integers(0, 500)))
def test_bytes_may_split_anywhere(payloads: list[str], end: str, places: list[int]) -> None:
    """Line ends of all three kinds, cut at any byte, give the same events."""
    stream = "".join(f"data: {payload}{end}{end}" for payload in payloads).encode()

    events = read(cut(stream, places))

    assert [event.data.decode() for event in events] == payloads


def test_a_line_separator_inside_json_does_not_split() -> None:
    """Only CR and LF end a line: U+2028 and U+0085 are part of the text."""
    stream = 'data: {"a": "x\u2028y\u0085z"}\n\n'.encode()

    [event] = read([stream])

    assert "\u2028" in event.data.decode()
    assert "\u0085" in event.data.decode()


def test_what_real_providers_leave_out_is_accepted() -> None:
    """A BOM, comments, a missing space, several data lines and a missing last blank line are all read."""
    stream = b"\xef\xbb\xbf: hello\nevent: note\ndata:one\ndata: two\n\nid: 7\nretry: 10\n\ndata: last"

    events = read([stream[:1], stream[1:2], stream[2:]])

    assert events == [ServerEvent("note", b"one\ntwo"), ServerEvent(None, b"last")]


def test_what_we_write_is_one_ascii_line() -> None:
    """Strict writing: one data line, ASCII only, so that no parser can split it."""
    written = frame({"text": "a\u2028b\nü"})

    assert written.startswith(b"data: ")
    assert written.endswith(b"\n\n")
    assert written.count(b"\n") == 2
    assert written.isascii()
