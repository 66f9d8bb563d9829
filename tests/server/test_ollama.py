"""The official `ollama` SDK against a real server, changed only in address and key; and Ollama behind every dialect."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import ollama
import pytest
from ollama import Client, ResponseError

from osaurus_nb import wire
from osaurus_nb.assembly import ConfiguredSources
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.errors import BadAnswer
from osaurus_nb.events import (
    Finished,
    PartEnded,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
    fold,
)
from osaurus_nb.messages import Media, system, user
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.request import ChatRequest, Delivery, ResponseFormat, Sampling, Tool
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says

PNG = b"\x89PNG\r\n\x1a\n"
QUESTION = [{"role": "user", "content": "Say hello."}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
CALLS = [
    ToolCallStarted("call_1", "weather", 0),
    ToolCallDelta('{"city"', 0),
    ToolCallDelta(': "Paris"}', 0),
    PartEnded(0),
    ToolCallStarted("call_2", "weather", 1),
    ToolCallDelta('{"city": "Rome"}', 1),
    PartEnded(1),
    UsageReported(Usage(input_tokens=9, output_tokens=4)),
    Finished("tool_calls"),
]
#: Where the paths of a dialect hang below our mount, if not at /v1.
BASES = {"gemini": "/v1beta", "ollama": ""}


@pytest.fixture
def adapter() -> ScriptedAdapter:
    thoughts = [ReasoningDelta("Hm."), PartEnded(0), TextDelta("Yes.", 1), PartEnded(1), Finished("stop")]
    return ScriptedAdapter(
        {
            "good": [says("Hello", " there", ".")],
            "tools": [CALLS],
            "slow": [[0.05, *says("Hello", " there", ".")]],
            "thinker": [thoughts],
            "cut": [[TextDelta("half"), BadAnswer("It broke.", provider="scripted")]],
            "endless": [[TextDelta("and so on "), *[0.01, TextDelta("and so on ")] * 2000]],
        }
    )


def client_of(server: Any, key: str | None = None) -> Client:
    return Client(host=server.url, headers={"Authorization": f"Bearer {key or server.key}"}, timeout=20)


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    with client_of(server) as made:
        yield made


def weather(city: str) -> str:
    """Tell the weather.

    Args:
        city: Where.
    """
    return f"sunny in {city}"


def test_chat_answers_whole_and_streamed(client):
    """Text, the reason of its end and both counts arrive, in one piece and line by line."""
    whole = client.chat(model="good", messages=QUESTION)
    parts = list(client.chat(model="good", messages=QUESTION, stream=True))

    assert whole.message.content == "".join(part.message.content for part in parts) == "Hello there."
    assert [part.message.content for part in parts[:3]] == ["Hello", " there", "."]
    for last in (whole, parts[-1]):
        assert (last.model, last.done, last.done_reason) == ("good", True, "stop")
        assert (last.prompt_eval_count, last.eval_count) == (3, 3)


def test_answers_are_streamed_unless_told_otherwise(server):
    """A body that says nothing of it gets lines of JSON, as every server of this dialect sends them."""
    answer = server.ask("POST", "/api/chat", json_body={"model": "good", "messages": QUESTION})

    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert [line["done"] for line in lines] == [False, False, False, True]
    assert answer.body.endswith(b"}\n")


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_says_how_long_it_took(client, stream):
    """The times on the last line are those of this answer: until its first word, and from there to the end."""
    answer = client.chat(model="slow", messages=QUESTION, stream=stream)
    last = list(answer)[-1] if stream else answer

    assert last.prompt_eval_duration >= 50_000_000
    assert last.total_duration == last.prompt_eval_duration + last.eval_duration
    assert last.total_duration < 20_000_000_000


@pytest.mark.parametrize("stream", [False, True])
def test_generate_answers_one_prompt(client, adapter, stream):
    """A prompt with its system words and an image is one question; the answer has its own place."""
    answer = client.generate(model="good", prompt="Look.", system="Be brief.", images=[PNG], stream=stream)
    parts = list(answer) if stream else [answer]

    assert "".join(part.response for part in parts) == "Hello there."
    assert parts[-1].done_reason == "stop"
    assert adapter.requests[-1].messages == (system("Be brief."), user("Look.", Media("image", "image/png", data=PNG)))


def test_a_raw_prompt_is_handed_on_as_such(client, adapter):
    """The model's side is told that no template may be put around it; what it cannot do is refused."""
    client.generate(model="good", prompt="<s>Once", raw=True)

    assert adapter.requests[-1].provider_metadata == {"osaurus": {"raw_prompt": True}}
    with pytest.raises(ResponseError, match="suffix") as caught:
        client.generate(model="good", prompt="a", suffix="b")
    assert caught.value.status_code == 400


@pytest.mark.parametrize("stream", [False, True])
def test_tools_go_round(client, adapter, stream):
    """Python functions are offered, parallel calls come back whole, their results find them."""
    answer = client.chat(model="tools", messages=QUESTION, tools=[weather], stream=stream)
    messages = [part.message for part in (answer if stream else [answer])]
    calls = [call for message in messages for call in message.tool_calls or ()]
    results = [
        {"role": "tool", "content": weather(**call.function.arguments), "tool_name": call.function.name}
        for call in calls
    ]
    client.chat(model="good", messages=[*QUESTION, ollama.Message(role="assistant", tool_calls=calls), *results])

    assert [call.function.arguments for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]
    assert adapter.requests[0].tools[0].description == "Tell the weather."
    _, asked, first, second = adapter.requests[1].messages
    assert [call.id for call in asked.tool_calls] == [first.parts[0].call_id, second.parts[0].call_id]
    assert [first.parts[0].text, second.parts[0].text] == ["sunny in Paris", "sunny in Rome"]


def test_images_schema_thinking_and_tuning_reach_the_model(client, adapter):
    """What the SDK can say of an answer arrives as what it means."""
    client.chat(
        model="good",
        messages=[{"role": "user", "content": "Look.", "images": [PNG]}],
        format=SCHEMA,
        think="low",
        options={"temperature": 0.5, "num_predict": 9, "stop": ["x"], "seed": 1},
    )

    request = adapter.requests[-1]
    assert request.messages == (user("Look.", Media("image", "image/png", data=PNG)),)
    assert request.response_format == ResponseFormat("json_schema", schema=SCHEMA)
    assert request.reasoning_effort == "low"
    assert request.sampling == Sampling(max_output_tokens=9, temperature=0.5, stop=("x",), seed=1)


def test_thoughts_are_apart_from_the_answer(client):
    """Thinking comes in its own field."""
    whole = client.chat(model="thinker", messages=QUESTION, think=True)
    parts = list(client.generate(model="thinker", prompt="Well?", think=True, stream=True))

    assert (whole.message.thinking, whole.message.content) == ("Hm.", "Yes.")
    assert "".join(part.thinking or "" for part in parts) == "Hm."
    assert "".join(part.response for part in parts) == "Yes."


@pytest.mark.parametrize("stream", [False, True])
def test_refusals_are_the_sdks_own_errors(client, server, stream):
    """An unknown model, a wrong key and a bad field arrive with their status and one sentence."""
    with pytest.raises(ResponseError, match="no model 'missing'") as missing:
        list(client.chat(model="missing", messages=QUESTION, stream=stream))
    with pytest.raises(ResponseError, match="key") as stranger:
        list(client_of(server, "wrong").chat(model="good", messages=QUESTION, stream=stream))
    with pytest.raises(ResponseError, match="temperature") as malformed:
        list(client.chat(model="good", messages=QUESTION, options={"temperature": -1}, stream=stream))

    assert [error.value.status_code for error in (missing, stranger, malformed)] == [404, 401, 400]


def test_a_break_is_told_in_the_stream(client):
    """After the first word the stream ends with an error, never with an invented end."""
    heard: list[str] = []

    with pytest.raises(ResponseError, match="broke"):
        heard.extend(part.message.content for part in client.chat(model="cut", messages=QUESTION, stream=True))

    assert heard == ["half"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/nothing", 404), ("GET", "/api/chat", 405), ("POST", "/api/tags", 405), ("DELETE", "/api/ps", 405)],
)
def test_wrong_paths_and_methods_are_errors_of_this_dialect(server, method, path, status):
    """Whatever is wrong below /api is one sentence under `error`."""
    answer = server.ask(method, path, json_body={} if method == "POST" else None)

    assert answer.status == status
    assert isinstance(answer.json["error"], str)


def test_models_are_listed_shown_and_none_runs(client, server):
    """The lists hold what can be named; nothing of others is in this machine's memory."""
    assert [model.model for model in client.list().models][:2] == ["scripted/good", "scripted/tools"]
    assert client.show("good").capabilities == ["completion"]
    assert client.ps().models == []
    assert server.ask("GET", "/api/version").json["version"].count(".") == 2
    with pytest.raises(ResponseError, match="no model") as caught:
        client.show("missing")
    assert caught.value.status_code == 404


@pytest.mark.parametrize(
    "manage",
    [
        lambda client: client.pull("x"),
        lambda client: list(client.pull("x", stream=True)),
        lambda client: client.push("x"),
        lambda client: client.create("x", from_="good"),
        lambda client: client.create_blob(__file__),
        lambda client: client.copy("x", "y"),
        lambda client: client.delete("good"),
    ],
    ids=["pull", "pull-stream", "push", "create", "blob", "copy", "delete"],
)
def test_managing_models_is_refused_with_the_way_to_do_it(client, manage):
    """Models are fetched and removed where osaurus runs, and the refusal says how."""
    with pytest.raises(ResponseError, match="osaurus-nb pull") as caught:
        manage(client)

    assert caught.value.status_code == 400


@pytest.mark.parametrize("path", ["", "/"])
def test_a_probe_of_the_root_finds_somebody(server, path):
    """Clients look there first, without a key."""
    head = server.ask("HEAD", path, key=None)
    got = server.ask("GET", path, key=None)

    assert (head.status, head.body) == (200, b"")
    assert (got.status, got.body) == (200, b"Ollama is running")
    assert got.headers["content-type"].startswith("text/plain")


def test_leaving_stops_the_model(client, adapter):
    """A caller that closes its stream stops the work behind it."""
    parts = client.chat(model="endless", messages=QUESTION, stream=True)
    next(parts)

    parts.close()

    ends = time.monotonic() + 5
    while not adapter.closed and time.monotonic() < ends:
        time.sleep(0.01)
    assert adapter.closed == 1


def test_loading_is_answered_and_unloading_what_is_not_here_is_refused(client, adapter):
    """Nothing to ask loads: models of others are always ready. Out of another's memory we can take nothing."""
    assert client.generate(model="good").done_reason == "load"
    assert client.chat(model="good").done_reason == "load"
    with pytest.raises(ResponseError, match="unloaded") as caught:
        client.generate(model="good", keep_alive=0)
    assert caught.value.status_code == 400
    with pytest.raises(ResponseError, match="no model"):
        client.generate(model="missing")
    assert adapter.requests == []


def test_a_model_of_this_machine_is_loaded_and_unloaded(home_server):
    """An empty question brings it into memory, which the list of the running shows; `keep_alive` 0 takes it out."""
    with client_of(home_server) as client:
        [name] = [model.model for model in client.list().models if not str(model.model).startswith("osaurus/")]

        loaded = client.generate(model=name)
        running = client.ps().models
        unloaded = client.chat(model=name, keep_alive=0)

        assert (loaded.done_reason, unloaded.done_reason) == ("load", "unload")
        assert [model.model for model in running] == [name]
        assert 0 < (running[0].expires_at - datetime.now(UTC)).total_seconds() < 901  # others may have used it last
        assert client.ps().models == []


@pytest.fixture
def behind(server: Any, serve: Callable[..., AbstractContextManager[Any]], tmp_path: Any) -> Iterator[Any]:
    """A second server of ours whose only provider is the first one, spoken to in Ollama's dialect."""
    ProviderFile(Paths(tmp_path)).add("peer", server.url, format="ollama", key_env="PEER_KEY")
    sources = ConfiguredSources(Settings(Paths(tmp_path)), {"PEER_KEY": server.key})
    with serve(lambda: Runtime(sources)) as served:
        yield served


@pytest.mark.parametrize("format", sorted(wire.FORMATS))
def test_ollama_answers_behind_every_dialect(behind, adapter, format):
    """Text, system, image, limits, tools and usage pass through a server of any dialect to an Ollama provider."""
    codec = wire.load(format)
    question = ChatRequest(
        "peer/tools",
        (system("Be brief."), user("Look.", Media("image", "image/png", data=PNG))),
        tools=(Tool("weather", parameters=SCHEMA),),
        sampling=Sampling(max_output_tokens=77),
        delivery=Delivery(stream=True, include_usage=True),
    )
    card = ModelCard("peer/tools", "osaurus")

    path = BASES.get(format, "/v1") + codec.endpoint(card)
    answer = behind.ask("POST", path, json_body=codec.encode_request(question, card).body)

    decoder = codec.event_decoder(card)
    heard = fold([*decoder.feed(answer.body), *decoder.close()])
    calls = [json.loads(call.arguments) for call in heard.choices[0].message.tool_calls]
    assert (calls, heard.finish_reason) == ([{"city": "Paris"}, {"city": "Rome"}], "tool_calls")
    assert (heard.usage.total_input, heard.usage.total_output) == (9, 4)
    request = adapter.requests[0]
    assert request.messages == question.messages
    assert request.sampling.max_output_tokens == 77
    assert request.tools[0].parameters["properties"] == SCHEMA["properties"]


def test_a_raw_prompt_passes_through_an_ollama_provider(behind, adapter):
    """It is raw again on the other side, and the answer comes back in its own place."""
    with client_of(behind) as client:
        answer = client.generate(model="peer/good", prompt="<s>Once", raw=True)

    assert answer.response == "Hello there."
    assert adapter.requests[0].messages == (user("<s>Once"),)
    assert adapter.requests[0].provider_metadata == {"osaurus": {"raw_prompt": True}}
