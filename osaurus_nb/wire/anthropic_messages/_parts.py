"""A content block of an answer while its deltas arrive."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from osaurus_nb import events as ev
from osaurus_nb.messages import Opaque
from osaurus_nb.wire._opaque import keep, unseal
from osaurus_nb.wire.anthropic_messages._versions import NAME


class OpenPart(Protocol):
    """One part, from its start to its end. `end` may come once; after it nothing is added."""

    index: int

    def begin(self, block: Mapping[str, Any], /) -> Iterator[ev.Event]:
        """What the start of the block says already."""

    def add(self, delta: Mapping[str, Any], /) -> Iterator[ev.Event]: ...

    def end(self) -> Iterator[ev.Event]: ...

    def finish(self, *, whole: bool) -> Iterator[ev.Event]:
        """The answer is over. `whole`: by itself, not by a limit."""


def part_of(block: Mapping[str, Any], index: int) -> OpenPart | None:
    """The part that this block becomes; None for a kind that we do not read."""
    kind = _KINDS.get(str(block.get("type")))
    return None if kind is None else kind(index)


class _Part:
    """What all kinds share: a place, state of the dialect, and one end."""

    def __init__(self, index: int) -> None:
        self.index = index
        self._ended = False
        self._state: dict[str, Any] = {}

    def end(self) -> Iterator[ev.Event]:
        if not self._ended:
            self._ended = True
            yield ev.PartEnded(self.index, provider_metadata=self._kept())

    def finish(self, *, whole: bool) -> Iterator[ev.Event]:
        yield from self.end()

    def _kept(self) -> Opaque | None:
        return keep(NAME, self._state)


class _Text(_Part):
    def begin(self, block: Mapping[str, Any]) -> Iterator[ev.Event]:
        return self.add(block)

    def add(self, delta: Mapping[str, Any]) -> Iterator[ev.Event]:
        text, citations = delta.get("text"), delta.get("citations")
        if isinstance(text, str) and text:
            yield ev.TextDelta(text, self.index)
        rows = citations if isinstance(citations, list) else [delta["citation"]] if "citation" in delta else []
        if rows:
            self._state.setdefault("citations", []).extend(rows)


class _Thinking(_Part):
    _sealed: Opaque | None = None

    def begin(self, block: Mapping[str, Any]) -> Iterator[ev.Event]:
        return self.add(block)

    def add(self, delta: Mapping[str, Any]) -> Iterator[ev.Event]:
        if isinstance(text := delta.get("thinking"), str) and text:
            yield ev.ReasoningDelta(text, self.index)
        if isinstance(signature := delta.get("signature"), str) and signature:
            self._sealed = unseal(signature)
            self._state = {} if self._sealed else {"signature": signature}

    def _kept(self) -> Opaque | None:
        """A gateway of ours sealed what another dialect attached."""
        return self._sealed or super()._kept()


class _Redacted(_Part):
    def begin(self, block: Mapping[str, Any]) -> Iterator[ev.Event]:
        return self.add(block)

    def add(self, delta: Mapping[str, Any]) -> Iterator[ev.Event]:
        if isinstance(data := delta.get("data"), str) and data:
            yield ev.ReasoningDelta("", self.index, provider_metadata=unseal(data) or {NAME: {"data": data}})


class _Call(_Part):
    """A call is whole when its arguments are a JSON object: cut ones have no end, so that nobody runs them."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self._written: list[str] = []
        self._stopped = False

    def begin(self, block: Mapping[str, Any]) -> Iterator[ev.Event]:
        id = str(block.get("id") or f"toolu_{self.index}")
        yield ev.ToolCallStarted(id, str(block.get("name") or ""), self.index)
        if isinstance(given := block.get("input"), dict) and given:
            yield self._more(json.dumps(given, ensure_ascii=False))
        if (caller := block.get("caller")) not in (None, {"type": "direct"}):
            self._state["caller"] = caller

    def add(self, delta: Mapping[str, Any]) -> Iterator[ev.Event]:
        if isinstance(piece := delta.get("partial_json"), str) and piece:
            yield self._more(piece)

    def end(self) -> Iterator[ev.Event]:
        self._stopped = True
        if self._written and _is_object("".join(self._written)):
            yield from super().end()

    def finish(self, *, whole: bool) -> Iterator[ev.Event]:
        if whole and self._stopped and not self._written:  # a call without arguments, and not one cut before them
            yield self._more("{}")
            yield from self.end()

    def _more(self, piece: str) -> ev.ToolCallDelta:
        self._written.append(piece)
        return ev.ToolCallDelta(piece, self.index)


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        return False


_KINDS: Mapping[str, Callable[[int], OpenPart]] = {
    "text": _Text,
    "thinking": _Thinking,
    "redacted_thinking": _Redacted,
    "tool_use": _Call,
}
