"""A provider's Messages stream, or its body in one piece, becomes our events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from osaurus_nb import events as ev
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.wire import _errors
from osaurus_nb.wire._liberal import as_count, as_mapping
from osaurus_nb.wire._payloads import Payloads, bad
from osaurus_nb.wire._reading import Reading, Relay
from osaurus_nb.wire.anthropic_messages._parts import OpenPart, part_of

_REASONS: Mapping[str, ev.FinishReason] = MappingProxyType(
    {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "tool_use": "tool_calls",
        "refusal": "content_filter",
    }
)


def event_decoder(card: ModelCard, relay: Relay | None = None) -> Reading:
    return Reading(Payloads(card), _Meaning(card), relay)


class _Meaning:
    """What the events of one answer say. `done` turns true at `message_stop`: nothing after it counts."""

    def __init__(self, card: ModelCard) -> None:
        self.done = False
        self._card = card
        self._started = False
        self._parts: dict[int, OpenPart] = {}  # the provider's index of a block -> the part being written
        self._taken = 0
        self._reason: str | None = None
        self._stop_sequence: str | None = None
        self._usage: dict[str, Any] = {}

    def take(self, payload: Mapping[str, Any]) -> Iterator[ev.Event]:
        match payload:
            case {"type": "error"} | {"error": dict() | str()}:
                raise _errors.in_band(payload, provider=self._card.provider, model=self._card.id)
            case {"type": "message_start", "message": dict() as message}:
                yield from self._start(message)
            case {"type": "message"}:
                yield from self._whole(payload)
            case {"type": "content_block_start", "content_block": dict() as block}:
                yield from self._open(_index(payload), block)
            case {"type": "content_block_delta", "delta": dict() as delta}:
                yield from self._delta(_index(payload), delta)
            case {"type": "content_block_stop"}:
                yield from self._stop(_index(payload))
            case {"type": "message_delta"}:
                self._note(payload)
            case {"type": "message_stop"}:
                self.done = True

    def _start(self, message: Mapping[str, Any]) -> Iterator[ev.Event]:
        if self._started:
            return
        self._started = True
        id = message.get("id")
        model = str(message.get("model") or self._card.id)
        yield ev.Started(self._card.provider, model, id if isinstance(id, str) else None)
        self._count(message.get("usage"))
        if read_usage(self._usage).total_input:
            yield ev.UsageReported(read_usage(self._usage))

    def _whole(self, message: Mapping[str, Any]) -> Iterator[ev.Event]:
        """An answer in one piece, told as the stream it could have been."""
        yield from self._start(message)
        for at, block in enumerate(message.get("content") or ()):
            if isinstance(block, dict):
                yield from self._open(at, block)
                yield from self._stop(at)
        self._note({"delta": message})
        self.done = True

    def _open(self, at: int, block: Mapping[str, Any]) -> Iterator[ev.Event]:
        if not self._started:
            yield from self._start({})
        if at in self._parts:  # an index is used once; whoever uses it twice means a new block
            yield from self._stop(at)
        part = part_of(block, self._taken)
        if part is None:
            kind = _errors.quote(str(block.get("type")))
            yield ev.Warned("block_skipped", f"{self._card.provider} sent a block that is not read here: {kind}.")
            return
        self._parts[at] = part
        self._taken += 1
        yield from part.begin(block)

    def _delta(self, at: int, delta: Mapping[str, Any]) -> Iterator[ev.Event]:
        if at not in self._parts and (kind := _IMPLIED.get(str(delta.get("type")))):
            yield from self._open(at, {"type": kind})
        if (part := self._parts.get(at)) is not None:
            yield from part.add(delta)

    def _stop(self, at: int) -> Iterator[ev.Event]:
        if (part := self._parts.get(at)) is not None:
            yield from part.end()

    def _note(self, payload: Mapping[str, Any]) -> None:
        delta = payload.get("delta")
        if isinstance(delta, dict):
            self._reason = _word(delta.get("stop_reason")) or self._reason
            self._stop_sequence = _word(delta.get("stop_sequence")) or self._stop_sequence
        self._count(payload.get("usage"))

    def _count(self, usage: Any) -> None:
        """Counts are cumulative: the last of each wins, and one that is left out stays."""
        if isinstance(usage, dict):
            self._usage.pop("estimated", None)
            self._usage |= {key: value for key, value in usage.items() if value is not None}

    def end(self, *, marked: bool) -> Iterator[ev.Event]:
        if not self._started:
            raise bad(self._card, "sent no answer")
        if self._reason is None and not self.done:
            raise bad(self._card, "ended without saying that it had finished")
        reason = _REASONS.get(self._reason or "", "unknown")
        for part in self._parts.values():
            yield from part.finish(whole=reason in ("stop", "tool_calls"))
        if self._reason == "pause_turn":
            yield ev.Warned("turn_paused", f"{self._card.provider} paused; send the answer back to let it go on.")
        if self._usage:
            yield ev.UsageReported(read_usage(self._usage))
        yield ev.Finished(reason, stop_sequence=self._stop_sequence)


_IMPLIED: Mapping[str, str] = MappingProxyType(
    {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking"}
)


def _index(payload: Mapping[str, Any]) -> int:
    index = payload.get("index")
    return index if isinstance(index, int) else 0


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def read_usage(body: Mapping[str, Any]) -> Usage:
    """Anthropic's counts as disjoint classes. What does not add up is kept and marked absurd."""
    output = as_count(body.get("output_tokens"))
    thinking = as_count(as_mapping(body.get("output_tokens_details")).get("thinking_tokens"))
    written = as_count(body.get("cache_creation_input_tokens"))
    return Usage(
        input_tokens=as_count(body.get("input_tokens")),
        output_tokens=max(output - thinking, 0),
        cache_read_input_tokens=as_count(body.get("cache_read_input_tokens")),
        cache_creation_input_tokens=written or _split(as_mapping(body.get("cache_creation"))),
        reasoning_output_tokens=thinking,
        estimated=body.get("estimated") is True,
        absurd=thinking > output,
    )


def _split(body: Mapping[str, Any]) -> int:
    """What was written to the caches of both lifetimes."""
    return sum(as_count(value) for key, value in body.items() if key.endswith("_input_tokens"))
