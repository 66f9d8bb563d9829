"""Every way in which a provider fails that we know of, by name, and the bytes of each. Pure: no I/O, no clock.

`FAULTS` is the list. A fault is a row: what happens, in words, and a function that plays it as steps: bytes that are
sent, seconds that pass, or how the connection ends.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from itertools import chain, repeat

from osaurus_nb.testing.faulty_dialects import WRITERS, Frames, Said, Writer


class End(Enum):
    """How a connection ends, where it does not by itself."""

    HANG_UP = "closed"
    RESET = "reset"
    SILENCE = "left open, and nothing comes any more"


Step = bytes | float | End
PIECE = 64 * 1024
MEBI = 1 << 20
_STREAM = "text/event-stream"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to play a fault for. `options` come from the model's name."""

    writer: Writer
    model: str = "m"
    stream: bool = False
    options: Mapping[str, str] = field(default_factory=dict)

    def number(self, name: str, usual: float) -> float:
        return float(self.options.get(name, usual))

    def frames(self, said: Said) -> Frames:
        return self.writer.frames(self.model, said)

    def whole(self, said: Said) -> bytes:
        return json.dumps(self.writer.whole(self.model, said)).encode()

    def error(self, status: int, code: str = "") -> bytes:
        return json.dumps(self.writer.error(status, code, "It was asked for.")).encode()


Play = Callable[[Ask], Iterator[Step]]


@dataclass(frozen=True, slots=True)
class Fault:
    """`happens` completes "The provider …"."""

    happens: str
    play: Play


# How an answer is framed


def head(status: int = 200, kind: str = _JSON, **more: str | int) -> bytes:
    """A head of one part; what is not named is left to the end of the connection."""
    phrase = HTTPStatus(status).phrase if status in {known.value for known in HTTPStatus} else ""
    fields = {"Content-Type": kind} | {name.replace("_", "-").title(): str(value) for name, value in more.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} {phrase}\r\n{lines}\r\n".encode()


def sized(body: bytes, status: int = 200, kind: str = _JSON, **more: str | int) -> bytes:
    """A whole answer."""
    return head(status, kind, content_length=len(body), **more) + body


def chunked(pieces: Sequence[bytes], *, over: bool = True) -> Iterator[Step]:
    """A stream; without its last chunk if it is not `over`."""
    yield head(kind=_STREAM, transfer_encoding="chunked")
    yield from map(chunk, pieces)
    if over:
        yield chunk(b"")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def answer(said: Said = Said()) -> Play:  # noqa: B008 - a frozen value
    """All of it, in one piece or streamed, as it was asked for."""

    def play(ask: Ask) -> Iterator[Step]:
        return chunked(ask.frames(said).all) if ask.stream else iter([sized(ask.whole(said))])

    return play


def streamed(change: Callable[[Frames], Sequence[bytes]], then: End | None = None, *, over: bool = True) -> Play:
    """These frames of a good answer, and then an end. In one piece: half of the body comes before it."""

    def play(ask: Ask) -> Iterator[Step]:
        if ask.stream:
            yield from chunked(change(ask.frames(Said())), over=over)
        else:
            body = ask.whole(Said())
            yield head(content_length=len(body)) + (body if then is None else body[: len(body) // 2])
        if then is not None:
            yield then

    return play


def half(frames: Frames) -> Sequence[bytes]:
    return [*frames.opening, *frames.tokens[: len(frames.tokens) // 2]]


def raw(*steps: Step) -> Play:
    """The same whatever is asked."""
    return lambda ask: iter(steps)


# Faults that take more than a line


def status(code: int) -> Play:
    """An error with this status: `503?retry_after=2&error=overloaded&should_retry=false`."""

    def play(ask: Ask) -> Iterator[Step]:
        told = {name: value for name, value in ask.options.items() if name in ("retry_after", "retry_after_ms")}
        if "should_retry" in ask.options:
            told["x_should_retry"] = ask.options["should_retry"]
        if 300 <= code < 400:
            told["location"] = "http://elsewhere.invalid/v1"
        yield sized(ask.error(code, ask.options.get("error", "")), code, **told)

    return play


def _in_answer(ask: Ask) -> Iterator[Step]:
    if not ask.stream:
        return iter([sized(ask.error(500, "server_error"))])
    return chunked([*half(ask.frames(Said())), ask.writer.error_frame("server_error", "It was asked for.")])


def _instead(ask: Ask) -> Iterator[Step]:
    code = ask.options.get("error", "server_error")
    if not ask.stream:
        return iter([sized(ask.error(500, code))])
    return chunked([ask.writer.error_frame(code, "It was asked for.")])


def _torn(ask: Ask) -> Iterator[Step]:
    """In the middle of a frame, which the end of the body makes look whole to whoever does not look at its JSON."""
    if not ask.stream:
        body = ask.whole(Said())
        return iter([sized(body[: len(body) // 2])])
    *frames, last = half(ask.frames(Said()))
    return chunked([*frames, last[: len(last) // 2]])


def _one_frame(data: bytes) -> Play:
    """This instead of an answer, or of its first frame."""

    def play(ask: Ask) -> Iterator[Step]:
        if not ask.stream:
            return iter([sized(data)])
        return chunked([*ask.frames(Said()).opening, b"data: " + data + b"\n\n"])

    return play


def _endless(said: Said) -> Play:
    """For ever; the names of options: `interval`, in seconds."""

    def play(ask: Ask) -> Iterator[Step]:
        frames = ask.frames(said)
        pace = ask.number("interval", 0.0)
        if not ask.stream:
            return chain([head(transfer_encoding="chunked"), chunk(b'{"a": "')], repeat(chunk(b"x" * PIECE)))
        forever = (step for frame in _again(frames) for step in ((chunk(frame), pace) if pace else (chunk(frame),)))
        return chain([head(kind=_STREAM, transfer_encoding="chunked"), *map(chunk, frames.opening)], forever)

    return play


def _again(frames: Frames) -> Iterator[bytes]:
    """All tokens, and then those that bring a piece, again and again."""
    yield from frames.tokens[:-3] or frames.tokens
    middle = frames.tokens[len(frames.tokens) // 2]
    while True:
        yield middle


def _comments(ask: Ask) -> Iterator[Step]:
    """Keep-alives: comments in a stream, blanks before a whole body."""
    piece, kind = (chunk(b": alive\n\n"), _STREAM) if ask.stream else (chunk(b" "), _JSON)
    yield head(kind=kind, transfer_encoding="chunked")
    while True:
        yield piece
        yield ask.number("interval", 0.02)


def _trickle(ask: Ask) -> Iterator[Step]:
    """One byte now and then: never silent, never done."""
    body = b"".join(ask.frames(Said()).all) if ask.stream else ask.whole(Said())
    yield head(kind=_STREAM if ask.stream else _JSON, content_length=len(body))
    for at in range(len(body)):
        yield body[at : at + 1]
        yield ask.number("interval", 0.02)


def _line(ask: Ask) -> Iterator[Step]:
    """A frame, or a string, that does not end."""
    yield head(kind=_STREAM if ask.stream else _JSON, transfer_encoding="chunked")
    yield chunk(b"data: {" if ask.stream else b'{"a": "')
    while True:
        yield chunk(b"x" * PIECE)


def _event(ask: Ask) -> Iterator[Step]:
    """One event of short lines that is never over; a body of blanks."""
    yield head(kind=_STREAM if ask.stream else _JSON, transfer_encoding="chunked")
    while True:
        yield chunk((b"data: ab\n" if ask.stream else b"         ") * 7000)


def _error(ask: Ask) -> Iterator[Step]:
    """An error that is explained for ever."""
    yield head(503, transfer_encoding="chunked")
    yield chunk(b'{"error": {"message": "')
    while True:
        yield chunk(b"x" * PIECE)


def _huge(ask: Ask) -> Iterator[Step]:
    """One honest frame of so many MiB."""
    said = Said(words=["x" * int(ask.number("mib", 1) * MEBI)])
    return chunked(ask.frames(said).all) if ask.stream else iter([sized(ask.whole(said))])


def _broken_call(ask: Ask) -> Iterator[Step]:
    return answer(Said((), arguments=('{"city"', ": Par"), finish="tool_calls"))(ask)


def _cut_call(ask: Ask) -> Iterator[Step]:
    said = Said((), arguments=('{"city"', ': "Par', 'is"}'), finish="tool_calls")
    if not ask.stream:
        return streamed(half, End.HANG_UP)(ask)
    frames = ask.frames(said)
    return chain(chunked(half(frames), over=False), [End.HANG_UP])


def _packed(packed: Callable[[Ask], bytes]) -> Play:
    def play(ask: Ask) -> Iterator[Step]:
        body = packed(ask)
        yield head(kind=_STREAM if ask.stream else _JSON, content_encoding="gzip", content_length=len(body))
        yield from (body[at : at + PIECE] for at in range(0, len(body), PIECE))

    return play


@lru_cache(maxsize=2)
def _bomb(mebi: int) -> bytes:
    return gzip.compress(bytes(mebi * MEBI), 9)


def _reshaped(change: Callable[[bytes], bytes]) -> Play:
    """All of a good stream with its bytes changed; in one piece it is as it is."""

    def play(ask: Ask) -> Iterator[Step]:
        if not ask.stream:
            return iter([sized(ask.whole(Said()))])
        return chunked([change(frame) for frame in ask.frames(Said()).all])

    return play


def _bytewise(ask: Ask) -> Iterator[Step]:
    body = b"".join(ask.frames(Said()).all) if ask.stream else ask.whole(Said())
    yield head(kind=_STREAM if ask.stream else _JSON, content_length=len(body))
    yield from (body[at : at + 1] for at in range(len(body)))


_PAGE = b"<!doctype html><title>Sign in to the network</title><script>alert(1)</script>"
_STUCK = head(transfer_encoding="chunked")

#: All by name. Those of statuses are there for each that there is, see `find`.
FAULTS: Mapping[str, Fault] = {
    "good": Fault("answers", answer()),
    # before the head of an answer
    "slammed": Fault("takes the question and closes the connection", raw(End.HANG_UP)),
    "reset": Fault("takes the question and resets the connection", raw(End.RESET)),
    "silent": Fault("takes the question and says nothing", raw(End.SILENCE)),
    "garbage": Fault("answers with what is no HTTP", raw(b"\x00\xff\x13 this is not HTTP\r\n\r\n", End.HANG_UP)),
    "half-head": Fault("closes in the middle of the head", raw(b"HTTP/1.1 200 OK\r\nContent-", End.HANG_UP)),
    "endless-head": Fault(
        "sends headers without end",
        lambda ask: chain([b"HTTP/1.1 200 OK\r\n"], (b"X-%d: %b\r\n" % (at, b"x" * 900) for at in range(1 << 20))),
    ),
    "interim": Fault("says `100 Continue` for ever", lambda ask: repeat(b"HTTP/1.1 100 Continue\r\n\r\n")),
    # after the head
    "slammed-after-head": Fault("sends a head and closes", raw(_STUCK, End.HANG_UP)),
    "reset-after-head": Fault("sends a head and resets", raw(_STUCK, 0.01, End.RESET)),
    "silent-after-head": Fault("sends a head and then nothing", raw(_STUCK, End.SILENCE)),
    # a body that is no answer
    "page": Fault("answers with a web page", raw(sized(_PAGE, kind="text/html"))),
    "page-502": Fault("fails with a web page", raw(sized(_PAGE, 502, "text/html"))),
    "error-in-200": Fault("sends an error with status 200", _instead),
    "nothing": Fault("sends an empty body", raw(sized(b""))),
    "null": Fault("sends `null`", _one_frame(b"null")),
    "shape": Fault("sends JSON of another kind", _one_frame(b'{"ok": true}')),
    "bad-json": Fault("sends JSON that is none", _one_frame(b'{"choices": [{"delta": ')),
    "bad-utf8": Fault("sends bytes that are no UTF-8", _one_frame(b'{"a": "\xff\xfe\xc3\x28"}')),
    "bad-gzip": Fault("sends a packed body that is broken", _packed(lambda ask: b"\x1f\x8b\x08 no gzip")),
    "gzip-bomb": Fault("sends what unpacks to 256 MiB", _packed(lambda ask: _bomb(int(ask.number("mib", 256))))),
    # streams
    "endless": Fault("writes words for ever", _endless(Said())),
    "endless-thought": Fault("thinks for ever", _endless(Said((), ("Hm",) * 8))),
    "endless-line": Fault("sends one line for ever", _line),
    "endless-event": Fault("sends lines of one event for ever", _event),
    "endless-error": Fault("fails, and explains it for ever", _error),
    "keep-alive": Fault("sends keep-alives for ever, and no word", _comments),
    "trickle": Fault("sends a byte now and then", _trickle),
    "stall": Fault("falls silent in the middle of its answer", streamed(half, End.SILENCE, over=False)),
    "cut": Fault("closes in the middle of its answer", streamed(half, End.HANG_UP, over=False)),
    "reset-in-answer": Fault("resets in the middle of its answer", streamed(half, End.RESET, over=False)),
    "torn": Fault("ends its answer in the middle of a frame, in proper HTTP", _torn),
    "truncated": Fault("ends its answer after some words, in proper HTTP", streamed(half)),
    "error-in-answer": Fault("sends an error in the middle of its answer", _in_answer),
    "no-end-mark": Fault("leaves the mark of the end out", streamed(lambda f: [*f.opening, *f.tokens, *f.closing])),
    "double-end": Fault("ends twice", streamed(lambda f: [*f.all, *(f.end or f.closing)])),
    # answers without a use
    "empty": Fault("finishes without a word", answer(Said(()))),
    "thought-only": Fault("finishes after its thoughts", answer(Said((), ("Hm", ", hm.")))),
    "length-before-text": Fault("uses its tokens up before a word", answer(Said((), ("Hm",), finish="length"))),
    "filter-before-text": Fault("withholds its answer", answer(Said((), finish="content_filter"))),
    "length": Fault("is cut at the limit of tokens", answer(Said(finish="length"))),
    "broken-call": Fault("asks for a tool with arguments that are no JSON", _broken_call),
    "cut-call": Fault("closes in the middle of a call", _cut_call),
    # oddities that are none of our callers' business
    "json-for-stream": Fault("answers in one piece where a stream was asked", lambda a: iter([sized(a.whole(Said()))])),
    "crlf": Fault("ends its lines with CR LF", _reshaped(lambda frame: frame.replace(b"\n", b"\r\n"))),
    "commented": Fault("puts comments between its frames", _reshaped(lambda frame: b": hi\n\n" + frame)),
    "bytewise": Fault("sends each byte alone", _bytewise),
    "huge-frame": Fault("sends a word of one MiB", _huge),
    "no-usage": Fault("tells no usage", answer(Said(usage=None))),
    "absurd-usage": Fault("tells more tokens than there can be", answer(Said(usage=(-5, 10**15)))),
}


def find(name: str) -> Play | None:
    """The fault of this name, or of this status: `503`, `429`."""
    if name in FAULTS:
        return FAULTS[name].play
    return status(int(name)) if name.isdigit() and 300 <= int(name) < 600 else None


def writer_at(path: str) -> Writer | None:
    """Who answers at this path."""
    return next((found for ending, found in WRITERS.items() if path.endswith(ending)), None)
