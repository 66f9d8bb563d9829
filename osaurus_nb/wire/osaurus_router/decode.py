"""The Router's stream becomes our events; its summary of the bill becomes the usage and is never shown.

An answer without a word is told apart by how it is empty: support asks for that first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any

from osaurus_nb import events as ev
from osaurus_nb import money
from osaurus_nb.errors import EmptyAnswer, ProviderError
from osaurus_nb.models import Charge, ModelCard, Usage
from osaurus_nb.wire._payloads import bad
from osaurus_nb.wire._reading import Reading
from osaurus_nb.wire.openai_chat.decode import meaning
from osaurus_nb.wire.osaurus_router import faults
from osaurus_nb.wire.osaurus_router._frames import TolerantFrames
from osaurus_nb.wire.osaurus_router.account import micro

_OUTPUT = (ev.TextDelta, ev.ReasoningDelta, ev.ToolCallStarted)


class Emptiness(StrEnum):
    """What there was in a stream, in the words of the Router's support."""

    NON_EMPTY = "non-empty"
    RAW_EMPTY = "raw-empty"
    SUMMARY_ONLY = "summary-only"
    USAGE_ONLY = "usage-only"
    UNRECOGNIZED_EVENTS = "unrecognized-events"
    EMPTY_AFTER_EVENTS = "empty-after-events"


class RouterDecoder:
    """An EventDecoder. `key` is the request's own, which stands for it where the Router gives it no id.

    What is raised carries the charge, where one came.
    """

    def __init__(self, card: ModelCard, key: str) -> None:
        self._meaning = _Meaning(card, key)
        self._reading = Reading(TolerantFrames(card), self._meaning)
        self.size = 0
        #: Did it come to its end, whatever was in it? Not where it was cut, left or told to be a fault.
        self.ended = False

    @property
    def done(self) -> bool:
        return self._reading.done or self._meaning.fault is not None

    @property
    def emptiness(self) -> Emptiness:
        return self._meaning.emptiness

    @property
    def charge(self) -> Charge | None:
        return self._meaning.charge

    @property
    def events(self) -> int:
        """How many objects came, whatever they meant."""
        return self._meaning.seen

    def feed(self, data: bytes) -> list[ev.Event]:
        self.size += len(data)
        return self._charged(lambda: self._reading.feed(data))

    def close(self) -> list[ev.Event]:
        return self._charged(self._close)

    def _close(self) -> list[ev.Event]:
        if self._meaning.fault is not None:
            raise self._meaning.fault
        self.ended = True
        return self._reading.close()

    def _charged(self, read: Callable[[], list[ev.Event]]) -> list[ev.Event]:
        try:
            return read()
        except ProviderError as error:
            error.charge = self.charge
            raise


class _Meaning:
    """What the chunks say, with the Router's own ones among them."""

    def __init__(self, card: ModelCard, key: str) -> None:
        self.done = False
        self.fault: ProviderError | None = None
        self.charge: Charge | None = None
        self.seen = 0
        self._card = card
        self._key = key
        self._chat = meaning(card)
        self._billed: Usage | None = None
        self._chosen = self._used = self._said = False

    def take(self, payload: Mapping[str, Any]) -> Iterator[ev.Event]:
        self.seen += 1
        self._summary(payload.get("osaurus"))
        if self.fault is not None:
            return  # nothing counts behind a fault but the bill
        if payload.get("error"):
            self.fault = faults.fault(payload, provider=self._card.provider, model=self._card.id)
        elif payload.get("choices") or isinstance(payload.get("usage"), dict):
            self._chosen = self._chosen or bool(payload.get("choices"))
            self._used = self._used or isinstance(payload.get("usage"), dict)
            for event in self._chat.take(payload):
                self._said = self._said or (isinstance(event, _OUTPUT) and not _hollow(event))
                yield event

    def end(self, *, marked: bool) -> Iterator[ev.Event]:
        self._refuse_nothing()
        events = list(self._chat.end(marked=marked))
        if not self._said and any(
            isinstance(event, ev.Finished) and event.finish_reason == "length" for event in events
        ):
            raise self._empty("it used up its token limit before the first word; raise max_tokens")
        reported = next((event.usage for event in events if isinstance(event, ev.UsageReported)), self._billed)
        if reported is not None:
            yield ev.UsageReported(reported, self.charge)
        yield from (event for event in events if not isinstance(event, ev.UsageReported))

    @property
    def emptiness(self) -> Emptiness:
        if self._said:
            return Emptiness.NON_EMPTY
        if self._chosen:
            return Emptiness.EMPTY_AFTER_EVENTS
        if self._used:
            return Emptiness.USAGE_ONLY
        if self.charge is not None:
            return Emptiness.SUMMARY_ONLY
        return Emptiness.UNRECOGNIZED_EVENTS if self.seen else Emptiness.RAW_EMPTY

    def _refuse_nothing(self) -> None:
        """An answer without a finish is none, whatever else came."""
        if self._chosen:
            return
        if self.emptiness is Emptiness.UNRECOGNIZED_EVENTS:
            raise bad(self._card, "sent events, but none of an answer")
        raise self._empty(f"the stream was {self.emptiness}")

    def _empty(self, why: str) -> EmptyAnswer:
        said = f"'{self._card.name}' gave no answer: {why}.{_billed(self.charge)}"
        return EmptyAnswer(said, provider=self._card.provider, model=self._card.id)

    def _summary(self, said: Any) -> None:
        if not isinstance(said, Mapping) or "cost_micro" not in said:
            return
        tokens = {name: _count(said.get(name)) for name in ("input_tokens", "output_tokens")}
        read, written = (_count(said.get(name)) for name in ("cached_input_tokens", "cache_write_tokens"))
        fresh = tokens["input_tokens"] - read - written
        self.charge = Charge(
            micro(said["cost_micro"]),
            _word(said.get("request_id")) or self._key,
            _word(said.get("status")),
            _word(said.get("token_source")),
            **tokens,
        )
        self._billed = Usage(max(fresh, 0), tokens["output_tokens"], read, written, absurd=fresh < 0)


def _hollow(event: ev.Event) -> bool:
    return isinstance(event, ev.TextDelta | ev.ReasoningDelta) and not event.text


def _billed(charge: Charge | None) -> str:
    return f" {money.charged(charge)}" if charge is not None else ""


def _count(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0


def _word(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
