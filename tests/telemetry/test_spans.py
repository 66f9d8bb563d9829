"""Traces in the words of OpenTelemetry's GenAI conventions, through its API alone."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from osaurus_nb.errors import RateLimited
from osaurus_nb.events import Failed
from osaurus_nb.messages import user
from osaurus_nb.ports import Observation, Step
from osaurus_nb.request import ChatRequest, RouteOptions
from osaurus_nb.runtime import Runtime
from osaurus_nb.telemetry.spans import Spans
from osaurus_nb.testing.scripted import ScriptedAdapter, says

pytestmark = pytest.mark.anyio

LIMITED = RateLimited("secret-canary", provider="lab", retry_after=0)


class Span:
    """What a tracer of OpenTelemetry's would send."""

    def __init__(self, name, attributes):
        self.name, self.attributes, self.events = name, dict(attributes), []
        self.status = self.ended = None

    def set_attribute(self, name, value):
        self.attributes[name] = value

    def add_event(self, name, attributes):
        self.events.append((name, attributes))

    def set_status(self, status):
        self.status = status

    def end(self):
        self.ended = True


class Tracing:
    """Stands for the module `opentelemetry.trace` of a process that traces."""

    StatusCode = SimpleNamespace(ERROR="error")
    SpanKind = SimpleNamespace(CLIENT="client")

    def __init__(self):
        self.spans = []

    def get_tracer(self, name):
        assert name == "osaurus_nb"
        return self

    def start_span(self, name, kind, attributes):
        assert kind == "client"
        self.spans.append(Span(name, attributes))
        return self.spans[-1]


@pytest.fixture
def tracing(monkeypatch):
    api = Tracing()
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", api)
    return api


@pytest.fixture
def runtime():
    lab = ScriptedAdapter({"bad": [[LIMITED]], "good": [says("answer-canary")]}, provider="lab")
    return Runtime([lab], observers=[Spans()])


def asking(model: str, *fallbacks: str) -> ChatRequest:
    return ChatRequest(model, (user("prompt-canary"),), route=RouteOptions(fallbacks=fallbacks))


async def test_a_question_is_one_span(runtime, tracing):
    """With who was asked, who answered and what it used; a model that failed before is an event of it."""
    async for _ in runtime.stream(asking("lab/bad", "lab/good")):
        pass

    [span] = tracing.spans
    assert span.name == "chat lab/bad"
    assert span.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "lab/bad",
        "gen_ai.provider.name": "lab",
        "gen_ai.response.model": "good",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 1,
        "gen_ai.response.finish_reasons": ("stop",),
    }
    assert {error["error.type"] for _, error in span.events} == {"rate_limit_exceeded"}
    assert span.ended
    assert span.status is None
    assert "canary" not in str(vars(span))


async def test_a_failure_and_a_caller_who_left_are_told(runtime, tracing):
    """Both end their span as errors, with the code of what happened."""
    async for _ in runtime.stream(asking("lab/bad")):
        pass
    stream = runtime.stream(asking("lab/good"))
    await anext(stream)
    await stream.aclose()

    assert [span.attributes["error.type"] for span in tracing.spans] == ["rate_limit_exceeded", "cancelled"]
    assert all(span.ended and span.status == "error" for span in tracing.spans)


async def test_without_a_tracer_nothing_is_followed(monkeypatch):
    """Who does not trace pays a look into a dictionary, and nothing is imported for him."""
    monkeypatch.delitem(sys.modules, "opentelemetry.trace", raising=False)
    spans = Spans()

    spans.observe(Observation(Step("s", "r", "m", 0.0), Failed(LIMITED), 1.0))

    assert "opentelemetry.trace" not in sys.modules
    assert spans._open == {}


async def test_the_real_api_takes_it(runtime):
    """OpenTelemetry's own module, where it is installed, without anything that sends."""
    pytest.importorskip("opentelemetry.trace")

    events = [event async for event in runtime.stream(asking("lab/good"))]

    assert events
