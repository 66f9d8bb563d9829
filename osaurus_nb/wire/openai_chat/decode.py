"""A provider's Chat Completions stream, or its body in one piece, becomes our events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from osaurus_nb import events as ev
from osaurus_nb.errors import BadAnswer, BudgetExceeded
from osaurus_nb.models import Charge, ModelCard, Usage
from osaurus_nb.wire import _errors, _osaurus, _pricing
from osaurus_nb.wire._liberal import as_count, as_logprobs, as_mapping, as_rows
from osaurus_nb.wire._payloads import Payloads, bad
from osaurus_nb.wire._reading import Meaning, Reading, Relay

_REASONS: Mapping[str, ev.FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


def event_decoder(card: ModelCard, relay: Relay | None = None) -> Reading:
    return Reading(Payloads(card), _Meaning(card), relay)


def gateway_decoder(card: ModelCard) -> Reading:
    """For a server of ours, which also says how it came to the answer. A provider is not believed in that."""
    return Reading(Payloads(card), _OurMeaning(card))


def meaning(card: ModelCard) -> Meaning:
    """What the chunks of one answer say, for a dialect that adds something of its own."""
    return _Meaning(card)


class _Meaning:
    """What the chunks of one answer say. The dialect ends a stream with a mark, not with an object."""

    def __init__(self, card: ModelCard) -> None:
        self.done = False
        self._card = card
        self._started = False
        self._choices: dict[int, _ChoiceState] = {}
        self._usage: Usage | None = None
        self._charge: Charge | None = None

    def take(self, payload: Mapping[str, Any]) -> Iterator[ev.Event]:
        if payload.get("error"):
            raise _errors.in_band(payload, provider=self._card.provider, model=self._card.id)
        if not self._started:
            self._started = True
            yield self._start(payload)
        for choice in as_rows(payload.get("choices")):
            yield from self._choice(choice)
        if isinstance(payload.get("usage"), dict):
            self._usage = read_usage(payload["usage"])
            if "tells_cost" in self._card.quirks:
                self._charge = _pricing.charge(payload)

    def _start(self, payload: Mapping[str, Any]) -> ev.Started:
        return ev.Started(self._card.provider, str(payload.get("model") or self._card.id), payload.get("id"))

    def _choice(self, choice: Mapping[str, Any]) -> Iterator[ev.Event]:
        at = choice.get("index")
        at = at if isinstance(at, int) else 0
        state = self._choices.setdefault(at, _ChoiceState(at))
        delta = as_mapping(choice.get("delta") or choice.get("message"))
        yield from state.delta(delta, as_logprobs(as_mapping(choice.get("logprobs")).get("content")))
        reason = choice.get("finish_reason")
        if reason == "error":
            raise bad(self._card, "broke off with an error")
        if reason:
            yield from state.end(_REASONS.get(str(reason), "unknown"))

    def end(self, *, marked: bool) -> Iterator[ev.Event]:
        if not self._choices:
            raise bad(self._card, "sent no answer")
        unfinished = [state for state in self._choices.values() if state.reason is None]
        if unfinished and not marked:
            raise bad(self._card, "ended without saying that it had finished")
        for state in unfinished:
            yield from state.end("unknown")
        if self._usage is not None:
            yield ev.UsageReported(self._usage, self._charge)
        for state in self._choices.values():
            yield ev.Finished(state.reason or "unknown", state.choice)


class _OurMeaning(_Meaning):
    """The same, from a gateway of ours: it names the provider behind it, its attempts and its warnings."""

    def take(self, payload: Mapping[str, Any]) -> Iterator[ev.Event]:
        fault = as_mapping(payload.get("error"))
        if fault.get("code") == BudgetExceeded.code:  # said after the head, where that could not wait
            raise BudgetExceeded(str(fault.get("message")))
        yield from _osaurus.told(payload)
        yield from super().take(payload)

    def _start(self, payload: Mapping[str, Any]) -> ev.Started:
        started = super()._start(payload)
        provider, model = _osaurus.author(payload)
        return ev.Started(provider or started.provider, model or started.model, started.id)


class _ChoiceState:
    """Which part of one choice is being written."""

    def __init__(self, choice: int) -> None:
        self.choice = choice
        self.reason: ev.FinishReason | None = None
        self._next = 0
        self._open: tuple[str, int] | None = None  # the text or reasoning part being written
        self._calls: dict[int, int] = {}  # provider's call index -> our part index
        self._ids: dict[str, int] = {}

    def delta(self, delta: Mapping[str, Any], scores: tuple[ev.TokenLogprob, ...]) -> Iterator[ev.Event]:
        thinking = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(thinking, str) and thinking:
            yield from self._switch("reasoning")
            yield ev.ReasoningDelta(thinking, self._part, self.choice)
        text = delta.get("content") or delta.get("refusal")
        if isinstance(text, str) and text:
            yield from self._switch("text")
            yield ev.TextDelta(text, self._part, self.choice, scores)
        for call in as_rows(delta.get("tool_calls")):
            yield from self._call(call)

    def end(self, reason: ev.FinishReason) -> Iterator[ev.Event]:
        if self.reason is not None:
            return
        # Some providers say "stop" after a tool call; what they sent is what counts.
        self.reason = "tool_calls" if self._calls and reason == "stop" else reason
        yield from self._close_open()
        if reason in ("stop", "tool_calls"):
            yield from (ev.PartEnded(part, self.choice) for part in self._calls.values())

    @property
    def _part(self) -> int:
        assert self._open is not None
        return self._open[1]

    def _switch(self, kind: str) -> Iterator[ev.Event]:
        if self._open is None or self._open[0] != kind:
            yield from self._close_open()
            self._open = (kind, self._take())

    def _close_open(self) -> Iterator[ev.Event]:
        if self._open is not None:
            yield ev.PartEnded(self._open[1], self.choice)
            self._open = None

    def _take(self) -> int:
        self._next += 1
        return self._next - 1

    def _call(self, call: Mapping[str, Any]) -> Iterator[ev.Event]:
        function = as_mapping(call.get("function"))
        part = self._known(call)
        if part is None:
            yield from self._close_open()
            part = self._take()
            self._calls[self._key(call)] = part
            id = str(call.get("id") or f"call_{self.choice}_{part}")
            self._ids[id] = part
            yield ev.ToolCallStarted(id, str(function.get("name") or ""), part, self.choice)
        arguments = function.get("arguments")
        if isinstance(arguments, dict):  # some servers send the object itself
            arguments = json.dumps(arguments, ensure_ascii=False)
        if arguments:
            yield ev.ToolCallDelta(str(arguments), part, self.choice)

    def _known(self, call: Mapping[str, Any]) -> int | None:
        """The part that this delta continues: by index, else by id, else the last one."""
        index, id = call.get("index"), str(call.get("id") or "")
        if id and id not in self._ids:
            return None
        if isinstance(index, int):
            return self._calls.get(index)
        if id:
            return self._ids[id]
        return next(reversed(self._calls.values()), None)

    def _key(self, call: Mapping[str, Any]) -> int:
        index = call.get("index")
        taken = isinstance(index, int) and index not in self._calls
        return index if taken and isinstance(index, int) else max(self._calls, default=-1) + 1


def read_usage(body: Mapping[str, Any]) -> Usage:
    """Chat Completions totals as disjoint classes. What does not add up is kept and marked absurd."""
    prompt, completion, total = (as_count(body.get(f"{name}_tokens")) for name in ("prompt", "completion", "total"))
    details = as_mapping(body.get("prompt_tokens_details"))
    # The second is DeepSeek's.
    read = as_count(details.get("cached_tokens")) or as_count(body.get("prompt_cache_hit_tokens"))
    write = as_count(details.get("cache_write_tokens"))
    thinking = as_count(as_mapping(body.get("completion_tokens_details")).get("reasoning_tokens"))
    # xAI leaves reasoning out of completion_tokens; its total shows it (seen 2026-11).
    apart = thinking > 0 and total == prompt + completion + thinking
    output = completion if apart else completion - thinking
    fresh = prompt - read - write
    sums = total in (0, prompt + completion + (thinking if apart else 0))
    return Usage(
        input_tokens=max(fresh, 0),
        output_tokens=max(output, 0),
        cache_read_input_tokens=read,
        cache_creation_input_tokens=write,
        reasoning_output_tokens=thinking,
        estimated=bool(body.get("estimated")),
        absurd=fresh < 0 or output < 0 or not sums,
    )


def decode_models(payload: Mapping[str, Any], provider: str) -> Sequence[ModelCard]:
    """The cards in a `GET /models` body. A row that is none is left out; the rest of the list stays."""
    rows = payload.get("data") if isinstance(payload, Mapping) else None
    if not isinstance(rows, list):
        raise BadAnswer(f"{provider} sent no list of models.", provider=provider)
    return [_card(row, provider) for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]


def _card(row: Mapping[str, Any], provider: str) -> ModelCard:
    created = row.get("created")
    windows = (row.get(key) for key in ("context_length", "context_window", "max_model_len", "max_context_length"))
    return ModelCard(
        id=row["id"],
        provider=provider,
        context_length=next((size for size in windows if isinstance(size, int) and size > 0), None),
        capabilities=_osaurus.capabilities(row),
        price=_pricing.price(row),
        created=created if isinstance(created, int) else 0,
        forwards_to=_osaurus.forwards_to(row),
    )
