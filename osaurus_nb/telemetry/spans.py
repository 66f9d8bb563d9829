"""Traces in the words of OpenTelemetry's GenAI conventions, where the process traces at all. Never what was said.

Nothing is imported for it: whoever traces has imported `opentelemetry.trace` himself, and set up where spans go.
"""

from __future__ import annotations

import sys
from typing import Any

from osaurus_nb.events import AttemptFailed, Failed, Finished, Started, UsageReported, Warned
from osaurus_nb.ports import Observation

#: Streams that are followed at once; without a trace none is.
MOST = 10_000
_API = "opentelemetry.trace"


class Spans:
    """An observer: one span for each question, `chat <model>`, with an event for each model that failed."""

    pieces = False

    def __init__(self) -> None:
        self._open: dict[str, Any] = {}

    def observe(self, note: Observation) -> None:
        api: Any = sys.modules.get(_API)
        if api is None:
            return
        span = self._open.get(note.step.id)
        if span is None:
            if isinstance(note.event, Finished):
                return  # of several answers the first end was told
            span = self._begin(api, note)
        _note(span, note.event)
        if isinstance(note.event, Finished | Failed):
            if isinstance(note.event, Failed):
                span.set_status(api.StatusCode.ERROR)
            del self._open[note.step.id]
            span.end()

    def _begin(self, api: Any, note: Observation) -> Any:
        if len(self._open) >= MOST:
            self._open.pop(next(iter(self._open))).end()
        tracer = api.get_tracer("osaurus_nb")
        said = {"gen_ai.operation.name": "chat", "gen_ai.request.model": note.step.model}
        span = tracer.start_span(f"chat {note.step.model}", kind=api.SpanKind.CLIENT, attributes=said)
        self._open[note.step.id] = span
        return span


def _note(span: Any, event: object) -> None:
    match event:
        case Started(provider=provider, model=model, id=id):
            span.set_attribute("gen_ai.provider.name", provider)
            span.set_attribute("gen_ai.response.model", model)
            if id is not None:
                span.set_attribute("gen_ai.response.id", id)
        case UsageReported(usage=usage):
            span.set_attribute("gen_ai.usage.input_tokens", usage.total_input)
            span.set_attribute("gen_ai.usage.output_tokens", usage.total_output)
        case AttemptFailed(provider=provider, model=model, error=error):
            span.add_event("attempt_failed", {"gen_ai.provider.name": provider, "error.type": error.code})
        case Warned(code=code):
            span.add_event("warning", {"osaurus.code": code})
        case Finished(finish_reason=reason):
            span.set_attribute("gen_ai.response.finish_reasons", (reason,))
        case Failed(error=error):
            span.set_attribute("error.type", error.code)
        case _:
            pass
