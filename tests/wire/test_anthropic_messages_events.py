"""What a provider's Messages stream or body becomes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from osaurus_nb import errors
from osaurus_nb import events as ev
from osaurus_nb.errors import BadAnswer
from osaurus_nb.messages import Reasoning, Text, ToolCall
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.request import ChatRequest, Delivery
from osaurus_nb.wire import anthropic_messages as anthropic
from osaurus_nb.wire.anthropic_messages.decode import read_usage

CARD = ModelCard("m", "lab")


REQUEST = ChatRequest("m", (), delivery=Delivery(stream=True))


def frame(kind: str, **fields: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"


def start(**usage: int) -> str:
    return frame("message_start", message={"id": "msg_1", "model": "real", "content": [], "usage": usage})


def block(at: int, content: dict[str, Any], *deltas: dict[str, Any]) -> str:
    opened = frame("content_block_start", index=at, content_block=content)
    changed = "".join(frame("content_block_delta", index=at, delta=delta) for delta in deltas)
    return opened + changed + frame("content_block_stop", index=at)


def ended(reason: str | None, stop_sequence: str | None = None, **usage: Any) -> str:
    return frame("message_delta", delta={"stop_reason": reason, "stop_sequence": stop_sequence}, usage=usage)


STOP = frame("message_stop")


def words(*pieces: str) -> str:
    return block(0, {"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in pieces))


def calling(at: int, *pieces: str, id: str = "a") -> str:
    deltas = ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)
    return block(at, {"type": "tool_use", "id": id, "name": "f", "input": {}}, *deltas)


def read(*pieces: str | bytes) -> list[ev.Event]:
    decoder = anthropic.event_decoder(CARD)
    fed = [decoder.feed(piece.encode() if isinstance(piece, str) else piece) for piece in pieces]
    return [event for events in [*fed, decoder.close()] for event in events]


def written(events: Iterable[ev.Event], request: ChatRequest = REQUEST) -> list[dict[str, Any]]:
    encoder = anthropic.event_encoder(request, id="x", created=1)
    stream = b"".join(encoder.encode(event) for event in events) + encoder.close()
    frames = [part.split(b"\n") for part in stream.split(b"\n\n") if part]
    bodies = [json.loads(data.removeprefix(b"data: ")) for _, data in frames]
    assert [head for head, _ in frames] == [f"event: {body['type']}".encode() for body in bodies]
    return bodies


def test_a_stream_becomes_text_usage_and_a_finish() -> None:
    """The usual stream: start, words, end; counts are cumulative and the last of each wins."""
    events = read(
        start(input_tokens=5, cache_read_input_tokens=7, output_tokens=1),
        frame("ping"),
        words("Hel", "lo"),
        ended("end_turn", output_tokens=2),
        STOP,
    )

    assert events == [
        ev.Started("lab", "real", "msg_1"),
        ev.UsageReported(Usage(input_tokens=5, output_tokens=1, cache_read_input_tokens=7)),
        ev.TextDelta("Hello"),
        ev.PartEnded(),
        ev.UsageReported(Usage(input_tokens=5, output_tokens=2, cache_read_input_tokens=7)),
        ev.Finished("stop"),
    ]


def test_no_stop_reason_is_a_fault() -> None:
    """A stream that just ends is incomplete: a stop is never invented."""
    with pytest.raises(BadAnswer, match="without saying"):
        read(start(), words("half"))


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "unknown"),
        ("novelty", "unknown"),
    ],
)
def test_reasons_are_read(reason: str, expected: str) -> None:
    """Each stop reason has its neutral word; a pause also says what to do."""
    events = read(start(), words("x"), ended(reason), STOP)

    assert events[-1] == ev.Finished(expected)  # type: ignore[arg-type]
    assert [event.code for event in events if isinstance(event, ev.Warned)] == ["turn_paused"] * (
        reason == "pause_turn"
    )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", errors.Unavailable),
        ("rate_limit_error", errors.RateLimited),
        ("authentication_error", errors.CredentialRejected),
        ("permission_error", errors.CredentialRejected),
        ("billing_error", errors.QuotaExhausted),
        ("not_found_error", errors.NotOffered),
        ("invalid_request_error", errors.Refused),
        ("timeout_error", errors.TooSlow),
        ("api_error", errors.BadAnswer),
    ],
)
def test_an_error_in_the_stream_is_a_fault_of_its_kind(kind: str, expected: type[errors.ProviderError]) -> None:
    """An error under a 200 is raised, in the stream and as a body alike."""
    body = {"error": {"type": kind, "message": "no"}}

    for answer in (start() + words("x") + frame("error", **body), json.dumps({"type": "error", **body})):
        with pytest.raises(expected):
            read(answer)


@pytest.mark.parametrize(
    "body",
    [b"<html>login</html>", b"data: {nonsense\n\n", b'data: ["list"]\n\n', b"", b": only\n\n: comments\n\n", b"{}"],
)
def test_a_200_that_is_no_answer_is_a_fault(body: bytes) -> None:
    """Pages, garbage and nothing at all are failures."""
    with pytest.raises(BadAnswer):
        read(body)


def test_a_plain_body_is_read_where_a_stream_was_asked_for() -> None:
    """An answer in one piece becomes the same events as a stream."""
    body = {
        "type": "message",
        "id": "msg_1",
        "model": "real",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "Hi"},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
            {"type": "tool_use", "id": "b", "name": "g", "input": {}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }

    events = read(json.dumps(body))

    assert ev.fold(events).choices[0].message.parts == (
        Reasoning("hm", {"anthropic": {"signature": "s"}}),
        Text("Hi"),
        ToolCall("a", "f", '{"x": 1}'),
        ToolCall("b", "g", "{}"),
    )
    assert [event.index for event in events if isinstance(event, ev.PartEnded)] == [0, 1, 2, 3]
    assert events[-1] == ev.Finished("tool_calls")


@pytest.mark.parametrize("pieces", [('{"x": tru',), ()])
def test_a_call_cut_by_the_token_limit_does_not_end(pieces: tuple[str, ...]) -> None:
    """Arguments cut off by the limit, even before they began, have no PartEnded, so that nobody runs them."""
    events = read(start(), calling(0, *pieces), ended("max_tokens"), STOP)

    assert not any(isinstance(event, ev.PartEnded) for event in events)
    assert events[-1] == ev.Finished("length")


def test_a_call_without_arguments_is_whole() -> None:
    """The vendor writes no arguments for a function that takes none."""
    events = read(start(), calling(0), ended("tool_use"), STOP)

    assert ev.fold(events).choices[0].message.tool_calls == (ToolCall("a", "f", "{}"),)
    assert ev.PartEnded(0) in events


def test_blocks_that_we_do_not_read_are_told() -> None:
    """A block of a tool that the vendor ran is skipped with a warning, and the parts have no gap."""
    strange = block(0, {"type": "server_tool_use", "id": "1", "name": "web_search", "input": {}})

    events = read(start(), strange, calling(1, "{}"), ended("tool_use"), STOP)

    assert [event.code for event in events if isinstance(event, ev.Warned)] == ["block_skipped"]
    assert ev.ToolCallStarted("a", "f", 0) in events


def test_citations_come_back_with_their_text() -> None:
    """Citations are kept beside the text, and written again for a caller of this dialect."""
    cited = {"type": "char_location", "cited_text": "c"}
    stream = block(
        0,
        {"type": "text", "text": ""},
        {"type": "text_delta", "text": "see"},
        {"type": "citations_delta", "citation": cited},
    )

    events = read(start(), stream, ended("end_turn"), STOP)

    assert ev.fold(events).choices[0].message.parts == (Text("see", {"anthropic": {"citations": [cited]}}),)
    deltas = [body["delta"] for body in written(events) if body["type"] == "content_block_delta"]
    assert deltas[1] == {"type": "citations_delta", "citation": cited}


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (
            {"input_tokens": 4, "output_tokens": 4, "cache_read_input_tokens": 6, "cache_creation_input_tokens": 2},
            Usage(4, 4, 6, 2),
        ),
        (
            {
                "input_tokens": 1,
                "output_tokens": 4,
                "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
            },
            Usage(1, 4, 0, 5),
        ),
        (
            {"input_tokens": 1, "output_tokens": 5, "output_tokens_details": {"thinking_tokens": 3}},
            Usage(1, 2, reasoning_output_tokens=3),
        ),
        (
            {"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 3}},
            Usage(1, 0, reasoning_output_tokens=3, absurd=True),
        ),
        ({"input_tokens": None, "output_tokens": -1}, Usage()),
    ],
)
def test_usage_classes_are_disjoint(body: dict[str, Any], usage: Usage) -> None:
    """Input is as it is, cached tokens stand apart, thinking leaves the output; what does not add up is marked."""
    assert read_usage(body) == usage
