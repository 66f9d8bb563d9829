"""The same models in other dialects: official SDKs, changed only in address and key."""

from __future__ import annotations

import json
from collections.abc import Iterator

import anthropic
import pytest
from anthropic import Anthropic
from openai import OpenAI

from osaurus_nb import Client, Tool, wire
from osaurus_nb.assembly import ConfiguredSources
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.errors import BadAnswer
from osaurus_nb.events import Finished, PartEnded, TextDelta, ToolCallDelta, ToolCallStarted, UsageReported
from osaurus_nb.models import Usage
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says

QUESTION = [{"role": "user", "content": "Say hello."}]
CALL = [
    ToolCallStarted("call_1", "weather"),
    ToolCallDelta('{"city"'),
    ToolCallDelta(': "Paris"}'),
    PartEnded(),
    UsageReported(Usage(input_tokens=9, output_tokens=4)),
    Finished("tool_calls"),
]
#: Where each dialect's paths hang below our mount, if not at /v1.
BASES = {"gemini": "/v1beta"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.fixture
def adapter() -> ScriptedAdapter:
    cut = [TextDelta("half"), BadAnswer("cut", provider="scripted")]
    return ScriptedAdapter({"good": [says("Hello", " there", ".")], "tools": [CALL], "cut": [cut]})


@pytest.fixture
def claude(server) -> Iterator[Anthropic]:
    with Anthropic(base_url=server.url, api_key=server.key, max_retries=0, timeout=20) as client:
        yield client


def test_messages_answers_whole_and_streamed(claude):
    """Anthropic's SDK gets text, usage and a stop reason, in one piece and as a stream."""
    whole = claude.messages.create(model="good", max_tokens=50, messages=QUESTION)
    with claude.messages.stream(model="good", max_tokens=50, messages=QUESTION) as stream:
        streamed = "".join(stream.text_stream)
        final = stream.get_final_message()

    assert whole.content[0].text == streamed == "Hello there."
    assert whole.stop_reason == final.stop_reason == "end_turn"
    assert (final.usage.input_tokens, final.usage.output_tokens) == (3, 3)


def test_messages_carries_tools_system_and_tuning(claude, adapter):
    """A tool call arrives whole; system prompt, stop sequences and limits reach the model."""
    tool = {"name": "weather", "input_schema": SCHEMA}

    answer = claude.messages.create(
        model="tools", max_tokens=50, messages=QUESTION, system="Be brief.", tools=[tool], stop_sequences=["x"]
    )

    assert answer.stop_reason == "tool_use"
    assert answer.content[0].input == {"city": "Paris"}
    request = adapter.requests[-1]
    assert request.messages[0].role == "system"
    assert (request.sampling.max_output_tokens, request.sampling.stop) == (50, ("x",))


def test_messages_refuses_in_its_own_shape(claude, server):
    """An unknown model, a wrong key and a missing field are Anthropic's own errors."""
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(model="missing", max_tokens=5, messages=QUESTION)
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        claude.post("/v1/messages", cast_to=object, body={"model": "good", "messages": QUESTION})
    stranger = Anthropic(base_url=server.url, api_key="wrong", max_retries=0)
    with pytest.raises(anthropic.AuthenticationError):
        stranger.messages.create(model="good", max_tokens=5, messages=QUESTION)


def test_messages_tells_a_break_in_band(claude):
    """After the first word the stream ends with an error event, never with an invented stop."""
    with (
        pytest.raises(anthropic.APIStatusError),
        claude.messages.stream(model="cut", max_tokens=5, messages=QUESTION) as stream,
    ):
        "".join(stream.text_stream)


def test_models_are_listed_for_whoever_asks(claude, server):
    """The same path lists models in the shape of the SDK that asks."""
    assert [model.id for model in claude.models.list()] == ["scripted/good", "scripted/tools", "scripted/cut"]
    with OpenAI(base_url=f"{server.url}/v1", api_key=server.key) as client:
        assert [model.id for model in client.models.list()] == ["scripted/good", "scripted/tools", "scripted/cut"]


def test_responses_answers_whole_and_streamed(client):
    """OpenAI's Responses gets text and usage, in one piece and as typed events."""
    whole = client.responses.create(model="good", input="Say hello.")
    with client.responses.stream(model="good", input="Say hello.") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()

    assert whole.output_text == final.output_text == "Hello there."
    assert whole.status == "completed"
    assert whole.store is final.store is True
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert final.usage.total_tokens == 6


def test_responses_carries_tools(client):
    """A function call is an item of its own, its arguments whole."""
    tool = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}

    answer = client.responses.create(model="tools", input="Weather?", tools=[tool])

    assert [(item.type, item.arguments) for item in answer.output] == [("function_call", '{"city": "Paris"}')]


@pytest.mark.parametrize("format", sorted(wire.FORMATS))
def test_a_provider_of_any_dialect_can_be_asked(server, adapter, tmp_path, format):
    """Our own server stands in for a provider of each dialect: text, system, tools and models come through."""
    ProviderFile(Paths(tmp_path)).add(
        "peer", f"{server.url}{BASES.get(format, '/v1')}", format=format, key_env="PEER_KEY"
    )
    sources = ConfiguredSources(Settings(Paths(tmp_path)), {"PEER_KEY": server.key})
    with Client(model="peer/good", backend=Runtime(sources)) as client:
        reply = client.chat("Say hello.", system="Be brief.", max_tokens=9)
        called = client.chat("Weather?", model="peer/tools", tools=[Tool("weather", parameters=SCHEMA)])

        assert "peer/scripted/good" in [card.name for card in client.models()]

    assert (reply.text, reply.finish_reason) == ("Hello there.", "stop")
    assert reply.usage is not None
    assert (reply.usage.total_input, reply.usage.total_output) == (3, 3)
    assert [message.role for message in adapter.requests[0].messages] == ["system", "user"]
    assert called.tool_calls[0].arguments.replace(" ", "") == '{"city":"Paris"}'


def test_a_provider_without_stop_sequences_is_cut_short_here(server, adapter, tmp_path):
    """Responses has no word for them: the answer ends where the caller wanted, and the provider is hung up on."""
    adapter._scripts["good"] = [[TextDelta("Hello th"), 0.01, TextDelta("ere, and on"), 30, Finished("stop")]]
    ProviderFile(Paths(tmp_path)).add("peer", f"{server.url}/v1", format="openResponses", key_env="PEER_KEY")
    sources = ConfiguredSources(Settings(Paths(tmp_path)), {"PEER_KEY": server.key})
    with Client(model="peer/good", backend=Runtime(sources)) as client:
        reply = client.chat("Say hello.", stop="there")

    assert reply.text == "Hello "
    assert reply.finish_reason == "stop"
    assert not reply.warnings


def test_gemini_answers_whole_and_streamed(server):
    """generateContent and its stream answer at both of the vendor's versions, the key in a header or in the address."""
    body = {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]}

    whole = server.ask("POST", f"/v1beta/models/good:generateContent?key={server.key}", json_body=body, key=None)
    path = "/v1/models/scripted/good:streamGenerateContent?alt=sse"
    streamed = server.ask("POST", path, json_body=body, key=None, headers={"x-goog-api-key": server.key})

    assert whole.json["candidates"][0]["content"]["parts"] == [{"text": "Hello there."}]
    frames = [json.loads(line[6:]) for line in streamed.body.split(b"\n") if line.startswith(b"data: ")]
    texts = [part.get("text", "") for frame in frames for part in frame["candidates"][0]["content"].get("parts", [])]
    assert "".join(texts) == "Hello there."
    assert frames[-1]["candidates"][0]["finishReason"] == "STOP"


def test_gemini_refuses_in_its_own_shape(server):
    """An unknown model, no key and a form of stream that nobody knows are Gemini's own errors."""
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}

    missing = server.ask("POST", "/v1beta/models/missing:generateContent", json_body=body)
    nobody = server.ask("POST", "/v1beta/models/good:generateContent", json_body=body, key=None)
    proto = server.ask("POST", "/v1beta/models/good:streamGenerateContent?alt=proto", json_body=body)

    assert (missing.status, missing.json["error"]["status"]) == (404, "NOT_FOUND")
    assert (nobody.status, nobody.json["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert (proto.status, proto.json["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "'alt'" in proto.json["error"]["message"]
