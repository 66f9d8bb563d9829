"""A provider's Responses stream, or its response object in one piece, becomes our events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from osaurus_nb import events as ev
from osaurus_nb.errors import ProviderError
from osaurus_nb.models import ModelCard
from osaurus_nb.wire import _errors
from osaurus_nb.wire._liberal import as_mapping
from osaurus_nb.wire._payloads import Payloads, bad
from osaurus_nb.wire._reading import Reading, Relay
from osaurus_nb.wire.openai_responses._growing import Growing
from osaurus_nb.wire.openai_responses.usage import read_usage

_INCOMPLETE: Mapping[str, ev.FinishReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}


def event_decoder(card: ModelCard, relay: Relay | None = None) -> Reading:
    return Reading(Payloads(card), _Meaning(card), relay)


class _Meaning:
    """What the events of one answer say. `done` turns true at the terminal event: nothing after it counts."""

    def __init__(self, card: ModelCard) -> None:
        self.done = False
        self._card = card
        self._started = False
        self._growing = Growing()

    def end(self, *, marked: bool) -> Iterable[ev.Event]:
        if not self.done:
            what = "ended without saying that it had finished" if self._started else "sent no answer"
            raise bad(self._card, what)
        return ()

    def take(self, payload: Mapping[str, Any]) -> Iterator[ev.Event]:
        kind = payload.get("type")
        if payload.get("error") or kind == "error":
            raise self._told(payload)
        if kind is None and payload.get("object") == "response":  # asked for a stream, it answered in one piece
            kind = f"response.{payload.get('status')}"
            payload = {"response": payload}
        match kind:
            case "response.created" | "response.in_progress" | "response.queued":
                yield from self._start(as_mapping(payload.get("response")))
            case "response.completed" | "response.incomplete":
                yield from self._end(as_mapping(payload.get("response")), whole=kind == "response.completed")
            case "response.failed":
                raise self._told(as_mapping(payload.get("response")))
            case "response.cancelled":
                raise bad(self._card, "cancelled its answer")
            case str():
                yield from self._growing.add(kind, payload)

    def _start(self, response: Mapping[str, Any]) -> Iterator[ev.Event]:
        if self._started:
            return
        self._started = True
        id = response.get("id")
        model = str(response.get("model") or self._card.id)
        yield ev.Started(self._card.provider, model, id if isinstance(id, str) else None)

    def _end(self, response: Mapping[str, Any], *, whole: bool) -> Iterator[ev.Event]:
        yield from self._start(response)
        output = response.get("output")
        yield from self._growing.finish(output if isinstance(output, list) else [])
        self.done = True
        if usage := as_mapping(response.get("usage")):
            yield ev.UsageReported(read_usage(usage))
        yield ev.Finished(self._reason(response, whole=whole))

    def _reason(self, response: Mapping[str, Any], *, whole: bool) -> ev.FinishReason:
        if whole:
            return "tool_calls" if self._growing.called else "stop"
        return _INCOMPLETE.get(str(as_mapping(response.get("incomplete_details")).get("reason")), "unknown")

    def _told(self, payload: Mapping[str, Any]) -> ProviderError:
        return _errors.in_band(payload, provider=self._card.provider, model=self._card.id)
