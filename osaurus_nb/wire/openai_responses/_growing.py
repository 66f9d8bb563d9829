"""The items of a provider's answer while their events arrive, in whichever of the vendors' two namings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from osaurus_nb import events as ev
from osaurus_nb.wire._liberal import as_logprobs, as_mapping, as_rows, as_text
from osaurus_nb.wire._opaque import keep
from osaurus_nb.wire.openai_responses._names import DIALECT

_TEXT = ("response.output_text.delta", "response.refusal.delta")
_SUMMARY = "response.reasoning_summary_text.delta"
#: The words of the thinking itself: first as OpenAI names them, then as Open Responses does.
_RAW = ("response.reasoning_text.delta", "response.reasoning.delta")
_ARGUMENTS = "response.function_call_arguments.delta"


@dataclass(slots=True)
class _Item:
    """One item: which parts of ours it became, and whether words of it came already."""

    kind: str
    id: str | None = None
    #: Our part of each content index; thoughts and calls have one part, at 0.
    parts: dict[int, int] = field(default_factory=dict)
    wrote: bool = False
    #: The kind of event that the words of a thought come in, and the summary they belong to.
    source: str = ""
    summary: int = 0
    done: bool = False


class Growing:
    """Typed events in, ours out. What the last event of an item says fills in what its deltas left out."""

    def __init__(self) -> None:
        self.called = False
        self._items: dict[Any, _Item] = {}
        self._next = 0

    def add(self, kind: str, payload: Mapping[str, Any]) -> Iterator[ev.Event]:
        """The events for one of theirs; none for a kind that we do not know."""
        if kind in _TEXT:
            yield from self._text(payload)
        elif kind == _ARGUMENTS:
            yield from self._arguments(payload)
        elif kind == _SUMMARY or kind in _RAW:
            yield from self._thought(kind, payload)
        elif kind == "response.output_item.added":
            yield from self._added(_key(payload), as_mapping(payload.get("item")))
        elif kind == "response.output_item.done":
            yield from self._done(_key(payload), as_mapping(payload.get("item")))

    def finish(self, output: Sequence[Any]) -> Iterator[ev.Event]:
        """Ends what no event ended. A call that the final output does not hold whole stays unended."""
        final = [body for body in output if isinstance(body, dict)]
        if not self._items:
            for at, body in enumerate(final):
                yield from self._done(at, body)
        named = {id: body for body in final if (id := as_text(body.get("id")))}
        for key, item in list(self._items.items()):
            if item.done:
                continue
            if item.id is not None and item.id in named:
                yield from self._done(key, named[item.id])
            elif item.kind != "function_call":
                yield from (ev.PartEnded(part) for part in item.parts.values())

    def _added(self, key: Any, body: Mapping[str, Any]) -> Iterator[ev.Event]:
        if key in self._items or not body:
            return
        item = self._items[key] = _Item(str(body.get("type")), as_text(body.get("id")))
        if item.kind == "function_call":
            yield self._call(item, body)
        elif item.kind == "reasoning":
            yield ev.ReasoningDelta("", self._part(item), provider_metadata=keep(DIALECT, {"id": item.id}))

    def _text(self, payload: Mapping[str, Any]) -> Iterator[ev.Event]:
        delta = payload.get("delta")
        if not isinstance(delta, str) or not delta:
            return
        item = self._items.setdefault(_key(payload), _Item("message", as_text(payload.get("item_id"))))
        if item.done or item.kind != "message":
            return
        part = self._part(item, _content_index(payload))
        yield ev.TextDelta(delta, part, logprobs=as_logprobs(payload.get("logprobs")))

    def _arguments(self, payload: Mapping[str, Any]) -> Iterator[ev.Event]:
        """Arguments of a call that nobody announced wait for its last event, which has them all."""
        item, delta = self._items.get(_key(payload)), payload.get("delta")
        if item is None or item.done or item.kind != "function_call":
            return
        if isinstance(delta, str) and delta:
            item.wrote = True
            yield ev.ToolCallDelta(delta, item.parts[0])

    def _thought(self, kind: str, payload: Mapping[str, Any]) -> Iterator[ev.Event]:
        delta = payload.get("delta")
        if not isinstance(delta, str) or not delta:
            return
        item = self._items.setdefault(_key(payload), _Item("reasoning", as_text(payload.get("item_id"))))
        if item.done or item.kind != "reasoning":
            return
        if item.source not in ("", kind):  # it tells the same twice: as summary and in full
            return
        at = payload.get("summary_index")
        paragraph = item.wrote and isinstance(at, int) and at != item.summary
        item.summary = at if isinstance(at, int) else item.summary
        item.source, item.wrote = kind, True
        yield ev.ReasoningDelta("\n\n" + delta if paragraph else delta, self._part(item))

    def _done(self, key: Any, body: Mapping[str, Any]) -> Iterator[ev.Event]:
        item = self._items.setdefault(key, _Item(str(body.get("type")), as_text(body.get("id"))))
        if item.done:
            return
        item.done = True
        match item.kind:
            case "message":
                yield from self._message_done(item, body)
            case "function_call":
                yield from self._call_done(item, body)
            case "reasoning" | "compaction":
                yield from self._thought_done(item, body)

    def _message_done(self, item: _Item, body: Mapping[str, Any]) -> Iterator[ev.Event]:
        phase = as_text(body.get("phase"))
        for at, content in enumerate(as_rows(body.get("content"))):
            text = as_text(content.get("text")) or as_text(content.get("refusal"))
            if at not in item.parts and text:
                yield ev.TextDelta(text, self._part(item, at), logprobs=as_logprobs(content.get("logprobs")))
            if at in item.parts:
                kept = keep(DIALECT, {"phase": phase, "annotations": as_rows(content.get("annotations")) or None})
                yield ev.PartEnded(item.parts.pop(at), provider_metadata=kept)
        yield from (ev.PartEnded(part) for part in item.parts.values())

    def _call_done(self, item: _Item, body: Mapping[str, Any]) -> Iterator[ev.Event]:
        if not item.parts:
            yield self._call(item, body)
        arguments = as_text(body.get("arguments"))
        if not item.wrote and arguments:
            yield ev.ToolCallDelta(arguments, item.parts[0])
        if body.get("status") != "incomplete":
            yield ev.PartEnded(item.parts[0])

    def _thought_done(self, item: _Item, body: Mapping[str, Any]) -> Iterator[ev.Event]:
        summary, content = as_rows(body.get("summary")), as_rows(body.get("content"))
        if not item.wrote:
            text = "\n\n".join(as_text(row.get("text")) or "" for row in summary or content)
            item.source = _RAW[0] if content and not summary else ""
            yield ev.ReasoningDelta(text, self._part(item))
        fields = {
            "type": "compaction" if item.kind == "compaction" else None,
            "id": as_text(body.get("id")),
            "encrypted_content": as_text(body.get("encrypted_content")),
            "raw": True if item.source in _RAW else None,
        }
        yield ev.PartEnded(item.parts[0], provider_metadata=keep(DIALECT, fields))

    def _call(self, item: _Item, body: Mapping[str, Any]) -> ev.ToolCallStarted:
        self.called = True
        part = self._part(item)
        id = as_text(body.get("call_id")) or item.id or f"call_{part}"
        return ev.ToolCallStarted(id, as_text(body.get("name")) or "", part)

    def _part(self, item: _Item, at: int = 0) -> int:
        if at not in item.parts:
            item.parts[at] = self._next
            self._next += 1
        return item.parts[at]


def _key(payload: Mapping[str, Any]) -> Any:
    """Which item an event is about: by its index, else by its id."""
    index = payload.get("output_index")
    if isinstance(index, int):
        return index
    return as_text(payload.get("item_id")) or as_text(as_mapping(payload.get("item")).get("id"))


def _content_index(payload: Mapping[str, Any]) -> int:
    index = payload.get("content_index")
    return index if isinstance(index, int) else 0
