"""Text completions: what is asked reaches every provider or is refused by name, what comes back is written strictly."""

from __future__ import annotations

import json
from typing import Any

import pytest

from osaurus_nb import events as ev
from osaurus_nb import request as ask
from osaurus_nb import wire
from osaurus_nb.errors import RateLimited, RequestError, Unsupported
from osaurus_nb.messages import user
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.wire import openai_completions as completions

CHATS = sorted(set(wire.FORMATS) - {"ollama"})


def read(**body: Any) -> ask.ChatRequest:
    return completions.decode_request(json.dumps({"model": "m", "prompt": "Once", **body}).encode())


def written(events: list[ev.Event], **body: Any) -> list[Any]:
    """The stream as its payloads, the last one `[DONE]`."""
    encoder = completions.event_encoder(read(stream=True, **body), id="x", created=1)
    stream = b"".join(map(encoder.encode, events)) + encoder.close()
    frames = [frame.removeprefix("data: ") for frame in stream.decode("ascii").split("\n\n") if frame]
    assert frames.pop() == "[DONE]"
    return [json.loads(frame) for frame in frames]


def whole(events: list[ev.Event], **body: Any) -> dict[str, Any]:
    return completions.event_encoder(read(**body), id="x", created=1).body(ev.fold(events))


def test_a_prompt_is_one_raw_message() -> None:
    """A string, or a list with one, is the text to go on with."""
    for prompt in ("Once upon", ["Once upon"]):
        request = read(prompt=prompt)

        assert request.messages == (user("Once upon"),)
        assert request.provider_metadata is not None
        assert request.provider_metadata["osaurus"]["raw_prompt"] is True


def test_what_is_tuned_is_read() -> None:
    """Every knob has its place, and a number of logprobs means yes and so many rivals."""
    request = read(
        max_tokens=5, temperature=0.5, top_p=0.9, stop="END", seed=1, n=2, best_of=2, logprobs=3, presence_penalty=1
    )

    assert request.sampling == ask.Sampling(
        max_output_tokens=5,
        temperature=0.5,
        top_p=0.9,
        stop=("END",),
        seed=1,
        presence_penalty=1,
        logprobs=True,
        top_logprobs=3,
        n=2,
    )
    assert read(logprobs=0).sampling.logprobs
    assert read(logprobs=0).sampling.top_logprobs is None


def test_without_a_limit_it_is_the_dialects_own() -> None:
    """A raw prompt may never end by itself: the dialect says 16 tokens."""
    assert read().sampling.max_output_tokens == 16


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": ["one", "two"]}, "prompt"),
        ({"prompt": [1, 2, 3]}, "prompt"),
        ({"prompt": [[1, 2], [3]]}, "prompt"),
        ({"suffix": "the end"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"best_of": 3, "n": 2}, "best_of"),
        ({"echo": True, "logprobs": 1}, "echo"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": [{"role": "user", "content": "x"}]}, "messages"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(body: dict[str, Any], param: str) -> None:
    """Nothing that changes the answer is passed over."""
    with pytest.raises(Unsupported) as caught:
        read(**body)

    assert caught.value.param == param


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": {"text": "x"}}, "prompt"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"logprobs": 6}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"temperature": "warm"}, "temperature"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], param: str) -> None:
    """The field at fault, never its value."""
    with pytest.raises(RequestError) as caught:
        read(**body)

    assert caught.value.param == param
    assert "warm" not in str(caught.value)


@pytest.mark.parametrize("name", CHATS)
def test_a_chat_gets_it_as_a_message_and_says_so(name: str) -> None:
    """Where only chats are understood, the prompt is a message of the user, and a warning tells."""
    encoded = wire.load(name).encode_request(read(), ModelCard("m", "lab"))

    sent = json.dumps(encoded.body)
    assert "Once" in sent
    assert "raw_prompt" not in sent
    assert [warning.param for warning in encoded.warnings if warning.code == "raw_prompt_as_chat"] == ["prompt"]
    assert not [warning for warning in encoded.warnings if warning.code == "opaque_state_dropped"]


def test_ollama_gets_it_raw() -> None:
    """Ollama completes texts, so it is asked to, and nothing has to be told."""
    encoded = wire.load("ollama").encode_request(read(), ModelCard("m", "lab"))

    assert (encoded.body["prompt"], encoded.body["raw"]) == ("Once", True)
    assert encoded.warnings == ()


ANSWER: list[ev.Event] = [
    ev.AttemptStarted(1, "lab", "m"),
    ev.Started("lab", "real"),
    ev.TextDelta(" upon"),
    ev.TextDelta(" a\u2028time"),
    ev.PartEnded(),
    ev.UsageReported(Usage(input_tokens=2, output_tokens=4, cache_read_input_tokens=1)),
    ev.Finished("length"),
]


def test_a_stream_is_chunks_of_text() -> None:
    """The first says who answers, the last why it ended; usage has a chunk of its own where it was asked for."""
    first, second, third, end, usage = written(ANSWER, stream_options={"include_usage": True})

    assert first["osaurus"]["provider"] == "lab"
    assert {row["object"] for row in (first, second, end, usage)} == {"text_completion"}
    assert {row["id"] for row in (first, second, end, usage)} == {"cmpl-x"}
    assert second["choices"] == [{"index": 0, "text": " upon", "logprobs": None, "finish_reason": None}]
    assert third["choices"][0]["text"] == " a\u2028time"
    assert (end["choices"][0]["text"], end["choices"][0]["finish_reason"]) == ("", "length")
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 7)


def test_a_whole_answer() -> None:
    """Text, finish, usage, and who answered."""
    body = whole(ANSWER)

    assert body["choices"] == [{"index": 0, "text": " upon a\u2028time", "logprobs": None, "finish_reason": "length"}]
    assert body["usage"]["prompt_tokens_details"]["cached_tokens"] == 1
    assert body["osaurus"]["model"] == "real"


def test_an_echo_comes_first_in_every_choice() -> None:
    """The prompt stands before the answer, whole and streamed."""
    events: list[ev.Event] = [
        ev.Started("lab", "m"),
        ev.TextDelta(" upon", choice=0),
        ev.TextDelta(" more", choice=1),
        ev.Finished("stop", 0),
        ev.Finished("stop", 1),
    ]

    streamed = {0: "", 1: ""}
    for chunk in written(events, n=2, echo=True):
        for choice in chunk["choices"]:
            streamed[choice["index"]] += choice["text"]
    body = whole(events, n=2, echo=True)

    assert streamed == {0: "Once upon", 1: "Once more"}
    assert [choice["text"] for choice in body["choices"]] == ["Once upon", "Once more"]


def test_logprobs_are_columns_with_places_in_the_text() -> None:
    """Tokens, their logprobs, their rivals with the chosen one among them, and where each token starts."""
    events: list[ev.Event] = [
        ev.Started("lab", "m"),
        ev.TextDelta(" up", logprobs=(ev.TokenLogprob(" up", -0.1, ((" up", -0.1), (" in", -2.0))),)),
        ev.TextDelta("on a", logprobs=(ev.TokenLogprob("on", -0.2), ev.TokenLogprob(" a", -0.3, ((" the", -0.2),)))),
        ev.Finished("length"),
    ]

    body = whole(events, logprobs=2)["choices"][0]["logprobs"]
    parts = [chunk["choices"][0]["logprobs"] for chunk in written(events, logprobs=2)]
    joined: dict[str, list[Any]] = {}
    for part in filter(None, parts):
        for key, column in part.items():
            joined.setdefault(key, []).extend(column or [None])

    assert body == {
        "tokens": [" up", "on", " a"],
        "token_logprobs": [-0.1, -0.2, -0.3],
        "top_logprobs": [{" up": -0.1, " in": -2.0}, {"on": -0.2}, {" the": -0.2, " a": -0.3}],
        "text_offset": [0, 3, 5],
    }
    assert joined == body


def test_thinking_is_left_out_and_told() -> None:
    """The dialect has no place for it; that it came is a warning, once."""
    events: list[ev.Event] = [ev.Started("lab", "m"), ev.ReasoningDelta("hm"), ev.ReasoningDelta("hm"), *ANSWER[2:]]

    body, chunks = whole(events), written(events)

    for warnings in (body["osaurus"]["warnings"], chunks[-1]["osaurus"]["warnings"]):
        assert [warning["code"] for warning in warnings] == ["reasoning_left_out"]
    assert "hm" not in json.dumps([body, chunks])


def test_a_late_fault_is_told_in_band() -> None:
    """As in Chat: an error in a chunk, and no invented finish."""
    *_, last = written([*ANSWER[:3], ev.Failed(RateLimited("Too many.", provider="lab"))])

    assert last["error"]["code"] == "rate_limit_exceeded"
    assert last["choices"][0]["finish_reason"] == "error"


def test_a_substitute_is_the_model_of_the_answer() -> None:
    """What another model wrote does not carry the name of the one that was asked."""
    events = [ev.Substituted("m", "other", "it failed"), *ANSWER]

    assert {chunk["model"] for chunk in written(events)} == {"other"}
