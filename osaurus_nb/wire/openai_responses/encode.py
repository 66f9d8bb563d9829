"""Our events become the typed events of a Responses stream, a whole answer its response object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from osaurus_nb import events as ev
from osaurus_nb.errors import OsaurusError
from osaurus_nb.models import Usage
from osaurus_nb.request import ChatRequest
from osaurus_nb.wire._osaurus import Route, RouteEvent
from osaurus_nb.wire._sse import DONE, frame
from osaurus_nb.wire.openai_chat.encode import encode_error
from osaurus_nb.wire.openai_responses._output import Output, output_items
from osaurus_nb.wire.openai_responses._resource import STATUS, resource, write_failure
from osaurus_nb.wire.openai_responses.usage import write_usage

#: Seconds since the epoch.
Now = Callable[[], float]


def event_encoder(request: ChatRequest, *, id: str, created: int, now: Now | None = None) -> ResponsesEncoder:
    """`now` dates the end of the answer; without it `completed_at` is null."""
    return ResponsesEncoder(request, id=id, created=created, now=now)


class ResponsesEncoder:
    """Writes one answer. The key `osaurus` of the response says who really answered, and how."""

    def __init__(self, request: ChatRequest, *, id: str, created: int, now: Now | None = None) -> None:
        self._id = id
        self._now = now
        self._response = resource(request, id=id, created=created)
        self._output = Output(id)
        self._route = Route(id, explained=request.route.explain)
        self._usage: Usage | None = None
        self._sequence = 0
        self._relayed = False

    def encode(self, event: ev.Event) -> bytes:
        match event:
            case ev.TextDelta() | ev.ReasoningDelta() | ev.ToolCallStarted() | ev.ToolCallDelta() | ev.PartEnded():
                return self._begin() + self._tell(self._output.add(event))
            case ev.Finished():
                return self._begin() + self._finish(event.finish_reason)
            case ev.Failed():
                return self._interrupt(event.error) if self._relayed else self._begin() + self._fail(event.error)
            case ev.UsageReported():
                self._usage = event.usage
            case ev.Relayed():
                self._relayed = True
                self._sequence += event.frames
            case _:  # what is told of the route
                self._note(event)
        return b""

    def close(self) -> bytes:
        return DONE

    def unstored(self) -> None:
        """What was to be kept cannot be: the end of the answer says so."""
        self._response["store"] = False

    def body(self, answer: ev.Answer) -> dict[str, Any]:
        self._route.take(answer)
        self._response["osaurus"] = {**self._route.first(), **(self._route.last() or {})}
        self._response |= _ending(answer, self._response["created_at"], self._now)
        self._response["output"] = output_items(answer, id=self._id)
        return self._response

    def _note(self, event: RouteEvent) -> None:
        self._route.note(event)
        if isinstance(event, ev.Substituted):
            self._response["model"] = event.answering

    def _begin(self) -> bytes:
        """Before anything else, the response as it starts; readers break on what comes sooner."""
        if self._sequence:
            return b""
        self._response["osaurus"] = self._route.first()
        starting = ("response.created", "response.in_progress")
        return self._tell({"type": kind, "response": self._response} for kind in starting)

    def _finish(self, reason: ev.FinishReason) -> bytes:
        items = self._tell(self._output.finish(reason))
        status, why = STATUS["unknown" if self._output.cut and reason in ("stop", "tool_calls") else reason]
        return items + self._terminal(_status(status, why, self._now))

    def _fail(self, error: OsaurusError) -> bytes:
        """Told twice: readers of this dialect look for one or the other."""
        self._output.abandon()
        return self._interrupt(error) + self._terminal({"status": "failed", "error": write_failure(error)})

    def _interrupt(self, error: OsaurusError) -> bytes:
        """The error in either of its shapes."""
        fields = encode_error(error)["error"]
        told = {key: fields[key] for key in ("code", "message", "param")}
        return self._tell([{"type": "error", **told, "error": fields}])

    def _terminal(self, ending: dict[str, Any]) -> bytes:
        self._response |= {**ending, "usage": write_usage(self._usage or Usage(estimated=True))}
        self._response["output"] = self._output.items
        self._response["osaurus"] |= self._route.last() or {}
        return self._tell([{"type": f"response.{ending['status']}", "response": self._response}])

    def _tell(self, payloads: Iterable[Mapping[str, Any]]) -> bytes:
        """Frames, each made before the next payload is: items change while they are told."""
        written = []
        for payload in payloads:
            numbered = {"type": payload["type"], "sequence_number": self._sequence, **payload}
            written.append(frame(numbered, event=payload["type"]))
            self._sequence += 1
        return b"".join(written)


def response_body(
    request: ChatRequest, answer: ev.Answer, *, id: str, created: int, now: Now | None = None
) -> dict[str, Any]:
    """The response object of a whole answer, to be sent, stored and retrieved; of a failed one too."""
    return event_encoder(request, id=id, created=created, now=now).body(answer)


def _ending(answer: ev.Answer, created: int, now: Now | None) -> dict[str, Any]:
    fields: dict[str, Any] = {"usage": write_usage(answer.usage or Usage(estimated=True))}
    if answer.asked is not None:
        fields["model"] = answer.model
    if answer.error is not None:
        return {**fields, "status": "failed", "error": write_failure(answer.error)}
    if answer.timings is not None:
        seconds = answer.timings.total
        return {**fields, **_status(*STATUS[answer.finish_reason], lambda: created + seconds)}
    return {**fields, **_status(*STATUS[answer.finish_reason], now)}


def _status(status: str, why: str | None, now: Now | None) -> dict[str, Any]:
    done = int(now()) if now is not None and status == "completed" else None
    return {"status": status, "completed_at": done, "incomplete_details": {"reason": why} if why else None}
