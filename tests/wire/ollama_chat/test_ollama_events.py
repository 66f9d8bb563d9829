"""Ollama answers: read from any server of the dialect, written for any caller."""

from __future__ import annotations

import itertools
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb import events as ev
from osaurus_nb.errors import BadAnswer, ModelNotFound, ProviderError, RateLimited, StreamCut
from osaurus_nb.messages import Reasoning, Text, ToolCall
from osaurus_nb.models import Capabilities, ModelCard, Timings, Usage
from osaurus_nb.request import ChatRequest
from osaurus_nb.wire import ollama_chat as ollama
from osaurus_nb.wire.ollama_chat import generate

CARD = ModelCard("m", "lab")
REQUEST = ChatRequest("m", ())
KEYS = [
    "model",
    "created_at",
    "message",
    "content",
    "thinking",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "id",
    "response",
    "done",
    "done_reason",
    "eval_count",
    "logprobs",
    "token",
    "logprob",
    "top_logprobs",
    "error",
    "models",
    "modified_at",
    "size",
    "capabilities",
]
END: dict[str, Any] = {"done": True, "done_reason": "stop", "prompt_eval_count": 5, "eval_count": 2}


def line(message: dict[str, Any] | None = None, **fields: Any) -> str:
    said = {"role": "assistant", "content": "", **(message or {})}
    created = "2026-11-21T05:00:00.123Z"
    return json.dumps({"model": "real", "created_at": created, "message": said, "done": False, **fields}) + "\n"


def read(*pieces: str | bytes) -> list[ev.Event]:
    decoder = ollama.event_decoder(CARD)
    fed = [decoder.feed(piece.encode() if isinstance(piece, str) else piece) for piece in pieces]
    return [event for events in [*fed, decoder.close()] for event in events]


def lines(stream: bytes) -> list[dict[str, Any]]:
    return [json.loads(row) for row in stream.splitlines()]


def written(events: list[ev.Event], encoder: ollama.LineEncoder | None = None) -> bytes:
    encoder = encoder or ollama.event_encoder(REQUEST, id="x", created=1)
    return b"".join(encoder.encode(event) for event in events) + encoder.close()


def test_a_stream_becomes_text_usage_and_a_finish() -> None:
    """The usual stream: lines of words, then one that is done, with the counts."""
    events = read(line({"content": "Hel"}), "\n", line({"content": "lo"}), line(**END), line({"content": "late"}))

    assert events == [
        ev.Started("lab", "real"),
        ev.TextDelta("Hel"),
        ev.TextDelta("lo"),
        ev.PartEnded(),
        ev.UsageReported(Usage(input_tokens=5, output_tokens=2)),
        ev.Finished("stop"),
    ]


def test_thinking_and_calls_are_parts_of_their_own() -> None:
    """Calls come whole and without ids; ours are invented from the answer, each another."""
    calls = [
        {"function": {"name": "f", "arguments": {"a": "é"}}},
        {"function": {"name": "g", "arguments": '{"b": 1}'}},
        {"id": "own", "function": {"name": "h"}},
    ]

    events = read(line({"thinking": "hm"}), line({"content": "see"}), line({"tool_calls": calls}), line(**END))

    prefix = "call_20261121050000123"
    assert ev.fold(events).choices[0].message.parts == (
        Reasoning("hm"),
        Text("see"),
        ToolCall(f"{prefix}_2", "f", '{"a": "é"}'),
        ToolCall(f"{prefix}_3", "g", '{"b": 1}'),
        ToolCall("own", "h", "{}"),
    )
    assert [event.index for event in events if isinstance(event, ev.PartEnded)] == [0, 1, 2, 3, 4]
    assert events[-1] == ev.Finished("tool_calls")


@pytest.mark.parametrize(
    ("reason", "finish"), [("stop", "stop"), ("length", "length"), ("load", "unknown"), (None, "unknown")]
)
def test_each_reason_has_its_meaning(reason: str | None, finish: Any) -> None:
    """Why it stopped, in our words; where nothing is said, nothing is known."""
    assert read(line({"content": "a"}), line(done=True, done_reason=reason))[-1] == ev.Finished(finish)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (line({"content": "half"}), BadAnswer),
        ('{"error": "it broke"}\n', BadAnswer),
        (line({"content": "a"}) + '{"error": "busy", "code": "rate_limit_exceeded"}', RateLimited),
        ("<html>login</html>", BadAnswer),
        ("{cut", BadAnswer),
        ("[1]\n", BadAnswer),
        ("", BadAnswer),
        ("\n\n\n", BadAnswer),
    ],
)
def test_a_200_that_is_no_answer_is_a_fault(body: str, kind: type[ProviderError]) -> None:
    """Errors, pages, garbage, half an answer and nothing at all are failures: a stop is never invented."""
    with pytest.raises(kind):
        read(body)


def test_generate_is_read_too() -> None:
    """Lines of /api/generate say the same, one level higher."""
    rows = [
        {"model": "real", "response": "", "thinking": "hm", "done": False},
        {"model": "real", "response": "Hi", "done": False},
        {"model": "real", "response": "", **END},
    ]

    events = read("\n".join(map(json.dumps, rows)))

    assert ev.fold(events).choices[0].message.parts == (Reasoning("hm"), Text("Hi"))


def test_no_counts_are_no_usage() -> None:
    """Where nobody counted, no count is invented."""
    events = read(line({"content": "a"}), line(done=True, done_reason="stop"))

    assert not any(isinstance(event, ev.UsageReported) for event in events)


PIECES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6)


@given(PIECES, PIECES, st.booleans(), st.lists(st.integers(0, 5000), max_size=8))
def test_what_we_write_we_read(thoughts: list[str], pieces: list[str], with_call: bool, places: list[int]) -> None:
    """Any answer, written as lines and cut at any bytes, is read back as the same answer."""
    call = [ev.ToolCallStarted("a", "f", 2), ev.ToolCallDelta('{"x": ', 2), ev.ToolCallDelta("1}", 2), ev.PartEnded(2)]
    events: list[ev.Event] = [ev.Started("lab", "m"), *map(ev.ReasoningDelta, thoughts), ev.PartEnded()]
    events += [*(ev.TextDelta(piece, 1) for piece in pieces), ev.PartEnded(1), *(call if with_call else [])]
    events += [ev.UsageReported(Usage(3, 4)), ev.Finished("tool_calls" if with_call else "stop")]
    stream = ollama.PING + written(events)
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]

    again = ev.fold(read(*(stream[start:end] for start, end in itertools.pairwise(edges))))

    assert again == ev.fold(events)


@given(PIECES, st.booleans())
def test_the_whole_body_says_the_same_as_the_stream(pieces: list[str], with_call: bool) -> None:
    """The answer in one piece is read as the same answer."""
    call = [ev.ToolCallStarted("a", "f", 1), ev.ToolCallDelta('{"x": 1}', 1), ev.PartEnded(1)] if with_call else []
    events: list[ev.Event] = [ev.Started("lab", "m"), *map(ev.TextDelta, pieces), ev.PartEnded(), *call]
    events += [ev.UsageReported(Usage(1, 2)), ev.Finished("tool_calls" if with_call else "stop")]
    answer = ev.fold(events)

    body = ollama.event_encoder(REQUEST, id="x", created=1).body(answer)

    assert ev.fold(read(json.dumps(body))) == answer
    assert body["created_at"] == "1970-01-01T00:00:01Z"
    assert body["osaurus"] == {"request_id": "x", "provider": "lab", "model": "m", "attempts": []}


def test_usage_and_times_are_on_the_last_line() -> None:
    """Totals of both directions, and nanoseconds to the first word and to the end where someone measured, else zero."""
    events: list[ev.Event] = [ev.TextDelta("Hi"), ev.UsageReported(Usage(1, 2, 3, 4, 5)), ev.Finished("length")]
    seconds = iter([0.5, 2.5])
    timed = ollama.event_encoder(REQUEST, id="x", created=1, elapsed=lambda: next(seconds))

    last = lines(written(events, timed))[-1]
    untimed = lines(written(events))[-1]
    whole = ollama.event_encoder(REQUEST, id="x", created=1).body(replace(ev.fold(events), timings=Timings(1.0)))

    assert (last["done"], last["done_reason"]) == (True, "length")
    assert (last["prompt_eval_count"], last["eval_count"]) == (8, 7)
    assert last["total_duration"] == 2_500_000_000
    assert last["prompt_eval_duration"] == 500_000_000
    assert last["eval_duration"] == 2_000_000_000
    assert [untimed[f"{name}_duration"] for name in ("total", "load", "prompt_eval", "eval")] == [0, 0, 0, 0]
    assert whole["total_duration"] == 1_000_000_000


def test_generate_says_the_same_one_level_higher() -> None:
    """Lines and body of /api/generate hold `response` and `thinking` where /api/chat has a message."""
    events: list[ev.Event] = [ev.ReasoningDelta("hm"), ev.TextDelta("Hi", 1), ev.Finished("stop")]

    rows = lines(written(events, ollama.generate_encoder(REQUEST, id="x", created=1)))
    body = generate.event_encoder(REQUEST, id="x", created=1).body(ev.fold(events))

    assert [(row["response"], row.get("thinking")) for row in rows] == [("", "hm"), ("Hi", None), ("", None)]
    assert not any("message" in row for row in [*rows, body])
    assert (body["response"], body["thinking"], body["done"]) == ("Hi", "hm", True)


def test_every_line_is_strict() -> None:
    """ASCII, one object a line, no blank ones, a message on each: the vendor's clients crash on others."""
    stream = written([ev.Started("lab", "m"), ev.TextDelta("a\u2028b\n"), ev.PartEnded(), ev.Finished("stop")])

    assert stream.isascii()
    assert b"\n\n" not in stream
    assert all("message" in row and row["model"] == "m" for row in lines(stream))
    assert lines(ollama.PING)[0] == {"message": {"role": "assistant", "content": ""}, "response": "", "done": False}


def test_a_failure_after_the_first_word_is_told_in_band() -> None:
    """A cut stream ends with a line that holds the error, never with an invented stop."""
    error = StreamCut("It broke off.", cause=BadAnswer("x", provider="lab"))

    stream = written([ev.TextDelta("Hi"), ev.Failed(error)])

    assert lines(stream)[-1] == {"error": "It broke off.", "code": "stream_cut"}
    with pytest.raises(ProviderError):
        read(stream)


def test_a_call_that_is_not_whole_is_never_written() -> None:
    """Cut by the limit it is left out and told; unreadable, the answer is a fault and not a stop."""
    cut: list[ev.Event] = [ev.ToolCallStarted("a", "f"), ev.ToolCallDelta('{"x": tru'), ev.Finished("length")]
    broken: list[ev.Event] = [*cut[:2], ev.PartEnded(0), ev.Finished("tool_calls")]

    first, second = written(cut), written(broken)

    assert b"tool_calls" not in first
    assert b"tool_call_cut" in first
    assert "error" in lines(second)[-1]
    with pytest.raises(BadAnswer):
        ollama.event_encoder(REQUEST, id="x", created=1).body(ev.fold(broken))


def test_state_of_other_dialects_is_told() -> None:
    """Signatures have no place in this answer, and the last line says so."""
    events: list[ev.Event] = [
        ev.ReasoningDelta("hm"),
        ev.PartEnded(0, provider_metadata={"anthropic": {"signature": "s"}}),
        ev.TextDelta("Hi", 1),
        ev.PartEnded(1),
        ev.Finished("stop"),
    ]

    streamed = lines(written(events))[-1]
    whole = ollama.event_encoder(REQUEST, id="x", created=1).body(ev.fold(events))

    for said in (streamed, whole):
        assert [row["code"] for row in said["osaurus"]["warnings"]] == ["opaque_state_dropped"]


def test_logprobs_survive_both_ways() -> None:
    """Tokens with their rivals are read and written."""
    tokens = (ev.TokenLogprob("Hi", -0.1, (("Hi", -0.1), ("Yo", -2.0))),)
    events: list[ev.Event] = [ev.TextDelta("Hi", logprobs=tokens), ev.PartEnded(), ev.Finished("stop")]

    again = read(written(events))
    whole = read(json.dumps(ollama.event_encoder(REQUEST, id="x", created=1).body(ev.fold(events))))

    assert ev.fold(again).choices[0].logprobs == tokens
    assert ev.fold(whole).choices[0].logprobs == tokens


def test_a_loaded_model_is_told_in_one_line() -> None:
    """What answers a request without a question."""
    loaded = ollama.encode_loaded(REQUEST, created=1)

    assert (loaded["done"], loaded["done_reason"], loaded["model"]) == (True, "load", "m")
    assert ollama.encode_loaded(REQUEST, created=1, unloaded=True)["done_reason"] == "unload"


def test_an_error_is_a_sentence() -> None:
    """The dialect's error object."""
    assert ollama.encode_error(ModelNotFound("No 'x'.")) == {"error": "No 'x'.", "code": "model_not_found"}


def test_models_survive_both_ways() -> None:
    """Names, sizes, dates and abilities are listed and read; a row that is none is left out."""
    cards = [
        ModelCard("m", "lab", size_bytes=9, created=1_700_000_000, capabilities=Capabilities(tools=True)),
        ModelCard("e", "local", capabilities=Capabilities(embeddings=True)),
    ]

    listed = ollama.encode_models(cards)
    again = ollama.decode_models({"models": [*listed["models"], {"size": 3}, "x", {"name": "bare"}]}, "us")

    assert [(card.id, card.size_bytes, card.created) for card in again] == [
        ("lab/m", 9, 1_700_000_000),
        ("e", None, 0),
        ("bare", None, 0),
    ]
    assert again[0].capabilities.tools is True
    assert again[0].capabilities.vision is False
    assert again[1].capabilities.embeddings is True
    assert again[2].capabilities == Capabilities()
    with pytest.raises(BadAnswer):
        ollama.decode_models({"data": []}, "us")


def test_a_model_is_shown_with_its_window() -> None:
    """/api/show, /api/ps and /api/version have the keys that clients read."""
    card = ModelCard(
        "m", "lab", context_length=99, size_bytes=5, capabilities=Capabilities(vision=True, reasoning=True)
    )

    shown = ollama.encode_model(card)
    running = ollama.encode_running([(card, 60)])["models"][0]

    assert shown["model_info"]["osaurus.context_length"] == 99
    assert shown["model_info"]["general.architecture"] == "osaurus"
    assert shown["capabilities"] == ["completion", "vision", "thinking"]
    assert (running["context_length"], running["size_vram"]) == (99, 5)
    assert running["expires_at"] == "1970-01-01T00:01:00Z"
    assert ollama.encode_version() == {"version": "0.20.0"}


def test_a_shown_model_is_asked_for_by_either_name() -> None:
    """Older clients say `name`."""
    assert ollama.decode_show(b'{"model": "m"}') == ollama.decode_show(b'{"name": "m"}') == "m"


STRANGE = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 99) | st.sampled_from(["", "stop", "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(KEYS), STRANGE, max_size=4))
def test_nothing_that_a_provider_sends_is_a_fault_of_ours(payload: dict[str, Any]) -> None:
    """Known keys with unknown values are read, passed over or a fault of the provider's."""
    for body in (payload, {"message": payload, "done": True}):
        with suppress(ProviderError):
            read(json.dumps(body))
        with suppress(ProviderError):
            ollama.decode_models(body, "us")
