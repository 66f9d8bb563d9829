"""The official `openai` SDK against a real server."""

from __future__ import annotations

import openai
import pytest
from openai import AsyncOpenAI

from osaurus_nb.events import Finished, PartEnded, ToolCallDelta, ToolCallStarted, UsageReported
from osaurus_nb.models import Usage
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
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
def adapter() -> ScriptedAdapter:
    return ScriptedAdapter({"good": [says("Hello", " there", ".")], "tools": [CALL], "org/name:latest": [says("ok")]})


def test_a_whole_answer_with_its_usage(client):
    """A plain call returns the text, why it ended and what it used."""
    answer = client.chat.completions.create(model="good", messages=QUESTION)

    assert answer.choices[0].message.content == "Hello there."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 6


def test_a_stream_with_usage_at_its_end(client):
    """Pieces come one by one, and the last chunk carries the usage when it was asked for."""
    chunks = list(
        client.chat.completions.create(
            model="good", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
    )

    assert [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content] == [
        "Hello",
        " there",
        ".",
    ]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 3


def test_a_tool_call_whole_and_streamed(client):
    """A tool call arrives with its name and whole arguments, either way."""
    whole = client.chat.completions.create(model="tools", messages=QUESTION, tools=[WEATHER])
    with client.chat.completions.stream(model="tools", messages=QUESTION, tools=[WEATHER]) as stream:
        streamed = stream.get_final_completion()

    for answer in (whole, streamed):
        [call] = answer.choices[0].message.tool_calls
        assert (call.function.name, call.function.arguments) == ("weather", '{"city": "Paris"}')
        assert answer.choices[0].finish_reason == "tool_calls"


def test_models_are_listed_and_retrieved(client):
    """Ids with slashes and colons are found by the name under which they are listed."""
    listed = [model.id for model in client.models.list()]

    assert listed == ["scripted/good", "scripted/tools", "scripted/org/name:latest"]
    assert client.models.retrieve("scripted/org/name:latest").id == "scripted/org/name:latest"


def test_errors_have_the_classes_that_callers_catch(client, server):
    """Unknown model, wrong key and bad field are told apart as OpenAI's own server would."""
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="scripted-good", messages=QUESTION)
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="osk_live_wrong").models.list()
    with pytest.raises(openai.BadRequestError) as field:
        client.chat.completions.create(model="good", messages=QUESTION, temperature="warm")

    assert unknown.value.code == "model_not_found"
    assert "scripted/good" in unknown.value.message
    assert field.value.param == "temperature"


@pytest.mark.anyio
async def test_the_async_client_answers_and_streams(server):
    """The async SDK does the same."""
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0, timeout=20) as client:
        answer = await client.chat.completions.create(model="good", messages=QUESTION)
        stream = await client.chat.completions.create(model="good", messages=QUESTION, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]

    assert answer.choices[0].message.content == "".join(pieces) == "Hello there."
