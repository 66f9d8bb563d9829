"""A caller's own words for a provider of his dialect, and that provider's for him: what may pass as it is. Pure.

Nobody judges these words here but the provider, whose refusal the caller gets. Words that only we understand, and
models whose family needs other ones, have to be translated instead.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from osaurus_nb.errors import RequestError
from osaurus_nb.models import ModelCard, Quirk
from osaurus_nb.request import ChatRequest, Delivery, RouteOptions, Sent
from osaurus_nb.wire import _marker, _routing
from osaurus_nb.wire._json import parse
from osaurus_nb.wire._opaque import SEAL
from osaurus_nb.wire._payloads import Frame
from osaurus_nb.wire._reading import Relay
from osaurus_nb.wire._sse import ascii_json

#: Where a parser of somebody else's may end a line.
OTHER_BREAKS = tuple(character.encode() for character in "\r\x85\u2028\u2029")
_BREAKS = (b"\n", *OTHER_BREAKS)


#: For an oddity the keys that its codec translates, or None for all of the body.
Touched = Mapping[Quirk, tuple[str, ...] | None]
#: The head of a request, and its body parsed.
Head = tuple[ChatRequest, dict[str, Any]]


def read_head(
    body: bytes, *, model: str | None = None, stream: bool | None = None, own: Collection[str] = ()
) -> Head | None:
    """The head of a request; `model` and `stream` where the dialect has them in the address.

    None for what has to be read with care: it holds state that we sealed, words that only we can tell the provider, or
    the head itself is odd. `own` are names for effort that are the dialect's, not ours.
    """
    if SEAL in body:
        return None
    try:
        payload = parse(body)
    except RequestError:
        return None
    if not isinstance(payload, dict):
        return None
    model = model or payload.get("model")
    stream = payload.get("stream") if stream is None else stream
    if not (isinstance(model, str) and model and isinstance(stream, bool | None)):
        return None
    route = _route(payload, own)
    if route is None or _marker.is_marked(payload):
        return None
    return ChatRequest(model, (), route=route, delivery=Delivery(bool(stream))), payload


def _route(payload: Mapping[str, Any], own: Collection[str]) -> RouteOptions | None:
    """None where the provider's own words cannot answer it: warnings are errors, or the answer has more than they say.

    An effort in our words is the provider's only once it is translated.
    """
    if any(key in payload and key not in own and _routing.is_ours(key, payload[key]) for key in _routing.EFFORT):
        return None
    try:
        route = _routing.read(payload)
    except RequestError:
        return None
    return None if route.strict_params or route.explain or route.resume != "off" else route


def unchanged(sent: Sent, card: ModelCard, touched: Touched) -> dict[str, Any] | None:
    """The body without our own keys; None when the card has an oddity that makes us translate it.

    `touched` names, for each oddity that the dialect's codec knows, the keys that are then translated.
    """
    for quirk, keys in touched.items():
        if quirk in card.quirks and (keys is None or any(sent.body.get(key) is not None for key in keys)):
            return None
    return {
        key: value for key, value in sent.body.items() if key in _routing.EFFORT or not _routing.is_ours(key, value)
    }


def relay(mend: Callable[[Frame], bytes], *, stream: bool, words: Callable[[bytes], int] | None = None) -> Relay:
    """Hands on what came in the form that was asked for; what came in the other one is left to an encoder.

    `mend` writes one event of a stream, strictly. A whole body stays as it is. `words` as in `Relay`.
    """
    if stream:
        return Relay(lambda frame: mend(frame) if frame.content and not frame.whole else b"", words)
    return Relay(lambda frame: frame.content if frame.whole else b"")


def strict_events(data: bytes, head: bytes) -> int:
    """How many events these bytes are, if they are nothing but whole ones that begin like this; else 0."""
    count = data.count(head)
    exact = data.count(b"\n\n") == count and data.count(b"\n") == count * (head.count(b"\n") + 2)
    if not exact or data.count(b"\n\n" + head) != count - 1 or not data.startswith(head) or not data.endswith(b"}\n\n"):
        return 0
    return 0 if any(split in data for split in OTHER_BREAKS) else count


class Words:
    """Knows a word by how the last one was framed; where that differs, `look` takes the trouble. Made for one stream.

    `look` counts the events in bytes that hold nothing but words; `marks` are what stands before one.
    """

    def __init__(self, look: Callable[[bytes], int], *marks: bytes) -> None:
        self._look = look
        self._marks = marks
        self._head = self._tail = b""

    def __call__(self, data: bytes) -> int:
        if self._head and data.startswith(self._head) and data.endswith(self._tail):
            word = data[len(self._head) : -len(self._tail)]
            if word.isascii() and b'"' not in word and b"\n" not in word and word[-1:] not in (b"\\", b"\r", b""):
                return 1
        count = self._look(data)
        if count == 1:
            self._learn(data)
        return count

    def _learn(self, data: bytes) -> None:
        found = next((data.find(mark) + len(mark) for mark in self._marks if mark in data), None)
        if found is not None:
            self._head, self._tail = data[:found], data[data.index(b'"', found) :]


def line(frame: Frame) -> bytes:
    """The object on one line, which no parser takes for two."""
    content = frame.content
    if any(split in content for split in _BREAKS):
        return rewritten(frame.payload)
    return content


def rewritten(payload: Mapping[str, Any]) -> bytes:
    return ascii_json(payload)


def data_line(frame: Frame) -> bytes:
    """A server-sent event without a name."""
    return b"data: " + line(frame) + b"\n\n"


def named_event(frame: Frame) -> bytes:
    """A server-sent event under the name that its `type` says; nothing for an object without one."""
    kind = frame.payload.get("type")
    if not isinstance(kind, str) or not kind.isprintable():
        return b""
    return b"event: " + kind.encode() + b"\ndata: " + line(frame) + b"\n\n"
