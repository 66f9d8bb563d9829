"""Chat Completions answers: read from any provider, written for any caller."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb import events as ev
from osaurus_nb.errors import BadAnswer, ProviderError, RateLimited, Unavailable
from osaurus_nb.messages import Text, ToolCall
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.request import ChatRequest, Delivery
from osaurus_nb.wire import openai_chat as chat
from osaurus_nb.wire.openai_chat.decode import read_usage

CARD = ModelCard("m", "lab")
REQUEST = ChatRequest("m", (), delivery=Delivery(stream=True, include_usage=True))


def chunk(delta: dict[str, Any], finish: str | None = None, **extra: Any) -> str:
    row = {"index": 0, "delta": delta, "finish_reason": finish}
    return "data: " + json.dumps({"id": "1", "model": "real", "choices": [row], **extra}) + "\n\n"


def read(*pieces: str | bytes) -> list[ev.Event]:
    decoder = chat.event_decoder(CARD)
    fed = [decoder.feed(piece.encode() if isinstance(piece, str) else piece) for piece in pieces]
    return [event for events in [*fed, decoder.close()] for event in events]


def test_a_stream_becomes_text_usage_and_a_finish() -> None:
    """The usual stream: role, words, finish, usage, [DONE]."""
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    events = read(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({}, "stop"),
        "data: " + json.dumps({"choices": [], "usage": usage}) + "\n\n",
        "data: [DONE]\n\n",
    )

    assert events == [
        ev.Started("lab", "real", "1"),
        ev.TextDelta("Hel"),
        ev.TextDelta("lo"),
        ev.PartEnded(),
        ev.UsageReported(Usage(input_tokens=5, output_tokens=2)),
        ev.Finished("stop"),
    ]


def test_no_finish_signal_is_a_fault() -> None:
    """A stream that just ends is incomplete: a stop is never invented."""
    with pytest.raises(BadAnswer, match="without saying"):
        read(chunk({"content": "half"}))


def test_an_end_mark_without_a_reason_is_an_unknown_finish() -> None:
    """[DONE] alone says that it ended, not why."""
    events = read(chunk({"content": "all"}), "data: [DONE]\n\n")

    assert events[-1] == ev.Finished("unknown")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'data: {"error": {"message": "no", "type": "rate_limit_error"}}\n\n', RateLimited),
        (b'{"error": {"message": "busy", "code": "overloaded"}}', Unavailable),
        (b'{"error": "broken"}', BadAnswer),
        (b"<html>login</html>", BadAnswer),
        (b"data: {nonsense\n\n", BadAnswer),
        (b'data: ["list"]\n\n', BadAnswer),
        (b"", BadAnswer),
        (b": only\n\n: comments\n\n", BadAnswer),
    ],
)
def test_a_200_that_is_no_answer_is_a_fault(body: bytes, kind: type[ProviderError]) -> None:
    """Error objects, pages, garbage and nothing at all are failures, each of its kind."""
    with pytest.raises(kind):
        read(body)


def test_a_plain_body_is_read_where_a_stream_was_asked_for() -> None:
    """Some providers answer in one piece; the events are the same."""
    body = {
        "id": "1",
        "model": "real",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }

    events = read(json.dumps(body))

    assert ev.fold(events).text == "Hi"
    assert events[-1] == ev.Finished("stop")


def test_parallel_tool_calls_are_told_apart() -> None:
    """Fragments join by index, then by id, then to the last call; a call ends only with the finish."""
    calls = [
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}},
        {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}},
        {"index": 0, "function": {"arguments": ": 1}"}},
    ]

    events = read(*(chunk({"tool_calls": [call]}) for call in calls), chunk({}, "tool_calls"), "data: [DONE]\n\n")

    assert ev.fold(events).choices[0].message.tool_calls == (ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "g", "{}"))
    assert [event.index for event in events if isinstance(event, ev.PartEnded)] == [0, 1]


def test_a_call_cut_by_the_token_limit_does_not_end() -> None:
    """Arguments cut off by the limit have no PartEnded, so that nobody runs them."""
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x": tru'}}

    events = read(chunk({"tool_calls": [call]}), chunk({}, "length"), "data: [DONE]\n\n")

    assert not any(isinstance(event, ev.PartEnded) for event in events)
    assert events[-1] == ev.Finished("length")


def test_calls_without_an_index_are_accepted() -> None:
    """Servers that leave the index out still mean one call per id."""
    first = {"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}
    second = {"id": "b", "function": {"name": "g", "arguments": "{}"}}

    events = read(chunk({"tool_calls": [first]}), chunk({"tool_calls": [second]}, "stop"), "data: [DONE]\n\n")

    assert [call.arguments for call in ev.fold(events).choices[0].message.tool_calls] == ['{"x": 1}', "{}"]
    assert events[-1] == ev.Finished("tool_calls")


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (
            {"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 6}},
            Usage(input_tokens=4, output_tokens=4, cache_read_input_tokens=6),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 3}},
            Usage(input_tokens=10, output_tokens=1, reasoning_output_tokens=3),
        ),
        (  # reasoning reported beside the completion, as the total shows
            {
                "prompt_tokens": 10,
                "completion_tokens": 4,
                "total_tokens": 17,
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(input_tokens=10, output_tokens=4, reasoning_output_tokens=3),
        ),
        (
            {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 5}},
            Usage(input_tokens=0, output_tokens=1, cache_read_input_tokens=5, absurd=True),
        ),
    ],
)
def test_usage_classes_are_disjoint(body: dict[str, Any], usage: Usage) -> None:
    """Cached and reasoning tokens are counted once; what does not add up is marked."""
    assert read_usage(body) == usage


PIECES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6)


@given(PIECES, st.booleans(), st.lists(st.integers(0, 5000), max_size=8))
def test_what_we_write_we_read(pieces: list[str], with_call: bool, places: list[int]) -> None:
    """Any answer, written as a stream and cut at any bytes, is read back as the same answer."""
    call = [ev.ToolCallStarted("a", "f", 1), ev.ToolCallDelta('{"x":', 1), ev.ToolCallDelta("1}", 1), ev.PartEnded(1)]
    reason: ev.FinishReason = "tool_calls" if with_call else "stop"
    events: list[ev.Event] = [ev.Started("lab", "real"), *map(ev.TextDelta, pieces), ev.PartEnded()]
    events += [*(call if with_call else []), ev.UsageReported(Usage(3, 4, 5, 6, 7)), ev.Finished(reason)]
    encoder = chat.event_encoder(REQUEST, id="x", created=1)
    stream = b"".join(encoder.encode(event) for event in events) + encoder.close()
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]

    decoder = chat.gateway_decoder(CARD)
    fed = [decoder.feed(stream[start:end]) for start, end in itertools.pairwise(edges)]

    again = [event for piece in [*fed, decoder.close()] for event in piece]
    assert ev.fold(again) == replace(ev.fold(events), id="chatcmpl-x")


@pytest.mark.parametrize("said", [{"attempts": ["x", {"number": "y"}], "warnings": 3}, {"provider": "openai"}, [], 5])
def test_a_provider_is_not_believed_in_what_only_we_say(said: Any) -> None:
    """Whatever stands under our own key, the provider that we asked is the one that answered."""
    answer = {"id": "1", "model": "real", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}

    events = read(json.dumps({**answer, "osaurus": said}).encode())

    assert events[0] == ev.Started(CARD.provider, "real", "1")
    assert not any(isinstance(event, ev.AttemptStarted | ev.Warned) for event in events)


def test_the_whole_body_says_the_same_as_the_stream() -> None:
    """The answer in one piece holds the text, the usage and who answered."""
    answer = ev.fold(
        [ev.Started("lab", "real"), ev.TextDelta("Hi"), ev.UsageReported(Usage(1, 2)), ev.Finished("stop")]
    )

    body = chat.event_encoder(ChatRequest("m", ()), id="x", created=1).body(answer)

    assert body["choices"][0]["message"]["content"] == "Hi"
    assert body["usage"]["total_tokens"] == 3
    assert body["model"] == "m"
    assert body["osaurus"] == {"request_id": "x", "provider": "lab", "model": "real", "attempts": []}
    assert answer.choices[0].message.parts == (Text("Hi"),)


def test_a_failure_after_the_first_word_is_told_in_band() -> None:
    """A cut stream ends with the dialect's error and [DONE], never with an invented stop."""
    encoder = chat.event_encoder(REQUEST, id="x", created=1)
    error = BadAnswer("lab broke off.", provider="lab")

    stream = encoder.encode(ev.TextDelta("Hi")) + encoder.encode(ev.Failed(error)) + encoder.close()

    frames = [json.loads(line[6:]) for line in stream.split(b"\n") if line.startswith(b"data: {")]
    assert frames[-1]["choices"][0]["finish_reason"] == "error"
    assert frames[-1]["error"]["code"] == "bad_response"
    assert stream.endswith(b"data: [DONE]\n\n")


SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=4)
KEYS = ("id", "index", "function", "name", "arguments", "content", "tool_calls", "token", "logprob", "top_logprobs")
ODD = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)
DELTAS = ODD | st.fixed_dictionaries({}, optional={"content": ODD, "tool_calls": ODD, "reasoning": ODD})
CHOICES = st.fixed_dictionaries({}, optional={"index": ODD, "delta": DELTAS, "finish_reason": ODD, "logprobs": ODD})
CHUNKS = st.fixed_dictionaries(
    {},
    optional={
        "id": ODD,
        "model": ODD,
        "choices": ODD | st.lists(CHOICES, max_size=3),
        "usage": ODD | st.fixed_dictionaries({"prompt_tokens_details": ODD, "total_tokens": ODD}),
        "error": ODD,
    },
)


@given(st.lists(CHUNKS, max_size=4))
def test_any_json_is_an_answer_or_a_fault_of_the_provider(chunks: list[dict[str, Any]]) -> None:
    """Whatever a provider sends, what comes of it is events that fold, or a fault of the provider."""
    try:
        events = read(*(f"data: {json.dumps(said)}\n\n" for said in chunks), "data: [DONE]\n\n")
    except ProviderError:
        return

    assert ev.fold(events).provider == "lab"
