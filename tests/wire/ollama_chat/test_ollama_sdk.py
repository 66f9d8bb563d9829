"""The vendor's own client asks over loopback what we decode, and reads what we encode."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from osaurus_nb import Client
from osaurus_nb import events as ev
from osaurus_nb import request as ask
from osaurus_nb.assembly import ConfiguredSources
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.errors import ModelNotFound, OsaurusError, RateLimited
from osaurus_nb.messages import Media, Message, Reasoning, Text, ToolCall, ToolResult, system, user
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.runtime import Runtime
from osaurus_nb.wire import ollama_chat as ollama

client_of = pytest.importorskip("ollama")

PNG = b"\x89PNG\r\n\x1a\n"
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}
CARD = ModelCard("m", "lab", context_length=9, size_bytes=5)
ANSWER: tuple[ev.Event, ...] = (
    ev.Started("lab", "real"),
    ev.ReasoningDelta("hm"),
    ev.PartEnded(0),
    ev.TextDelta("Hel", 1),
    ev.TextDelta("lo\u2028", 1),
    ev.PartEnded(1),
    ev.UsageReported(Usage(5, 3, 1, 0, 4)),
    ev.Finished("stop"),
)
CALLS: tuple[ev.Event, ...] = (
    ev.Started("lab", "real"),
    ev.ToolCallStarted("a", "add", 0),
    ev.ToolCallDelta('{"x"', 0),
    ev.ToolCallDelta(": 1}", 0),
    ev.PartEnded(0),
    ev.ToolCallStarted("b", "add", 1),
    ev.PartEnded(1),
    ev.Finished("tool_calls"),
)


class Endpoint:
    """A server of the dialect that answers with the events it was given, or refuses with an error."""

    def __init__(self) -> None:
        self.events: Sequence[ev.Event] = ANSWER
        self.error: OsaurusError | None = None
        self.asked: list[ask.ChatRequest] = []
        self.headers: Mapping[str, str] = {}

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str, bytes]:
        self.headers = headers
        try:
            if self.error is not None:
                raise self.error
            return 200, "application/x-ndjson", self._answer(path, body)
        except OsaurusError as error:
            return ollama.status(error), "application/json", json.dumps(ollama.encode_error(error)).encode()

    def _answer(self, path: str, body: bytes) -> bytes:
        match path:
            case "/api/chat" | "/api/generate":
                return self._said(path, body)
            case "/api/show":
                assert ollama.decode_show(body) == "m"
                return json.dumps(ollama.encode_model(CARD)).encode()
            case "/api/ps":
                return json.dumps(ollama.encode_running([(CARD, 60)])).encode()
        return json.dumps(ollama.encode_models([CARD])).encode()

    def _said(self, path: str, body: bytes) -> bytes:
        chats = path == "/api/chat"
        request = ollama.decode_request(body) if chats else ollama.decode_generate(body)
        self.asked.append(request)
        if ollama.is_load(request):
            return json.dumps(ollama.encode_loaded(request, created=1)).encode()
        encoder = (ollama.event_encoder if chats else ollama.generate_encoder)(request, id="x", created=1)
        if not request.delivery.stream:
            return json.dumps(encoder.body(ev.fold(self.events))).encode()
        silence = ollama.PING
        return b"".join(silence + encoder.encode(event) for event in self.events) + encoder.close()


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def client(endpoint: Endpoint, loopback: Any) -> Any:
    return client_of.Client(host=loopback(endpoint.answer))


def add(x: int) -> int:
    """Add one.

    Args:
        x: The number.
    """
    return x + 1


def test_what_the_client_asks_we_understand(endpoint: Endpoint, client: Any) -> None:
    """Every field that the client sends finds its place, and the answer in one piece is read."""
    answer = client.chat(
        model="m",
        messages=[{"role": "system", "content": "be brief"}, {"role": "user", "content": "look", "images": [PNG]}],
        tools=[add],
        format=SCHEMA,
        think="low",
        options={"temperature": 0.5, "num_predict": 9, "num_ctx": 99},
        keep_alive="5m",
    )

    [request] = endpoint.asked
    assert request.messages == (system("be brief"), user("look", Media("image", "image/png", data=PNG)))
    assert [tool.name for tool in request.tools] == ["add"]
    assert request.tools[0].parameters["properties"]["x"]["type"] == "integer"
    assert request.response_format == ask.ResponseFormat("json_schema", schema=SCHEMA)
    assert request.reasoning_effort == "low"
    assert request.sampling == ask.Sampling(max_output_tokens=9, temperature=0.5)
    assert not request.delivery.stream
    assert request.extra == {}
    assert (answer.message.content, answer.message.thinking) == ("Hello\u2028", "hm")
    assert (answer.done, answer.done_reason) == (True, "stop")
    assert (answer.prompt_eval_count, answer.eval_count, answer.total_duration) == (6, 7, 0)


def test_the_client_reads_our_stream(endpoint: Endpoint, client: Any) -> None:
    """Words, the finish and the counts come through, silences and line separators included."""
    parts = list(client.chat(model="m", messages=[{"role": "user", "content": "hi"}], stream=True))

    assert "".join(part.message.content for part in parts) == "Hello\u2028"
    assert "".join(part.message.thinking or "" for part in parts) == "hm"
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1].eval_count == 7
    assert endpoint.asked[0].delivery.stream


@pytest.mark.parametrize("stream", [False, True])
def test_generate_is_understood_and_read(endpoint: Endpoint, client: Any, stream: bool) -> None:
    """One prompt, streamed or not."""
    answer = client.generate(model="m", prompt="look", system="be brief", images=[PNG], stream=stream)
    parts = list(answer) if stream else [answer]

    assert endpoint.asked[0].messages == (system("be brief"), user("look", Media("image", "image/png", data=PNG)))
    assert "".join(part.response for part in parts) == "Hello\u2028"
    assert parts[-1].done_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
def test_tools_go_round(endpoint: Endpoint, client: Any, stream: bool) -> None:
    """Parallel calls arrive whole; their results find them though the client knows no ids."""
    endpoint.events = CALLS
    asked = [{"role": "user", "content": "1+1"}]
    answer = client.chat(model="m", messages=asked, tools=[add], stream=stream)
    messages = [part.message for part in (answer if stream else [answer])]
    calls = [call for message in messages for call in message.tool_calls or ()]
    said = client_of.Message(role="assistant", content="", tool_calls=calls)
    results = [{"role": "tool", "content": text, "tool_name": "add"} for text in ("one", "two")]

    endpoint.events = ANSWER
    client.chat(model="m", messages=[*asked, said, *results])

    assert [(call.function.name, dict(call.function.arguments)) for call in calls] == [("add", {"x": 1}), ("add", {})]
    assert endpoint.asked[-1].messages[1:] == (
        Message("assistant", (ToolCall("call_1_0", "add", '{"x": 1}'), ToolCall("call_1_1", "add", "{}"))),
        Message("tool", (ToolResult("call_1_0", (Text("one"),)),)),
        Message("tool", (ToolResult("call_1_1", (Text("two"),)),)),
    )


def test_thinking_comes_back(endpoint: Endpoint, client: Any) -> None:
    """What was thought is kept in the client's conversation, and understood."""
    first = client.chat(model="m", messages=[{"role": "user", "content": "hi"}])

    client.chat(model="m", messages=[{"role": "user", "content": "hi"}, first.message])

    assert endpoint.asked[1].messages[1] == Message("assistant", (Reasoning("hm"), Text("Hello\u2028")))


@pytest.mark.parametrize("stream", [False, True])
def test_our_errors_are_the_clients(endpoint: Endpoint, client: Any, stream: bool) -> None:
    """An error arrives as the client's own, with its status and sentence."""
    endpoint.error = ModelNotFound("No 'm'.")

    with pytest.raises(client_of.ResponseError) as caught:
        list(client.chat(model="m", messages=[{"role": "user", "content": "hi"}], stream=stream))

    assert (caught.value.error, caught.value.status_code) == ("No 'm'.", 404)


def test_a_late_error_reaches_the_caller(endpoint: Endpoint, client: Any) -> None:
    """A failure after the first word raises in the client; it is no silent end."""
    endpoint.events = [*ANSWER[:4], ev.Failed(RateLimited("too many", provider="lab"))]
    heard: list[str] = []
    parts = client.chat(model="m", messages=[{"role": "user", "content": "hi"}], stream=True)

    with pytest.raises(client_of.ResponseError, match="too many"):
        heard.extend(part.message.content for part in parts)

    assert "Hel" in heard


def test_a_load_request_is_answered(endpoint: Endpoint, client: Any) -> None:
    """Nothing to ask: the model is loaded, and the client understands that."""
    assert client.generate(model="m").done_reason == "load"
    assert client.chat(model="m").done_reason == "load"


def test_models_are_read(endpoint: Endpoint, client: Any) -> None:
    """The lists and the card, as the client asks for them."""
    [listed] = client.list().models
    [running] = client.ps().models
    shown = client.show("m")

    assert (listed.model, listed.size) == ("lab/m", 5)
    assert (running.model, running.context_length) == ("lab/m", 9)
    assert shown.modelinfo["osaurus.context_length"] == 9
    assert shown.capabilities == ["completion"]


def test_a_server_on_this_machine_needs_no_key(endpoint: Endpoint, loopback: Any, tmp_path: Path) -> None:
    """Set up by its address alone, it is asked and lists its models."""
    ProviderFile(Paths(tmp_path)).add("here", loopback(endpoint.answer), format="ollama")
    sources = ConfiguredSources(Settings(Paths(tmp_path)), {})

    with Client(model="here/m", backend=Runtime(sources)) as asking:
        reply = asking.chat("hi", system="be brief")

        assert "here/lab/m" in [card.name for card in asking.models()]
    assert reply.text == "Hello\u2028"
    assert endpoint.asked[0].messages == (system("be brief"), user("hi"))
    assert "authorization" not in endpoint.headers
