"""What a caller of Responses gets, and that what we write we read."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb import events as ev
from osaurus_nb.errors import RateLimited
from osaurus_nb.models import ModelCard, Timings, Usage
from osaurus_nb.request import ChatRequest, Delivery
from osaurus_nb.wire import openai_responses as responses

CARD = ModelCard("m", "lab")


REQUEST = ChatRequest("m", (), delivery=Delivery(stream=True))


KEYS = [
    "id",
    "object",
    "created_at",
    "completed_at",
    "status",
    "incomplete_details",
    "model",
    "previous_response_id",
    "instructions",
    "output",
    "error",
    "tools",
    "tool_choice",
    "truncation",
    "parallel_tool_calls",
    "text",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "temperature",
    "reasoning",
    "usage",
    "max_output_tokens",
    "max_tool_calls",
    "store",
    "background",
    "service_tier",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
]


def told(kind: str, **fields: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"


def created() -> str:
    return told("response.created", response={"id": "resp_1", "model": "real", "status": "in_progress", "output": []})


def ended(status: str = "completed", **fields: Any) -> str:
    return told(f"response.{status}", response={"id": "resp_1", "model": "real", "status": status, **fields})


def read(*pieces: str | bytes) -> list[ev.Event]:
    decoder = responses.event_decoder(CARD)
    fed = [decoder.feed(piece.encode() if isinstance(piece, str) else piece) for piece in pieces]
    return [event for events in [*fed, decoder.close()] for event in events]


def write(events: Sequence[ev.Event], request: ChatRequest = REQUEST) -> list[dict[str, Any]]:
    encoder = responses.event_encoder(request, id="x", created=1)
    stream = b"".join(encoder.encode(event) for event in events) + encoder.close()
    return [json.loads(line[6:]) for line in stream.split(b"\n") if line.startswith(b"data: {")]


def kinds(payloads: Sequence[dict[str, Any]]) -> list[str]:
    return [payload["type"].removeprefix("response.") for payload in payloads]


def call(index: int, id: str, name: str, arguments: str) -> list[ev.Event]:
    return [ev.ToolCallStarted(id, name, index), ev.ToolCallDelta(arguments, index), ev.PartEnded(index)]


@pytest.mark.parametrize(
    ("status", "details", "reason"),
    [
        ("completed", None, "stop"),
        ("incomplete", {"reason": "max_output_tokens"}, "length"),
        ("incomplete", {"reason": "content_filter"}, "content_filter"),
        ("incomplete", {"reason": "steered"}, "unknown"),
        ("incomplete", None, "unknown"),
    ],
)
def test_the_end_is_read_and_written_alike(
    status: str, details: dict[str, str] | None, reason: ev.FinishReason
) -> None:
    """Each way to end has its neutral word, and that word the same way to end."""
    events = read(created(), ended(status, incomplete_details=details))
    last = write([ev.TextDelta("a"), ev.PartEnded(), ev.Finished(reason)])[-1]["response"]

    assert events[-1] == ev.Finished(reason)
    assert last["status"] == status
    assert reason == "unknown" or last["incomplete_details"] == details


def test_a_stream_is_written_in_the_order_that_readers_need() -> None:
    """Created first, then each item from added to done, the response last; numbers rise by one."""
    events: list[ev.Event] = [
        ev.Started("lab", "real"),
        ev.ReasoningDelta("hm", 0),
        ev.PartEnded(0),
        ev.TextDelta("Hi", 1),
        ev.PartEnded(1),
        *call(2, "a", "f", "{}"),
        ev.Finished("tool_calls"),
    ]

    payloads = write(events)

    assert kinds(payloads) == [
        *("created", "in_progress"),
        *("output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done"),
        *("output_item.done", "output_item.added", "function_call_arguments.delta", "function_call_arguments.done"),
        *("output_item.done", "completed"),
    ]
    assert [payload["sequence_number"] for payload in payloads] == list(range(len(payloads)))


def test_ids_and_indexes_agree_throughout() -> None:
    """Every event about an item has the id and the place that the item has in the response."""
    payloads = write([ev.ReasoningDelta("a", 0), ev.TextDelta("b", 1), *call(2, "a", "f", "{}"), ev.Finished("stop")])

    output = payloads[-1]["response"]["output"]
    for payload in payloads:
        if "output_index" in payload:
            assert output[payload["output_index"]]["id"] in (payload.get("item_id"), payload.get("item", {}).get("id"))
    assert len({item["id"] for item in output}) == 3


def test_the_response_always_has_its_keys() -> None:
    """All 31 keys stand in each response object, in the stream and alone, null or not."""
    payloads = write([ev.TextDelta("Hi"), ev.Finished("stop")])
    body = responses.response_body(REQUEST, ev.fold([ev.TextDelta("Hi"), ev.Finished("stop")]), id="x", created=1)

    for response in (body, payloads[0]["response"], payloads[-1]["response"]):
        assert response.keys() - {"osaurus"} == set(KEYS)


def test_the_response_repeats_what_was_asked() -> None:
    """Settings, tools and instructions of the request are echoed, defaults where none were given."""
    asked = {
        "model": "m",
        "input": "hi",
        "instructions": "be brief",
        "tools": [{"type": "function", "name": "f", "description": "d", "parameters": {}, "strict": True}],
        "tool_choice": {"type": "function", "name": "f"},
        "metadata": {"a": "b"},
        "previous_response_id": "resp_0",
        "temperature": 0.5,
        "store": False,
    }
    request = responses.decode_request(json.dumps(asked).encode())

    response = write([ev.TextDelta("Hi"), ev.Finished("stop")], request)[-1]["response"]

    assert {key: response[key] for key in asked if key != "input"} == {
        key: asked[key] for key in asked if key != "input"
    }
    assert (response["top_p"], response["text"]) == (1.0, {"format": {"type": "text"}})


def test_neighbouring_texts_share_a_message() -> None:
    """A provider may cut its text into parts; they are contents of one message."""
    payloads = write(
        [ev.TextDelta("a", 0), ev.PartEnded(0), ev.TextDelta("b", 1), ev.PartEnded(1), ev.Finished("stop")]
    )

    [message] = payloads[-1]["response"]["output"]
    assert [content["text"] for content in message["content"]] == ["a", "b"]
    assert [payload["content_index"] for payload in payloads if payload["type"].endswith("text.delta")] == [0, 1]


def test_an_answer_at_its_limit_is_incomplete_and_so_is_its_message() -> None:
    """The status of the message agrees with that of the response."""
    payloads = write([ev.TextDelta("a"), ev.PartEnded(), ev.Finished("length")])

    assert payloads[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert payloads[-2]["item"]["status"] == payloads[-1]["response"]["output"][0]["status"] == "incomplete"


@pytest.mark.parametrize("reason", ["length", "tool_calls"])
def test_a_cut_call_is_never_said_to_be_done(reason: ev.FinishReason) -> None:
    """Clients run a call when its item is done; one without its end never is, and the response is incomplete."""
    payloads = write([ev.ToolCallStarted("a", "f"), ev.ToolCallDelta('{"x'), ev.Finished(reason)])

    assert "output_item.done" not in kinds(payloads)
    assert payloads[-1]["type"] == "response.incomplete"
    assert payloads[-1]["response"]["output"][0]["status"] == "incomplete"


def test_log_probabilities_are_written_with_their_bytes() -> None:
    """Scored tokens stand in the delta, in the done event and in the item."""
    scored = ev.TokenLogprob("é", -0.5, (("e", -1.0),))
    row = {"token": "é", "logprob": -0.5, "bytes": [195, 169]}
    row["top_logprobs"] = [{"token": "e", "logprob": -1.0, "bytes": [101]}]

    payloads = write([ev.TextDelta("é", logprobs=(scored,)), ev.PartEnded(), ev.Finished("stop")])

    assert payloads[4]["logprobs"] == payloads[5]["logprobs"] == [row]
    assert payloads[-1]["response"]["output"][0]["content"][0]["logprobs"] == [row]


def test_a_failure_after_the_first_word_is_told_in_both_shapes() -> None:
    """An error event, flat and nested, then a failed response that keeps the words; never an invented stop."""
    error = RateLimited("lab is busy.", provider="lab")

    payloads = write([ev.TextDelta("Hi"), ev.Failed(error)])

    assert kinds(payloads)[-2:] == ["error", "failed"]
    assert payloads[-2]["code"] == payloads[-2]["error"]["code"] == "rate_limit_exceeded"
    assert payloads[-2]["message"] == payloads[-2]["error"]["message"] == "lab is busy."
    response = payloads[-1]["response"]
    assert (response["status"], response["error"]["code"]) == ("failed", "rate_limit_exceeded")
    assert response["output"][0]["content"][0]["text"] == "Hi"
    assert response["output"][0]["status"] == "incomplete"


def test_the_response_says_who_really_answered() -> None:
    """Route and warnings stand under our own key; a substitute is named as the model."""
    payloads = write(
        [
            ev.Substituted("m", "other", "fallback"),
            ev.Started("lab", "other"),
            ev.TextDelta("Hi"),
            ev.Warned("ignored", "no seed", "seed"),
            ev.Finished("stop"),
        ]
    )

    assert payloads[0]["response"]["model"] == "other"
    assert payloads[0]["response"]["osaurus"]["substituted"] == {"asked": "m", "reason": "fallback"}
    assert payloads[-1]["response"]["osaurus"]["warnings"][0]["param"] == "seed"


def test_the_end_is_dated_by_the_clock_that_is_given() -> None:
    """Without a clock the time of completion is null; a whole answer knows how long it took."""
    encoder = responses.event_encoder(REQUEST, id="x", created=1, now=lambda: 7.9)
    answer = replace(ev.fold([ev.TextDelta("Hi"), ev.Finished("stop")]), timings=Timings(2.5))

    streamed = encoder.encode(ev.TextDelta("Hi")) + encoder.encode(ev.Finished("stop"))
    body = responses.response_body(REQUEST, answer, id="x", created=1)

    assert b'"completed_at":7' in streamed
    assert body["completed_at"] == 3
    assert write([ev.TextDelta("Hi"), ev.Finished("stop")])[-1]["response"]["completed_at"] is None


PIECES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6)


@st.composite
def answers(draw: st.DrawFn) -> list[ev.Event]:
    """Any answer: perhaps thoughts, then words, then perhaps calls."""
    events: list[ev.Event] = [ev.Started("lab", "real")]
    at = 0
    if draw(st.booleans()):
        state = {"openai_responses": {"id": "rs_1", "encrypted_content": "gA"}}
        events += [ev.ReasoningDelta("", at, provider_metadata={"openai_responses": {"id": "rs_1"}})]
        events += [*(ev.ReasoningDelta(text, at) for text in draw(PIECES)), ev.PartEnded(at, provider_metadata=state)]
        at += 1
    for _ in range(draw(st.integers(0, 2))):
        events += [*(ev.TextDelta(text, at) for text in draw(PIECES)), ev.PartEnded(at)]
        at += 1
    calls = draw(st.integers(0, 2))
    for n in range(calls):
        events += call(
            at + n, f"call_{n}", draw(st.text(min_size=1, max_size=5)), draw(st.text(min_size=1, max_size=9))
        )
    events += [ev.UsageReported(Usage(3, 4, 5, 6, 7)), ev.Finished("tool_calls" if calls else "stop")]
    return events


@given(answers(), st.lists(st.integers(0, 9000), max_size=8))
def test_what_we_write_we_read(events: list[ev.Event], places: list[int]) -> None:
    """Any answer, written as a stream and cut at any bytes, is read back as the same answer."""
    encoder = responses.event_encoder(REQUEST, id="x", created=1)
    stream = b"".join(encoder.encode(event) for event in events) + encoder.close()
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]

    again = read(*(stream[start:end] for start, end in itertools.pairwise(edges)))

    assert ev.fold(again) == replace(ev.fold(events), id="resp_x", model=REQUEST.model)
    assert [event for event in again if isinstance(event, ev.PartEnded)] == [
        event for event in events if isinstance(event, ev.PartEnded)
    ]


@given(answers())
def test_the_whole_body_says_the_same_as_the_stream(events: list[ev.Event]) -> None:
    """The answer in one piece holds the very response that ends the stream."""
    answer = ev.fold(events)
    streamed = write(events)[-1]["response"]

    body = responses.event_encoder(REQUEST, id="x", created=1).body(answer)

    assert json.loads(json.dumps(body)) == streamed
    assert ev.fold(read(json.dumps(body))) == replace(answer, id="resp_x", model=REQUEST.model)
