"""The official SDK against the codec: it parses what we write, strictly, and we understand what it sends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from osaurus_nb import events as ev
from osaurus_nb.errors import OsaurusError, RateLimited, RequestError
from osaurus_nb.messages import Reasoning, Text, ToolCall
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.request import ChatRequest
from osaurus_nb.wire import openai_responses as responses

TEXT: list[ev.Event] = [
    ev.Started("lab", "real"),
    ev.TextDelta("Hel"),
    ev.TextDelta("lo", logprobs=(ev.TokenLogprob("lo", -0.5, (("la", -1.0),)),)),
    ev.PartEnded(),
    ev.UsageReported(Usage(3, 4, 5, 6, 7)),
    ev.Finished("stop"),
]
THOUGHT_AND_CALLS: list[ev.Event] = [
    ev.ReasoningDelta("hm", 0),
    ev.PartEnded(0, provider_metadata={"anthropic": {"signature": "s"}}),
    ev.TextDelta("Let me see.", 1),
    ev.PartEnded(1),
    ev.ToolCallStarted("a", "weather", 2),
    ev.ToolCallStarted("b", "weather", 3),
    ev.ToolCallDelta('{"city": ', 2),
    ev.ToolCallDelta('{"city": "Rome"}', 3),
    ev.ToolCallDelta('"Oslo"}', 2),
    ev.PartEnded(2, provider_metadata={"google_generate": {"signature": "t"}}),
    ev.PartEnded(3),
    ev.Finished("tool_calls"),
]
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "now",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}


class Endpoint:
    """Answers every request with the events it was given, in this dialect; keeps what was asked."""

    def __init__(self) -> None:
        self.events: Sequence[ev.Event] = TEXT
        self.reply: dict[str, Any] | None = None
        self.asked: list[ChatRequest] = []

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str, bytes]:
        if self.reply is not None:
            return 200, "application/json", json.dumps(self.reply).encode()
        try:
            request = responses.decode_request(body)
        except OsaurusError as error:
            return error.status, "application/json", json.dumps(responses.encode_error(error)).encode()
        self.asked.append(request)
        encoder = responses.event_encoder(request, id="x", created=1)
        if not request.delivery.stream:
            return 200, "application/json", json.dumps(encoder.body(ev.fold(self.events))).encode()
        return 200, "text/event-stream", b"".join(map(encoder.encode, self.events)) + encoder.close()


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def url(endpoint: Endpoint, loopback: Callable[..., str]) -> str:
    return loopback(endpoint.answer) + "/v1"


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="k", max_retries=0, _strict_response_validation=True) as connected:
        yield connected


def test_a_whole_answer_passes_strict_validation(endpoint: Endpoint, client: openai.OpenAI) -> None:
    """Text, usage and status arrive where the SDK looks for them."""
    response = client.responses.create(model="m", input="hi", instructions="be brief", max_output_tokens=20)

    assert (response.output_text, response.status, response.id) == ("Hello", "completed", "resp_x")
    assert response.usage is not None
    assert response.usage.total_tokens == 25
    assert response.usage.input_tokens_details.cache_write_tokens == 6
    assert endpoint.asked[0].sampling.max_output_tokens == 20


def test_a_stream_passes_strict_validation(client: openai.OpenAI) -> None:
    """Every event parses as its type, with numbers that rise by one."""
    events = list(client.responses.create(model="m", input="hi", stream=True))

    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")


@pytest.mark.parametrize("events", [TEXT, THOUGHT_AND_CALLS])
def test_the_accumulator_ends_where_the_whole_answer_is(
    endpoint: Endpoint, client: openai.OpenAI, events: list[ev.Event]
) -> None:
    """The SDK's own fold of the stream is the answer in one piece."""
    endpoint.events = events

    with client.responses.stream(model="m", input="hi") as stream:
        streamed = stream.get_final_response()
    whole = client.responses.create(model="m", input="hi")

    assert streamed.output_text == whole.output_text
    assert _calls(streamed) == _calls(whole)
    assert {item.type for item in streamed.output} == {item.type for item in whole.output}


def _calls(response: Any) -> list[tuple[str, str]]:
    return [(item.call_id, item.arguments) for item in response.output if item.type == "function_call"]


def test_calls_and_thoughts_come_back_whole(endpoint: Endpoint, client: openai.OpenAI) -> None:
    """What the SDK received it sends back as it is; we read it as the message that it was."""
    endpoint.events = THOUGHT_AND_CALLS
    first = client.responses.create(model="m", input="weather?", tools=[WEATHER])
    calls = [item for item in first.output if item.type == "function_call"]
    results: list[Any] = [{"type": "function_call_output", "call_id": call.call_id, "output": "sun"} for call in calls]

    client.responses.create(model="m", input=[{"role": "user", "content": "weather?"}, *first.output, *results])

    assert [call.arguments for call in calls] == ['{"city": "Oslo"}', '{"city": "Rome"}']
    spoken = endpoint.asked[1].messages
    assert [message.role for message in spoken] == ["user", "assistant", "tool", "tool"]
    assert spoken[1].parts == (
        Reasoning("hm", {"anthropic": {"signature": "s"}}),
        Text("Let me see."),
        ToolCall("a", "weather", '{"city": "Oslo"}', {"google_generate": {"signature": "t"}}),
        ToolCall("b", "weather", '{"city": "Rome"}'),
    )


def test_structured_output_is_asked_for_and_parsed(endpoint: Endpoint, client: openai.OpenAI) -> None:
    """The SDK's schema arrives as our response format, and its parser takes our answer."""

    class City(BaseModel):
        name: str

    endpoint.events = [ev.TextDelta('{"name": "Oslo"}'), ev.PartEnded(), ev.Finished("stop")]

    response = client.responses.parse(model="m", input="hi", text_format=City)

    assert response.output_parsed == City(name="Oslo")
    wanted = endpoint.asked[0].response_format
    assert wanted is not None
    assert (wanted.kind, wanted.name, wanted.strict) == ("json_schema", "City", True)


def test_an_incomplete_answer_is_told_as_such(endpoint: Endpoint, client: openai.OpenAI) -> None:
    """At its limit the answer is incomplete, with the reason, streamed and whole."""
    endpoint.events = [ev.TextDelta("half"), ev.PartEnded(), ev.Finished("length")]

    response = client.responses.create(model="m", input="hi")
    last = list(client.responses.create(model="m", input="hi", stream=True))[-1]

    assert (response.status, last.type) == ("incomplete", "response.incomplete")
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


def test_a_late_failure_is_an_error_of_the_sdk(endpoint: Endpoint, client: openai.OpenAI) -> None:
    """An answer that breaks off raises after its words were seen, with our sentence."""
    endpoint.events = [ev.TextDelta("Hi"), ev.Failed(RateLimited("lab is busy.", provider="lab"))]
    stream = client.responses.create(model="m", input="hi", stream=True)
    seen: list[str] = []

    with pytest.raises(openai.APIError, match="lab is busy"):
        seen.extend(event.type for event in stream)

    assert "response.output_text.delta" in seen


def test_a_refusal_names_the_field(client: openai.OpenAI) -> None:
    """A 400 is the SDK's own class, with the field that is at fault."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="m", input="hi", conversation="conv_1")

    assert caught.value.param == "conversation"


def _counted(client: openai.OpenAI) -> Any:
    return client.responses.input_tokens.count(model="m", input="hi").input_tokens


def _compacted(client: openai.OpenAI) -> Any:
    return client.responses.compact(model="m", input="hi").output[-1].type


def _retrieved(client: openai.OpenAI) -> Any:
    return client.responses.retrieve("resp_x").status


def _listed(client: openai.OpenAI) -> Any:
    return [item.id for item in client.responses.input_items.list("resp_x").data]


_ASKED = b"""{"model": "m", "input": [
    {"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"},
    {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "1", "output": "x"}]}"""
_FAILED = ev.Answer("lab", "m", (), error=RequestError("no"))


@pytest.mark.parametrize(
    ("reply", "ask", "expected"),
    [
        (responses.encode_input_tokens(7), _counted, 7),
        (responses.compaction_body([], "so far", usage=Usage(1, 2), id="x", created=1), _compacted, "compaction"),
        (responses.response_body(ChatRequest("m", ()), _FAILED, id="x", created=1), _retrieved, "failed"),
        (
            {
                "object": "list",
                "data": responses.decode_turn(_ASKED).items(id="x"),
                "first_id": "item_x_0",
                "last_id": "item_x_3",
                "has_more": False,
            },
            _listed,
            [f"item_x_{at}" for at in range(4)],
        ),
    ],
)
def test_what_the_helpers_build_the_sdk_reads(
    endpoint: Endpoint, client: openai.OpenAI, reply: dict[str, Any], ask: Callable[[openai.OpenAI], Any], expected: Any
) -> None:
    """Counts, compactions, stored responses and their input pass strict validation."""
    endpoint.reply = reply

    assert ask(client) == expected


def test_what_we_send_a_provider_is_a_body_of_the_sdk(endpoint: Endpoint, url: str) -> None:
    """The body for a provider, sent by the SDK's async client, is the request that we meant."""
    request = responses.decode_request(
        json.dumps(
            {"model": "m", "input": "hi", "instructions": "be brief", "tools": [WEATHER], "stream": True}
        ).encode()
    )
    body = responses.encode_request(request, ModelCard("m", "lab")).body

    async def send() -> None:
        async with openai.AsyncOpenAI(base_url=url, api_key="k", _strict_response_validation=True) as client:
            async for _ in await client.responses.create(**body):
                pass

    asyncio.run(send())

    assert endpoint.asked[0].messages == request.messages
    assert endpoint.asked[0].tools == request.tools
