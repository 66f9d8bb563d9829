"""One answer, from a provider's bytes to our events. What a dialect means by its objects is a `Meaning`. Pure.

With a `relay` the bytes go along, as one `Relayed` instead of the deltas that they say: for a caller who speaks the
same dialect and shall miss nothing of what the provider wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from osaurus_nb import events as ev
from osaurus_nb.errors import ProviderError
from osaurus_nb.wire._payloads import Frame

_SAID = (ev.TextDelta, ev.ReasoningDelta, ev.ToolCallDelta)


@dataclass(frozen=True, slots=True)
class Relay:
    """What of an answer may be handed on, fit for the caller's parser.

    `mend` gives it for one frame; nothing where it is not meant for the caller. `words` looks at bytes as they came:
    how many events they are, if each is one more word and written strictly; else 0. Those need not even be parsed.
    """

    mend: Callable[[Frame], bytes]
    words: Callable[[bytes], int] | None = None


class Frames(Protocol):
    """Bytes in, objects out."""

    done: bool

    @property
    def between(self) -> bool: ...

    def feed(self, data: bytes, /) -> Iterator[Frame]: ...

    def close(self) -> Iterator[Frame]: ...


class Meaning(Protocol):
    """What the objects of one answer say. `done` turns true at the last one: nothing after it counts."""

    done: bool

    def take(self, payload: Mapping[str, Any], /) -> Iterable[ev.Event]: ...

    def end(self, *, marked: bool) -> Iterable[ev.Event]:
        """What was held back. `marked`: the bytes themselves had an end mark. Raises BadAnswer for half an answer."""


class Reading:
    """An EventDecoder. What came before a fault is told before the fault is raised."""

    def __init__(self, frames: Frames, meaning: Meaning, relay: Relay | None = None) -> None:
        self._frames = frames
        self._meaning = meaning
        self._relay = relay
        self._words = relay.words if relay is not None else None
        self._speaking = False
        self._fault: ProviderError | None = None

    @property
    def done(self) -> bool:
        return self._meaning.done or self._frames.done or self._fault is not None

    def feed(self, data: bytes) -> list[ev.Event]:
        if self._speaking and self._words is not None and self._frames.between and (count := self._words(data)):
            return [ev.Relayed(data, count, token=True, visible=True)]
        return self._events(self._frames.feed(data))

    def close(self) -> list[ev.Event]:
        events = [] if self._fault else self._events(self._frames.close())
        if self._fault:
            raise self._fault
        return [*events, *self._meaning.end(marked=self._frames.done)]

    def _events(self, frames: Iterable[Frame]) -> list[ev.Event]:
        events: list[ev.Event] = []
        relayed: list[bytes] = []
        try:
            for frame in frames:
                if self._meaning.done:
                    break
                events += self._meaning.take(frame.payload)
                if self._relay is not None and (data := self._relay.mend(frame)):
                    relayed.append(data)
        except ProviderError as fault:
            if not events:
                raise
            self._fault = fault
        self._speaking = self._speaking or any(map(ev.is_visible, events))
        return _behind(relayed, events) if relayed else _joined(events)


def _behind(relayed: list[bytes], events: list[ev.Event]) -> list[ev.Event]:
    """The bytes and the events beside them."""
    token, visible = any(map(ev.is_token, events)), any(map(ev.is_visible, events))
    started = [event for event in events if isinstance(event, ev.Started)]  # headers say it, and go first
    rest = [event for event in events if not isinstance(event, (*_SAID, ev.Started))]
    return [*started, ev.Relayed(b"".join(relayed), len(relayed), token, visible), *rest]


def _joined(events: list[ev.Event]) -> list[ev.Event]:
    """Words that arrived together go on together: each event costs more on its way than its text is worth."""
    if len(events) < 2:
        return events
    joined: list[ev.Event] = []
    for event in events:
        last = joined[-1] if joined else None
        if isinstance(event, ev.TextDelta) and isinstance(last, ev.TextDelta) and _same_part(last, event):
            joined[-1] = ev.TextDelta(last.text + event.text, event.index, event.choice)
        else:
            joined.append(event)
    return joined


def _same_part(one: ev.TextDelta, other: ev.TextDelta) -> bool:
    bare = not one.logprobs and not other.logprobs
    return bare and (one.index, one.choice) == (other.index, other.choice)
