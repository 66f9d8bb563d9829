"""The vendor's own SDK, strictly checking, asks over loopback what we decode, and reads what we encode."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import anthropic as sdk
import pytest
from pydantic import BaseModel

from osaurus_nb import events as ev
from osaurus_nb import request as ask
from osaurus_nb.errors import AccessDenied, ModelNotFound, OsaurusError, RateLimited, Unavailable
from osaurus_nb.messages import Media, Message, Reasoning, Text, ToolCall, ToolResult
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.wire import anthropic_messages as anthropic

SAID = [{"role": "user", "content": "hi"}]
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}
TOOL = {"name": "add", "description": "adds", "input_schema": SCHEMA}
ANSWER: tuple[ev.Event, ...] = (
    ev.Started("lab", "real"),
    ev.UsageReported(Usage(5)),
    ev.ReasoningDelta("hm"),
    ev.PartEnded(0, provider_metadata={"anthropic": {"signature": "s"}}),
    ev.TextDelta("Hel", 1),
    ev.TextDelta("lo\u2028", 1),
    ev.PartEnded(1),
    ev.UsageReported(Usage(5, 3, 1, 2, 4)),
    ev.Finished("stop", stop_sequence="###"),
)
CALLS: tuple[ev.Event, ...] = (
    ev.Started("lab", "real"),
    ev.ToolCallStarted("a", "add", 0),
    ev.ToolCallDelta('{"x"', 0),
    ev.ToolCallDelta(": 1}", 0),
    ev.PartEnded(0),
    ev.ToolCallStarted("b", "add", 1),
    ev.ToolCallDelta('{"x": 2}', 1),
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
            return self._answer(path.partition("?")[0], body, headers.get("anthropic-version"))
        except OsaurusError as error:
            return anthropic.status(error), "application/json", json.dumps(anthropic.encode_error(error)).encode()

    def _answer(self, path: str, body: bytes, version: str | None) -> tuple[int, str, bytes]:
        if path.endswith("/models"):
            page = anthropic.encode_models([ModelCard("m", "lab", context_length=9)])
            return 200, "application/json", json.dumps(page).encode()
        if path.endswith("/count_tokens"):
            self.asked.append(anthropic.decode_count(body, version=version))
            return 200, "application/json", json.dumps(anthropic.encode_token_count(7)).encode()
        request = anthropic.decode_request(body, version=version)
        self.asked.append(request)
        encoder = anthropic.event_encoder(request, id="x", created=1)
        if not request.delivery.stream:
            return 200, "application/json", json.dumps(encoder.body(ev.fold(self.events))).encode()
        stream = anthropic.PING.join(encoder.encode(event) for event in self.events)
        return 200, "text/event-stream", stream + encoder.close()


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def client(endpoint: Endpoint, loopback: Any) -> Iterator[sdk.Anthropic]:
    url = loopback(endpoint.answer)
    with sdk.Anthropic(base_url=url, api_key="k", max_retries=0, _strict_response_validation=True) as made:
        yield made


def test_an_answer_in_one_piece(client: sdk.Anthropic, endpoint: Endpoint) -> None:
    """The SDK reads text, thinking, usage and the stop sequence; we read what it asked."""
    message = client.messages.create(
        model="m", max_tokens=9, messages=SAID, system="kind", stop_sequences=["###"], metadata={"user_id": "u"}
    )

    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[1].text == "Hello\u2028"
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "###")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (5, 7)
    assert (message.usage.cache_read_input_tokens, message.usage.cache_creation_input_tokens) == (1, 2)
    [request] = endpoint.asked
    assert request.messages == (Message("system", (Text("kind"),)), Message("user", (Text("hi"),)))
    assert request.provider_metadata == {"anthropic": {"metadata": {"user_id": "u"}}}
    assert endpoint.headers["anthropic-version"] == "2026-10-21"


def test_a_stream_by_its_helper(client: sdk.Anthropic, endpoint: Endpoint) -> None:
    """The stream helper gives the words as they come and the same message in the end, through our pings."""
    with client.messages.stream(model="m", max_tokens=9, messages=SAID) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()

    assert pieces == ["Hel", "lo\u2028"]
    whole = client.messages.create(model="m", max_tokens=9, messages=SAID)
    assert message.model_dump(exclude={"osaurus"}) == whole.model_dump(exclude={"osaurus"})
    assert [request.delivery.stream for request in endpoint.asked] == [True, False]


def test_raw_events_pass_the_strict_check(client: sdk.Anthropic) -> None:
    """Every frame of ours is a whole event of its type."""
    events = list(client.messages.create(model="m", max_tokens=9, messages=SAID, stream=True))

    kinds = [event.type for event in events]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 2


@pytest.mark.parametrize("stream", [False, True])
def test_tools_there_and_back(client: sdk.Anthropic, endpoint: Endpoint, stream: bool) -> None:
    """Parallel calls reach the SDK whole, and what it sends back is one result for each."""
    endpoint.events = CALLS
    asked = {"model": "m", "max_tokens": 9, "tools": [TOOL], "tool_choice": {"type": "any"}}
    if stream:
        with client.messages.stream(messages=SAID, **asked) as answer:
            message = answer.get_final_message()
    else:
        message = client.messages.create(messages=SAID, **asked)
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "3"} for call in message.content]
    said = [*SAID, {"role": "assistant", "content": message.content}, {"role": "user", "content": results}]

    client.messages.create(messages=said, **asked)

    assert message.stop_reason == "tool_use"
    assert [(call.id, call.input) for call in message.content] == [("a", {"x": 1}), ("b", {"x": 2})]
    assert endpoint.asked[-1].messages[1:] == (
        Message("assistant", (ToolCall("a", "add", '{"x": 1}'), ToolCall("b", "add", '{"x": 2}'))),
        Message("tool", (ToolResult("a", (Text("3"),)),)),
        Message("tool", (ToolResult("b", (Text("3"),)),)),
    )
    assert endpoint.asked[0].tools[0].parameters == SCHEMA
    assert endpoint.asked[0].tool_choice == "required"


def test_the_sdks_own_tool_loop_runs_its_functions(client: sdk.Anthropic, endpoint: Endpoint) -> None:
    """The runner of the SDK asks for a thread, is told that there is none, and sends the whole conversation."""
    seen: list[int] = []

    @sdk.beta_tool
    def add(x: int) -> str:
        """Adds.

        Args:
            x: a number
        """
        seen.append(x)
        endpoint.events = ANSWER
        return str(x)

    endpoint.events = CALLS
    last = client.beta.messages.tool_runner(model="m", max_tokens=9, messages=SAID, tools=[add]).until_done()

    assert sorted(seen) == [1, 2]
    assert last.stop_reason == "stop_sequence"
    assert [message.role for message in endpoint.asked[-1].messages] == ["user", "assistant", "tool", "tool"]


def test_thinking_comes_back_signed(client: sdk.Anthropic, endpoint: Endpoint) -> None:
    """The SDK's own way of continuing a conversation returns thinking with its signature."""
    message = client.messages.create(model="m", max_tokens=9, messages=SAID)

    client.messages.create(model="m", max_tokens=9, messages=[*SAID, message.to_param(), *SAID])

    assert endpoint.asked[-1].messages[1].parts == (
        Reasoning("hm", {"anthropic": {"signature": "s"}}),
        Text("Hello\u2028"),
    )


class Point(BaseModel):
    x: int


def test_a_shape_of_the_answer(client: sdk.Anthropic, endpoint: Endpoint) -> None:
    """`parse` sends its schema as we read it, and reads our answer by it."""
    endpoint.events = (ev.Started("lab", "m"), ev.TextDelta('{"x": 3}'), ev.PartEnded(), ev.Finished("stop"))

    message = client.messages.parse(model="m", max_tokens=9, messages=SAID, output_format=Point)

    assert message.parsed_output == Point(x=3)
    wanted = endpoint.asked[0].response_format
    assert wanted is not None
    assert wanted.kind == "json_schema"
    assert wanted.schema is not None
    assert wanted.schema["additionalProperties"] is False


def test_an_image(client: sdk.Anthropic, endpoint: Endpoint) -> None:
    """Bytes that the SDK sends as base64 are the same bytes here."""
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}

    client.messages.create(
        model="m", max_tokens=9, messages=[{"role": "user", "content": [{"type": "image", "source": source}]}]
    )

    assert endpoint.asked[0].messages[0].parts == (Media("image", "image/png", data=b"\x89PNG"),)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (AccessDenied("no"), sdk.AuthenticationError),
        (ModelNotFound("no"), sdk.NotFoundError),
        (RateLimited("no", provider="p"), sdk.RateLimitError),
        (Unavailable("no", provider="p"), sdk.InternalServerError),
    ],
)
def test_errors_are_of_the_sdks_kinds(
    client: sdk.Anthropic, endpoint: Endpoint, error: OsaurusError, expected: type[sdk.APIStatusError]
) -> None:
    """Each refusal is raised by the SDK as its own class, with our sentence."""
    endpoint.error = error

    with pytest.raises(expected) as caught:
        client.messages.create(model="m", max_tokens=9, messages=SAID)

    assert caught.value.body["error"]["message"] == "no"  # type: ignore[index]


def test_a_wrong_request_names_its_field(client: sdk.Anthropic) -> None:
    """What the newer version refuses is a bad request to the SDK too."""
    with pytest.raises(sdk.BadRequestError, match="'temperature'"):
        client.messages.create(model="m", max_tokens=9, messages=SAID, extra_body={"temperature": 0.5})


def test_a_failure_in_the_stream_is_raised(client: sdk.Anthropic, endpoint: Endpoint) -> None:
    """An answer that breaks off is an error to the SDK, after the words that came."""
    endpoint.events = (ev.TextDelta("Hi"), ev.Failed(Unavailable("gone", provider="p")))

    seen: list[str] = []
    with (
        pytest.raises(sdk.APIStatusError, match="gone"),
        client.messages.stream(model="m", max_tokens=9, messages=SAID) as stream,
    ):
        seen.extend(stream.text_stream)

    assert seen == ["Hi"]


def test_counting_and_listing(client: sdk.Anthropic, endpoint: Endpoint) -> None:
    """Token counts and the pages of models are what the SDK reads."""
    count = client.messages.count_tokens(model="m", messages=SAID, tools=[TOOL])
    models = list(client.models.list())

    assert count.input_tokens == 7
    assert endpoint.asked[0].sampling.max_output_tokens is None
    assert [(model.id, model.max_input_tokens) for model in models] == [("lab/m", 9)]


def test_what_the_sdk_was_told_we_read_too(endpoint: Endpoint, client: sdk.Anthropic) -> None:
    """Our own decoder reads the same stream to the same answer."""
    raw = client.messages.with_raw_response.create(model="m", max_tokens=9, messages=SAID, stream=True)
    decoder = anthropic.event_decoder(ModelCard("m", "lab"))

    events = [event for data in raw.http_response.iter_bytes() for event in decoder.feed(data)] + decoder.close()

    assert ev.fold(events).choices == ev.fold(ANSWER).choices
    assert ev.fold(events).usage == Usage(5, 3, 1, 2, 4)
