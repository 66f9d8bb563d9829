"""What a caller of generateContent gets, and that what we write we read."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb import events as ev
from osaurus_nb.errors import (
    BadAnswer,
    BodyTooLarge,
    CredentialRejected,
    ModelNotFound,
    NoEligibleModel,
    OsaurusError,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RequestError,
    StreamCut,
    TooSlow,
)
from osaurus_nb.messages import ToolCall
from osaurus_nb.models import Capabilities, ModelCard, Usage
from osaurus_nb.request import ChatRequest
from osaurus_nb.wire import google_generate as google

CARD = ModelCard("gemini-3-pro", "google")


THOUGHTS = google.decode_request(
    b'{"contents":[{"parts":[{"text":"hi"}]}],"generationConfig":{"thinkingConfig":{"includeThoughts":true}}}',
    model="m",
    stream=True,
)


QUIET = ChatRequest("m", ())


def read(*pieces: str | bytes) -> list[ev.Event]:
    decoder = google.event_decoder(CARD)
    fed = [decoder.feed(piece.encode() if isinstance(piece, str) else piece) for piece in pieces]
    return [event for events in [*fed, decoder.close()] for event in events]


def written(events: list[ev.Event], request: ChatRequest = THOUGHTS, **options: Any) -> bytes:
    encoder = google.event_encoder(request, id="x", created=1, **options)
    return b"".join(encoder.encode(event) for event in events) + encoder.close()


def test_logprobs_survive_both_ways() -> None:
    """Tokens with their rivals are read and written."""
    tokens = (ev.TokenLogprob("Hi", -0.1, (("Hi", -0.1), ("Yo", -2.0))),)

    again = read(written([ev.TextDelta("Hi", logprobs=tokens), ev.PartEnded(), ev.Finished("stop")]))

    assert ev.fold(again).choices[0].logprobs == tokens


PIECES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6)


CUTS = st.lists(st.integers(0, 5000), max_size=8)


@given(PIECES, PIECES, st.booleans(), st.booleans(), CUTS)
def test_what_we_write_we_read(
    thoughts: list[str], pieces: list[str], with_call: bool, array: bool, places: list[int]
) -> None:
    """Any answer, written as events or as an array and cut at any bytes, is read back as the same answer."""
    call = [ev.ToolCallStarted("a", "f", 2), ev.ToolCallDelta('{"x": ', 2), ev.ToolCallDelta("1}", 2), ev.PartEnded(2)]
    events: list[ev.Event] = [ev.Started("google", "real"), *map(ev.ReasoningDelta, thoughts), ev.PartEnded()]
    events += [*(ev.TextDelta(piece, 1) for piece in pieces), ev.PartEnded(1), *(call if with_call else [])]
    events += [ev.UsageReported(Usage(3, 4, 5, 0, 7)), ev.Finished("tool_calls" if with_call else "stop")]
    stream = google.PING + written(events, array=array)
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]

    again = ev.fold(read(*(stream[start:end] for start, end in itertools.pairwise(edges))))

    assert again.choices == ev.fold(events).choices
    assert again.usage == Usage(3, 4, 5, 0, 7)


@given(PIECES, st.booleans())
def test_the_whole_body_says_the_same_as_the_stream(pieces: list[str], with_call: bool) -> None:
    """The answer in one piece is read as the same answer."""
    call = [ev.ToolCallStarted("a", "f", 1), ev.ToolCallDelta('{"x": 1}', 1), ev.PartEnded(1)] if with_call else []
    events: list[ev.Event] = [ev.Started("lab", "real"), *map(ev.TextDelta, pieces), ev.PartEnded(), *call]
    events += [ev.UsageReported(Usage(1, 2)), ev.Finished("tool_calls" if with_call else "stop")]
    answer = ev.fold(events)

    body = google.event_encoder(QUIET, id="x", created=1).body(answer)

    assert ev.fold(read(json.dumps(body))).choices == answer.choices
    assert body["usageMetadata"] == {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3}
    assert body["osaurus"] == {"request_id": "x", "provider": "lab", "model": "real", "attempts": []}


def test_state_of_other_dialects_travels_in_signatures() -> None:
    """What another provider attached comes back with the conversation, whole and in its place."""
    events: list[ev.Event] = [
        ev.ReasoningDelta("let "),
        ev.ReasoningDelta("me"),
        ev.PartEnded(0, provider_metadata={"anthropic": {"signature": "s"}}),
        ev.ReasoningDelta("", 1, provider_metadata={"anthropic": {"data": "d"}}),
        ev.PartEnded(1),
        ev.TextDelta("Hi", 2),
        ev.PartEnded(2, provider_metadata={"openai_responses": {"phase": "final"}}),
        ev.ToolCallStarted("a", "f", 3),
        ev.PartEnded(3, provider_metadata={"anthropic": {"caller": "x"}}),
        ev.Finished("tool_calls"),
    ]
    frames = [json.loads(line[6:]) for line in written(events).splitlines() if line]
    contents = [frame["candidates"][0]["content"] for frame in frames]

    request = google.decode_request(json.dumps({"contents": contents}).encode(), model="m", stream=False)

    assert request.messages[0].parts == (
        *ev.fold(events).choices[0].message.parts[:3],
        ToolCall("a", "f", "{}", {"anthropic": {"caller": "x"}}),
    )


def test_thoughts_are_shown_only_where_they_are_asked_for() -> None:
    """As at the vendor's: without includeThoughts there are none, but what they were signed with goes along."""
    events: list[ev.Event] = [
        ev.ReasoningDelta("secret"),
        ev.PartEnded(0, provider_metadata={"anthropic": {"signature": "s"}}),
        ev.TextDelta("Hi", 1),
        ev.PartEnded(1),
        ev.Finished("stop"),
    ]

    stream = written(events, QUIET)
    whole = json.dumps(google.event_encoder(QUIET, id="x", created=1).body(ev.fold(events)))

    assert b"secret" not in stream
    assert "secret" not in whole
    assert b"thoughtSignature" in stream
    assert "thoughtSignature" in whole


def test_the_stream_is_strict() -> None:
    """Only `data: ` lines and blank ones, ASCII, no [DONE], no comment: the vendor's clients crash on others."""
    stream = written([ev.Started("lab", "m"), ev.TextDelta("a\u2028b\u0085"), ev.PartEnded(), ev.Finished("stop")])

    assert stream.isascii()
    assert all(line == b"" or line.startswith(b"data: {") for line in stream.split(b"\n"))
    assert b"DONE" not in stream
    assert google.PING == b"\n"


def test_a_failure_after_the_first_word_is_told_in_band() -> None:
    """A cut stream ends with a bare error object, never with an invented finish; in an array it is the last row."""
    error = StreamCut("It broke off.", cause=BadAnswer("x", provider="lab"))
    events = [ev.TextDelta("Hi"), ev.Failed(error)]

    stream, array = written(events), json.loads(written(events, array=True))

    bare = stream.split(b"\n\n")[-2]
    assert json.loads(bare)["error"]["status"] == "INTERNAL"
    assert b"finishReason" not in stream
    assert array[-1]["error"]["code"] == 502
    with pytest.raises(ProviderError):
        read(stream)


def test_a_call_that_is_not_whole_is_never_written() -> None:
    """Cut by the limit it is left out and told; unreadable, it is the vendor's own fault for that."""
    cut: list[ev.Event] = [ev.ToolCallStarted("a", "f"), ev.ToolCallDelta('{"x": tru'), ev.Finished("length")]
    broken: list[ev.Event] = [*cut[:2], ev.PartEnded(0), ev.Finished("tool_calls")]

    first, second = written(cut), written(broken)
    whole = google.event_encoder(QUIET, id="x", created=1).body(ev.fold(broken))

    assert b"functionCall" not in first
    assert b"tool_call_cut" in first
    assert read(first)[-1] == ev.Finished("length")
    assert b"MALFORMED_FUNCTION_CALL" in second
    assert whole["candidates"][0]["finishReason"] == "MALFORMED_FUNCTION_CALL"


def test_several_answers_keep_apart() -> None:
    """Each candidate has its index, its text and its finish."""
    events: list[ev.Event] = []
    for choice in range(2):
        events += [ev.TextDelta(f"answer {choice}", 0, choice), ev.PartEnded(0, choice)]
    events += [ev.Finished("stop", 0), ev.Finished("length", 1)]

    again = ev.fold(read(written(events)))

    assert [(row.message.text, row.finish_reason) for row in again.choices] == [
        ("answer 0", "stop"),
        ("answer 1", "length"),
    ]


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (RequestError("x", param="contents"), 400, "INVALID_ARGUMENT"),
        (BodyTooLarge("x"), 413, "INVALID_ARGUMENT"),
        (CredentialRejected("x", provider="p"), 401, "UNAUTHENTICATED"),
        (QuotaExhausted("x", provider="p"), 402, "RESOURCE_EXHAUSTED"),
        (ModelNotFound("x"), 404, "NOT_FOUND"),
        (RateLimited("x", provider="p", retry_after=2.5), 429, "RESOURCE_EXHAUSTED"),
        (BadAnswer("x", provider="p"), 502, "INTERNAL"),
        (NoEligibleModel("x"), 503, "UNAVAILABLE"),
        (TooSlow("x", provider="p"), 504, "DEADLINE_EXCEEDED"),
        (OsaurusError("x"), 500, "INTERNAL"),
    ],
)
def test_errors_have_the_vendors_shape(error: OsaurusError, code: int, status: str) -> None:
    """Code, status and message as its SDK reads them, with the field and the wait among the details."""
    body = google.encode_error(error)["error"]

    assert (body["code"], body["status"], body["message"]) == (code, status, "x")
    details = json.dumps(body["details"])
    assert (error.param is not None) == ("fieldViolations" in details)
    assert (error.retry_after is not None) == ('"2.5s"' in details)


def test_models_survive_both_ways() -> None:
    """Names, windows and abilities are listed and read; a row that is none is left out."""
    cards = [
        ModelCard("a/b:c", "lab", context_length=9, max_output_tokens=3, capabilities=Capabilities(reasoning=True)),
        ModelCard("e", "local", capabilities=Capabilities(embeddings=True)),
    ]

    listed = google.encode_models(cards)
    again = google.decode_models({"models": [*listed["models"], {"name": 3}, "x"]}, "us")

    assert listed["models"][0]["name"] == "models/lab/a/b:c"
    assert [(card.id, card.context_length, card.max_output_tokens) for card in again] == [
        ("lab/a/b:c", 9, 3),
        ("e", None, None),
    ]
    assert [card.capabilities.embeddings for card in again] == [False, True]
    with pytest.raises(BadAnswer):
        google.decode_models({"data": []}, "us")


def test_counts_and_vectors_have_their_bodies() -> None:
    """The small answers of the dialect."""
    assert google.encode_token_count(7) == {"totalTokens": 7}
    assert google.encode_embedding([0.5]) == {"embedding": {"values": [0.5]}}
    assert google.encode_embeddings([[0.5], [1.0]]) == {"embeddings": [{"values": [0.5]}, {"values": [1.0]}]}
