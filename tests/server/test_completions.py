"""Text completions against a real server, with the official `openai` SDK."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI

from osaurus_nb.errors import BadAnswer
from osaurus_nb.events import Finished, TextDelta, TokenLogprob, UsageReported, Warned
from osaurus_nb.models import Usage
from osaurus_nb.testing.scripted import ScriptedAdapter, says

SCORED = [
    TextDelta(" upon", logprobs=(TokenLogprob(" upon", -0.5, ((" upon", -0.5), (" more", -1.5))),)),
    UsageReported(Usage(input_tokens=1, output_tokens=1)),
    Finished("length"),
]
TWO = [TextDelta(" upon", choice=0), TextDelta(" more", choice=1), Finished("stop", 0), Finished("stop", 1)]
AS_CHAT = Warned("raw_prompt_as_chat", "It went as a message.", "prompt")


@pytest.fixture
def adapter() -> ScriptedAdapter:
    return ScriptedAdapter(
        {
            "good": [says(" upon", " a", " time")],
            "scored": [SCORED],
            "two": [TWO],
            "chats": [[AS_CHAT, *says("ok")]],
            "cut": [[TextDelta("half"), BadAnswer("cut", provider="scripted")]],
        }
    )


@pytest.fixture
def lenient(server) -> Iterator[OpenAI]:
    """The strict SDK refuses any chunk without a finish reason, its vendor's own among them (openai 3.52, 2026-11)."""
    with OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0, timeout=20) as made:
        yield made


def test_a_whole_completion(client, adapter):
    """Text, finish and usage; the prompt goes to the model raw."""
    answer = client.completions.create(model="good", prompt="Once", max_tokens=9, stop=["\n"])

    assert answer.choices[0].text == " upon a time"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 6
    request = adapter.requests[-1]
    assert request.messages[0].text == "Once"
    assert request.provider_metadata["osaurus"]["raw_prompt"] is True
    assert (request.sampling.max_output_tokens, request.sampling.stop) == (9, ("\n",))


def test_a_streamed_completion(lenient):
    """Pieces come one by one, usage at the end where it was asked for."""
    chunks = list(
        lenient.completions.create(model="good", prompt="Once", stream=True, stream_options={"include_usage": True})
    )

    assert [chunk.choices[0].text for chunk in chunks if chunk.choices and chunk.choices[0].text] == [
        " upon",
        " a",
        " time",
    ]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == 3


def test_logprobs_choices_and_echo(client):
    """What the dialect asks by number and flag comes in its own shape."""
    scored = client.completions.create(model="scored", prompt="Once", logprobs=2)
    two = client.completions.create(model="two", prompt="Once", n=2, echo=True)

    assert scored.choices[0].logprobs.tokens == [" upon"]
    assert scored.choices[0].logprobs.top_logprobs == [{" upon": -0.5, " more": -1.5}]
    assert [choice.text for choice in two.choices] == ["Once upon", "Once more"]


def test_a_chat_model_answers_and_the_headers_say_how(server):
    """Old clients still get an answer; that it was no raw completion is in headers and body."""
    for path in ("/v1/completions", "/completions"):
        answer = server.ask("POST", path, json_body={"model": "chats", "prompt": "Once"})

        assert answer.json["choices"][0]["text"] == "ok"
        assert answer.headers["x-osaurus-warnings"] == "raw_prompt_as_chat; param=prompt"
        assert answer.json["osaurus"]["warnings"][0]["code"] == "raw_prompt_as_chat"


def test_errors_have_the_classes_that_callers_catch(client, lenient):
    """Unknown model, wrong key, token ids and several prompts are OpenAI's own errors; a break raises."""
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="missing", prompt="Once")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").completions.create(model="good", prompt="Once")
    for prompt in ([1, 2], ["one", "two"]):
        with pytest.raises(openai.BadRequestError) as field:
            client.completions.create(model="good", prompt=prompt)
        assert field.value.param == "prompt"
    with pytest.raises(openai.APIError, match="broke off"):
        list(lenient.completions.create(model="cut", prompt="Once", stream=True))
