"""The official `google-genai` SDK against a real server, changed only in address and key."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from osaurus_nb.errors import BadAnswer, RateLimited
from osaurus_nb.events import (
    Finished,
    PartEnded,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from osaurus_nb.messages import Media, Message, Text, ToolCall, ToolResult
from osaurus_nb.models import Usage
from osaurus_nb.request import NamedTool
from osaurus_nb.testing.scripted import ScriptedAdapter, says

PNG = b"\x89PNG\r\n\x1a\n"


def calls(*cities: str) -> list[Any]:
    """An answer that asks for the weather of each city."""
    script: list[Any] = []
    for at, city in enumerate(cities):
        script += [
            ToolCallStarted(f"call_{at}", "weather", at),
            ToolCallDelta('{"city"', at),
            ToolCallDelta(f': "{city}"}}', at),
            PartEnded(at),
        ]
    return [*script, UsageReported(Usage(input_tokens=9, output_tokens=4)), Finished("tool_calls")]


@pytest.fixture
def adapter() -> ScriptedAdapter:
    thinks = [
        ReasoningDelta("Let me see."),
        PartEnded(0),
        TextDelta("42", 1),
        PartEnded(1),
        UsageReported(Usage(input_tokens=3, output_tokens=1, reasoning_output_tokens=5)),
        Finished("stop"),
    ]
    return ScriptedAdapter(
        {
            "good": [says("Hello", " there", ".")],
            "org/name:7b": [says("ok")],
            "tool": [calls("Paris")],
            "tools": [calls("Paris", "Rome")],
            "agent": [calls("Paris"), says("It is sunny.")],
            "thinks": [thinks],
            "json": [says('{"name": "Ada", ', '"age": 36}')],
            "limited": [[RateLimited("Too many.", provider="scripted")]],
            "broken": [[BadAnswer("Nonsense.", provider="scripted")]],
            "cut": [[TextDelta("half"), BadAnswer("cut", provider="scripted")]],
            "slow": [[TextDelta("first"), *[item for _ in range(400) for item in (0.05, TextDelta(" more"))]]],
        }
    )


@pytest.fixture(params=["v1", "v1beta"])
def client(server, request) -> Iterator[genai.Client]:
    """The SDK, at both versions of the API."""
    options = types.HttpOptions(base_url=server.url, api_version=request.param)
    with genai.Client(api_key=server.key, http_options=options) as made:
        yield made


@pytest.fixture
def plain(server) -> Iterator[genai.Client]:
    """The SDK as it comes: it chooses the version."""
    with genai.Client(api_key=server.key, http_options=types.HttpOptions(base_url=server.url)) as made:
        yield made


WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="weather",
            description="The weather of a city.",
            parameters=types.Schema(type="OBJECT", properties={"city": types.Schema(type="STRING")}),
        )
    ]
)


def test_a_whole_answer_with_its_usage(client):
    """A plain call returns the text, why it ended and what it used."""
    answer = client.models.generate_content(model="good", contents="Say hello.")

    assert answer.text == "Hello there."
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.usage_metadata.total_token_count == 6


def test_a_stream(client):
    """Pieces come one by one; the last says why it ended and what was used."""
    chunks = list(client.models.generate_content_stream(model="org/name:7b", contents="Say hello."))

    assert "".join(chunk.text or "" for chunk in chunks) == "ok"
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert chunks[-1].usage_metadata.total_token_count == 4


def test_a_chat_remembers(plain, adapter):
    """The second question, streamed or whole, brings the first and its answer along."""
    chat = plain.chats.create(model="good", config=types.GenerateContentConfig(system_instruction="Be brief."))

    first = "".join(chunk.text or "" for chunk in chat.send_message_stream("Say hello."))
    second = chat.send_message("And again?").text

    assert first == second == "Hello there."
    assert adapter.requests[-1].messages == (
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("Say hello."),)),
        Message("assistant", (Text("Hello there."),)),
        Message("user", (Text("And again?"),)),
    )


@pytest.mark.parametrize(("model", "cities"), [("tool", ["Paris"]), ("tools", ["Paris", "Rome"])])
@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called_and_answered(plain, adapter, model, cities, stream):
    """One call or several, whole or streamed, arrive with ids and arguments; their results go back."""
    automatic = types.AutomaticFunctionCallingConfig(disable=True)
    config = types.GenerateContentConfig(tools=[WEATHER], automatic_function_calling=automatic)
    ask: dict[str, Any] = {"model": model, "contents": "Weather?", "config": config}

    if stream:
        answers = list(plain.models.generate_content_stream(**ask))
        called = [call for answer in answers for call in answer.function_calls or ()]
    else:
        called = plain.models.generate_content(**ask).function_calls
    results = [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": "sunny"}))
        for call in called
    ]
    said = types.ModelContent([types.Part(function_call=call) for call in called])
    conversation = [types.UserContent("Weather?"), said, types.UserContent(results)]
    done = plain.models.generate_content(model="good", contents=conversation, config=config)

    assert [call.args for call in called] == [{"city": city} for city in cities]
    assert done.text == "Hello there."
    arrived = adapter.requests[-1].messages
    assert [part.id for part in arrived[1].parts] == [call.id for call in called]
    assert all(isinstance(part, ToolCall) for part in arrived[1].parts)
    assert [part for message in arrived[2:] for part in message.parts] == [
        ToolResult(call.id, (Text("sunny"),)) for call in called
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_functions_are_called_by_the_sdk_itself(plain, adapter, stream):
    """Automatic function calling: the SDK runs a Python function and asks again with its result."""
    asked: list[str] = []

    def weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return "sunny"

    config = types.GenerateContentConfig(tools=[weather])
    if stream:
        chunks = plain.models.generate_content_stream(model="agent", contents="Weather?", config=config)
        text = "".join(chunk.text or "" for chunk in chunks)
    else:
        text = plain.models.generate_content(model="agent", contents="Weather?", config=config).text

    assert (text, asked) == ("It is sunny.", ["Paris"])
    assert adapter.requests[0].tools[0].description == "The weather of a city."
    assert adapter.requests[0].tools[0].parameters["properties"] == {"city": {"type": "string"}}
    assert "sunny" in adapter.requests[1].messages[-1].parts[0].text


def test_a_tool_can_be_forced(plain, adapter):
    """A choice of tools reaches the model."""
    calling = types.FunctionCallingConfig(mode="ANY", allowed_function_names=["weather"])
    config = types.GenerateContentConfig(tools=[WEATHER], tool_config=types.ToolConfig(function_calling_config=calling))

    plain.models.generate_content(model="tool", contents="Weather?", config=config)

    assert adapter.requests[-1].tool_choice == NamedTool("weather")


def test_images_and_documents_arrive(plain, adapter):
    """Bytes come through as they were, with their type."""
    contents = [
        "Look:",
        types.Part.from_bytes(data=PNG, mime_type="image/png"),
        types.Part.from_bytes(data=b"%PDF-", mime_type="application/pdf"),
    ]

    plain.models.generate_content(model="good", contents=contents)

    assert adapter.requests[-1].messages[0].parts[1:] == (
        Media("image", "image/png", data=PNG),
        Media("document", "application/pdf", data=b"%PDF-"),
    )


def test_an_answer_has_the_shape_that_was_asked_for(plain, adapter):
    """A response schema, as a class or as JSON Schema, reaches the model; the SDK parses the answer with it."""

    class Person(BaseModel):
        name: str
        age: int

    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Person)
    answer = plain.models.generate_content(model="json", contents="Who?", config=config)
    schema = Person.model_json_schema()
    plain.models.generate_content(
        model="json",
        contents="Who?",
        config=types.GenerateContentConfig(response_mime_type="application/json", response_json_schema=schema),
    )

    assert answer.parsed == Person(name="Ada", age=36)
    first, second = (request.response_format for request in adapter.requests)
    assert first.kind == second.kind == "json_schema"
    assert first.schema["properties"].keys() == second.schema["properties"].keys() == {"name", "age"}


def test_tuning_reaches_the_model(plain, adapter):
    """Limits, sampling and stop sequences are those of the call."""
    config = types.GenerateContentConfig(
        max_output_tokens=9, temperature=0.5, top_p=0.9, top_k=4, stop_sequences=["END"], seed=1, candidate_count=1
    )

    plain.models.generate_content(model="good", contents="hi", config=config)

    sampling = adapter.requests[-1].sampling
    assert (sampling.max_output_tokens, sampling.temperature, sampling.top_p) == (9, 0.5, 0.9)
    assert (sampling.top_k, sampling.stop, sampling.seed) == (4, ("END",), 1)


@pytest.mark.parametrize("stream", [False, True])
def test_thoughts_are_shown_to_those_who_ask(plain, adapter, stream):
    """With `include_thoughts` they are parts of their own; without it they only count."""

    def parts(config: types.GenerateContentConfig | None) -> list[tuple[str, bool]]:
        if stream:
            answers = list(plain.models.generate_content_stream(model="thinks", contents="?", config=config))
        else:
            answers = [plain.models.generate_content(model="thinks", contents="?", config=config)]
        assert answers[-1].usage_metadata.thoughts_token_count == 5
        return [
            (part.text, bool(part.thought))
            for answer in answers
            for part in answer.candidates[0].content.parts
            if part.text
        ]

    thinking = types.ThinkingConfig(include_thoughts=True, thinking_level="HIGH")
    shown = parts(types.GenerateContentConfig(thinking_config=thinking))
    hidden = parts(None)

    assert shown == [("Let me see.", True), ("42", False)]
    assert hidden == [("42", False)]
    assert adapter.requests[0].reasoning_effort == "high"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "kind", "code", "status"),
    [
        ("missing", errors.ClientError, 404, "NOT_FOUND"),
        ("limited", errors.ClientError, 429, "RESOURCE_EXHAUSTED"),
        ("broken", errors.ServerError, 502, "INTERNAL"),
    ],
)
def test_errors_have_the_classes_that_callers_catch(client, model, kind, code, status, stream):
    """Unknown model, a limit and a provider's fault are told apart as Google's own server would."""
    asked = client.models.generate_content_stream if stream else client.models.generate_content

    with pytest.raises(kind) as caught:
        list(asked(model=model, contents="hi"))

    assert (caught.value.code, caught.value.status) == (code, status)
    assert caught.value.message


def test_a_wrong_key_and_a_wrong_field_are_the_callers_fault(server, plain):
    """401 and 400 are client errors, and the field is named."""
    options = types.HttpOptions(base_url=server.url)
    with genai.Client(api_key="wrong", http_options=options) as stranger, pytest.raises(errors.ClientError) as door:
        stranger.models.generate_content(model="good", contents="hi")
    with pytest.raises(errors.ClientError) as field:
        plain.models.generate_content(
            model="good", contents="hi", config=types.GenerateContentConfig(cached_content="cachedContents/x")
        )

    assert (door.value.code, door.value.status) == (401, "UNAUTHENTICATED")
    assert (field.value.code, field.value.status) == (400, "INVALID_ARGUMENT")
    assert "cachedContent" in field.value.message


def test_a_break_is_told_in_band(client):
    """After the first word the SDK raises: a half answer is never taken for a whole one."""
    heard: list[str] = []
    stream = client.models.generate_content_stream(model="cut", contents="hi")

    with pytest.raises(errors.APIError):
        heard.extend(chunk.text or "" for chunk in stream)

    assert "".join(heard) == "half"


def test_models_are_listed_and_retrieved(client):
    """Under both versions, ids with slashes and colons among them."""
    listed = [model.name for model in client.models.list()]

    assert "models/scripted/org/name:7b" in listed
    assert len(listed) == 11
    found = client.models.get(model="scripted/org/name:7b")
    assert found.name == "models/scripted/org/name:7b"
    assert "generateContent" in found.supported_actions
    with pytest.raises(errors.ClientError) as missing:
        client.models.get(model="nothing")
    assert missing.value.status == "NOT_FOUND"


def test_tokens_are_counted(client):
    """A count comes for a text and for a conversation with images."""
    short = client.models.count_tokens(model="good", contents="hi")
    long = client.models.count_tokens(
        model="good", contents=["hi " * 400, types.Part.from_bytes(data=PNG, mime_type="image/png")]
    )

    assert 0 < short.total_tokens < long.total_tokens


async def read_slowly(client: Any) -> None:
    async for _ in await client.models.generate_content_stream(model="slow", contents="hi"):
        pass


@pytest.mark.anyio
async def test_the_async_client_answers_streams_and_leaves(server, adapter):
    """The async SDK does the same, and a stream that is left stops the model."""
    options = types.HttpOptions(base_url=server.url)
    async with genai.Client(api_key=server.key, http_options=options).aio as client:
        whole = await client.models.generate_content(model="good", contents="hi")
        pieces = [
            chunk.text or "" async for chunk in await client.models.generate_content_stream(model="good", contents="hi")
        ]
        reading = asyncio.create_task(read_slowly(client))
        while not (adapter.requests and adapter.requests[-1].model == "slow"):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        reading.cancel()
        left = time.monotonic()
        while not adapter.closed and time.monotonic() < left + 5:
            await asyncio.sleep(0.005)

    assert whole.text == "".join(pieces) == "Hello there."
    assert adapter.closed == 1
    assert time.monotonic() - left < 1
