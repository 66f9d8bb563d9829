"""What a model worker and its clients say to each other. Pure: bytes to frames and back, no sockets.

A frame is a JSON text behind its length in four bytes. Values of the vocabulary travel as objects tagged with their
class; foreign JSON (schemas, metadata) travels untouched, vectors as the bytes of their floats. A frame that is too
long or not of this table is refused.
"""

from __future__ import annotations

import base64
import json
import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from osaurus_nb import decisions, embeddings, errors, events, messages, models, request, routes

#: Raised with every change of the frames: workers and clients of different versions never meet.
VERSION = 6
#: Longer than any prompt that a window can hold; a longer frame is a broken peer.
LONGEST_FRAME = 64 << 20

_LENGTH = struct.Struct(">I")


#: What a question that is answered in one piece may be answered with.
Value = models.TokenCount | embeddings.Embeddings | decisions.Decisions


class ProtocolError(ValueError):
    """The other side sent what no peer of this version sends."""


@dataclass(frozen=True, slots=True)
class Hello:
    """First frame of a client: the token from the worker's private file."""

    token: str

    def __repr__(self) -> str:
        return "Hello()"


@dataclass(frozen=True, slots=True)
class Generate:
    id: int
    request: request.ChatRequest


@dataclass(frozen=True, slots=True)
class Embed:
    id: int
    request: embeddings.EmbeddingRequest


@dataclass(frozen=True, slots=True)
class Decide:
    id: int
    request: decisions.DecisionRequest


@dataclass(frozen=True, slots=True)
class Count:
    """How many tokens has this prompt? Answered beside the engine, whatever runs there."""

    id: int
    request: request.ChatRequest


@dataclass(frozen=True, slots=True)
class Cancel:
    id: int


@dataclass(frozen=True, slots=True)
class AskHealth:
    pass


@dataclass(frozen=True, slots=True)
class Shutdown:
    pass


@dataclass(frozen=True, slots=True)
class Welcome:
    """First frame of a worker, to a client that it lets in."""

    pid: int
    model: str


@dataclass(frozen=True, slots=True)
class Streamed:
    """What one step of the engine brought for one request."""

    id: int
    events: tuple[events.Event, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """The whole answer to a question that is answered in one piece."""

    id: int
    value: Value


@dataclass(frozen=True, slots=True)
class Fault:
    """An error that one request ended in, by the name of its class."""

    id: int
    kind: str
    message: str
    param: str | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """How a worker is.

    `beat_age` is the seconds since its engine last moved; it matters only while work is pending. `leaves_in` is when it
    goes if nobody asks it anything more.
    """

    pid: int
    model: str
    profile: str
    blas_fast: bool
    blas_reason: str
    uptime: float
    beat_age: float
    running: int
    waiting: int
    answered: int
    memory_bytes: int
    cache_bytes: int
    leaves_in: float = 0.0


@dataclass(frozen=True, slots=True)
class Farewell:
    """The worker is leaving of its own will: what it has not begun may be asked of its successor."""


FromClient = Hello | Generate | Embed | Decide | Count | Cancel | AskHealth | Shutdown
FromWorker = Welcome | Streamed | Answered | Fault | Health | Farewell
Frame = FromClient | FromWorker

_FRAMES = (
    *(Hello, Generate, Embed, Decide, Count, Cancel, AskHealth, Shutdown),
    *(Welcome, Streamed, Answered, Fault, Health, Farewell),
)
_CLASSES: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        *_FRAMES,
        *(messages.Message, messages.Text, messages.Reasoning, messages.ToolCall, messages.ToolResult),
        *(request.ChatRequest, request.Tool, request.NamedTool, request.ResponseFormat, request.Sampling),
        *(request.RouteOptions, routes.Requirements, request.Delivery, models.Usage, models.TokenCount),
        *(embeddings.EmbeddingRequest, embeddings.Embeddings, decisions.DecisionRequest, decisions.Decisions),
        *(decisions.Verdict, decisions.Predicate, decisions.Choice, decisions.Score, decisions.Option),
        *(events.Started, events.TextDelta, events.ReasoningDelta, events.ToolCallStarted, events.ToolCallDelta),
        *(events.PartEnded, events.UsageReported, events.Warned, events.Finished, events.TokenLogprob),
    )
}
_FIELDS = {kind: tuple(field.name for field in fields(kind)) for kind in _CLASSES.values()}

#: The faults that a worker may name, with how to raise them again on the client's side.
_OURS: dict[str, type[errors.RequestError | errors.LocalModelError]] = {
    kind.__name__: kind
    for kind in (
        *(errors.RequestError, errors.Unsupported, errors.ContextTooLong),
        *(errors.LocalModelError, errors.ModelRejected),
    )
}
_THEIRS: dict[str, type[errors.ProviderError]] = {
    kind.__name__: kind for kind in (errors.RateLimited, errors.Unavailable, errors.WorkerDied)
}


def encode(frame: Frame) -> bytes:
    """The bytes of one frame."""
    body = json.dumps(_pack(frame), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Bytes in, frames out, however the bytes are split."""

    def __init__(self, *, longest: int = LONGEST_FRAME) -> None:
        self._buffer = bytearray()
        self._longest = longest

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now. Raises ProtocolError for what is none."""
        self._buffer += data
        found = []
        while (body := self._next()) is not None:
            found.append(_frame(body))
        return found

    def _next(self) -> bytes | None:
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > self._longest:
            raise ProtocolError(f"a frame of {length} bytes")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        return body


def fault_of(id: int, error: errors.OsaurusError) -> Fault:
    """How this error is told to the client."""
    kind = type(error).__name__
    known = kind in _OURS or kind in _THEIRS
    return Fault(id, kind if known else "Unavailable", error.message, error.param, error.retry_after)


def error_of(fault: Fault, *, provider: str, model: str) -> errors.OsaurusError:
    """The error that a worker told, to be raised again."""
    if (ours := _OURS.get(fault.kind)) is not None:
        return ours(fault.message, param=fault.param, retry_after=fault.retry_after)
    theirs = _THEIRS.get(fault.kind, errors.Unavailable)
    return theirs(fault.message, provider=provider, model=model, retry_after=fault.retry_after)


def _frame(body: bytes) -> Frame:
    try:
        value = _unpack(json.loads(body.decode("utf-8", "surrogatepass")))
    except (ValueError, TypeError, KeyError, RecursionError) as fault:
        # Chained to nothing: the text of a decoding error may quote the prompt.
        raise ProtocolError(f"a frame that cannot be read: {type(fault).__name__}") from None
    if not isinstance(value, _FRAMES):
        raise ProtocolError("a value that is no frame")
    return value


def _pack(value: Any) -> Any:
    if is_dataclass(value):
        kind = type(value)
        return {"$": kind.__name__, **{name: _pack(getattr(value, name)) for name in _FIELDS[kind]}}
    if isinstance(value, Mapping):
        return {"$json": dict(value)}
    if isinstance(value, tuple):
        return [_pack(item) for item in value]
    if isinstance(value, array):
        return {"$floats": base64.b64encode(value.tobytes()).decode("ascii")}
    return value


def _unpack(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_unpack(item) for item in value)
    if not isinstance(value, dict):
        return value
    if "$json" in value:
        return value["$json"]
    if "$floats" in value:
        return array("f", base64.b64decode(value["$floats"], validate=True))
    kind = _CLASSES[value.pop("$")]
    return kind(**{name: _unpack(item) for name, item in value.items()})
