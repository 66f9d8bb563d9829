"""What a caller of Messages gets, and that what we write we read."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb import errors
from osaurus_nb import events as ev
from osaurus_nb.errors import BadAnswer, OsaurusError
from osaurus_nb.messages import Message, Text, ToolCall
from osaurus_nb.models import Capabilities, ModelCard, Usage
from osaurus_nb.request import ChatRequest, Delivery
from osaurus_nb.wire import anthropic_messages as anthropic

CARD = ModelCard("m", "lab")


REQUEST = ChatRequest("m", (), delivery=Delivery(stream=True))


def frame(kind: str, **fields: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"


def block(at: int, content: dict[str, Any], *deltas: dict[str, Any]) -> str:
    opened = frame("content_block_start", index=at, content_block=content)
    changed = "".join(frame("content_block_delta", index=at, delta=delta) for delta in deltas)
    return opened + changed + frame("content_block_stop", index=at)


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


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (ev.Finished("stop"), ("end_turn", None)),
        (ev.Finished("stop", stop_sequence="###"), ("stop_sequence", "###")),
        (ev.Finished("length"), ("max_tokens", None)),
        (ev.Finished("tool_calls"), ("tool_use", None)),
        (ev.Finished("content_filter"), ("refusal", None)),
        (ev.Finished("unknown"), ("end_turn", None)),
    ],
)
def test_reasons_are_written(event: ev.Finished, expected: tuple[str, str | None]) -> None:
    """Each finish has its stop reason, with the sequence that stopped it."""
    delta = written([ev.TextDelta("x"), event])[-2]["delta"]

    assert (delta["stop_reason"], delta["stop_sequence"]) == expected


TEXT = st.text(min_size=1, max_size=8)


META = st.none() | st.builds(lambda word: {"anthropic": {"signature": word}}, TEXT)


FOREIGN = st.builds(lambda word: {"openai": {"encrypted_content": word}, "google": {"n": 1}}, TEXT)


def _text(pieces: list[str], at: int) -> list[ev.Event]:
    return [*(ev.TextDelta(piece, at) for piece in pieces), ev.PartEnded(at)]


def _thought(pieces: list[str], state: Any, at: int) -> list[ev.Event]:
    return [*(ev.ReasoningDelta(piece, at) for piece in pieces), ev.PartEnded(at, provider_metadata=state)]


def _hidden(word: str, at: int) -> list[ev.Event]:
    return [ev.ReasoningDelta("", at, provider_metadata={"anthropic": {"data": word}}), ev.PartEnded(at)]


def _call(key: str, value: int, at: int) -> list[ev.Event]:
    pieces = ["{", f"{json.dumps(key)}:", f"{value}", "}"]
    return [ev.ToolCallStarted(f"c{at}", "f", at), *(ev.ToolCallDelta(piece, at) for piece in pieces), ev.PartEnded(at)]


PARTS = st.lists(
    st.tuples(st.just(_text), st.lists(TEXT, min_size=1, max_size=4))
    | st.tuples(st.just(_thought), st.lists(TEXT, min_size=1, max_size=4), META | FOREIGN)
    | st.tuples(st.just(_hidden), TEXT)
    | st.tuples(st.just(_call), TEXT, st.integers()),
    min_size=1,
    max_size=5,
)


@given(PARTS, st.lists(st.integers(0, 9000), max_size=8))
def test_what_we_write_we_read(parts: list[tuple[Any, ...]], places: list[int]) -> None:
    """Any answer, written as a stream and cut at any bytes, is read back as the same answer, and so is its body."""
    events: list[ev.Event] = [ev.Started("lab", "m")]
    for at, (make, *given_) in enumerate(parts):
        events += make(*given_, at)
    events += [ev.UsageReported(Usage(3, 4, 5, 6, 7)), ev.Finished("stop", stop_sequence="###")]
    encoder = anthropic.event_encoder(REQUEST, id="x", created=1)
    stream = b"".join(encoder.encode(event) for event in events) + encoder.close()
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]

    again = read(*(stream[begin:end] for begin, end in itertools.pairwise(edges)))
    body = anthropic.event_encoder(REQUEST, id="x", created=1).body(ev.fold(events))

    expected = replace(ev.fold(events), id="msg_x")
    assert ev.fold(again) == expected
    assert _values(ev.fold(read(json.dumps(body)))) == _values(expected)


def _values(answer: ev.Answer) -> ev.Answer:
    """The answer with the arguments of its calls parsed: their spaces are nobody's promise."""
    parts = [
        replace(part, arguments=json.dumps(json.loads(part.arguments))) if isinstance(part, ToolCall) else part
        for part in answer.choices[0].message.parts
    ]
    return replace(answer, choices=(replace(answer.choices[0], message=Message("assistant", tuple(parts))),))


def test_interleaved_calls_are_written_one_after_the_other() -> None:
    """Calls that arrive mixed, as other dialects may send them, become blocks without gaps, each closed when whole."""
    events: list[ev.Event] = [
        ev.TextDelta("so", 0),
        ev.ToolCallStarted("a", "f", 1),
        ev.ToolCallDelta('{"x"', 1),
        ev.ToolCallStarted("b", "g", 2),
        ev.ToolCallDelta("{}", 2),
        ev.ToolCallDelta(": 1}", 1),
        ev.TextDelta("!", 3),
        ev.PartEnded(2),
        ev.PartEnded(1),
        ev.Finished("tool_calls"),
    ]

    bodies = written(events)

    steps = [(body["type"].removeprefix("content_block_"), body["index"]) for body in bodies if "index" in body]
    assert [at for kind, at in steps if kind == "start"] == [0, 1, 2, 3]
    assert steps == sorted(steps, key=lambda step: step[1])
    pieces = [body["delta"]["partial_json"] for body in bodies if body.get("delta", {}).get("partial_json")]
    assert pieces == ['{"x"', ": 1}", "{}"]


def test_the_first_frame_counts_the_input_where_it_is_known() -> None:
    """Usage that came early stands in message_start; the last frame holds all of it."""
    bodies = written(
        [ev.UsageReported(Usage(5)), ev.TextDelta("x"), ev.UsageReported(Usage(5, 2, 0, 0, 3)), ev.Finished("stop")]
    )

    first, last = bodies[0]["message"]["usage"], bodies[-2]["usage"]
    assert (first["input_tokens"], first["output_tokens"]) == (5, 0)
    assert (last["input_tokens"], last["output_tokens"], last["output_tokens_details"]) == (
        5,
        5,
        {"thinking_tokens": 3},
    )


def test_a_failure_after_the_first_word_is_told_in_band() -> None:
    """A cut stream ends with the dialect's error, never with an invented end."""
    error = errors.Unavailable("lab broke off.", provider="lab")

    bodies = written([ev.TextDelta("Hi"), ev.Failed(error)])

    assert bodies[-1]["type"] == "error"
    assert bodies[-1]["error"]["type"] == "overloaded_error"
    assert bodies[-1]["request_id"] == "x"


def test_thinking_that_the_caller_wants_omitted_is_not_shown() -> None:
    """With `display: omitted` the block is there with its signature, but without a word."""
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    asked = anthropic.decode_request(
        json.dumps({**body, "thinking": {"type": "adaptive", "display": "omitted"}}).encode()
    )
    state = {"anthropic": {"signature": "s"}}

    bodies = written([ev.ReasoningDelta("hm"), ev.PartEnded(0, provider_metadata=state), ev.Finished("stop")], asked)

    deltas = [body["delta"] for body in bodies if body["type"] == "content_block_delta"]
    assert deltas == [{"type": "signature_delta", "signature": "s"}]


def test_state_without_a_place_is_told() -> None:
    """What another provider attached to a call cannot be written here, and the last frame says so."""
    events: list[ev.Event] = [
        ev.ToolCallStarted("a", "f"),
        ev.ToolCallDelta("{}"),
        ev.PartEnded(0, provider_metadata={"google": {"thoughtSignature": "t"}}),
        ev.Finished("tool_calls"),
    ]

    [warning] = written(events)[-2]["osaurus"]["warnings"]

    assert warning["code"] == "opaque_state_dropped"


def _answer(*parts: Any, reason: ev.FinishReason) -> ev.Answer:
    return ev.Answer("lab", "real", (ev.Choice(Message("assistant", parts), reason),), Usage(1, 2))


def test_the_whole_body_says_who_answered() -> None:
    """The answer in one piece holds the text, the usage, all keys of the dialect and the route."""
    body = anthropic.event_encoder(ChatRequest("m", ()), id="x", created=1).body(_answer(Text("Hi"), reason="stop"))

    assert body["content"] == [{"type": "text", "text": "Hi", "citations": None}]
    assert (body["id"], body["model"], body["stop_reason"]) == ("msg_x", "m", "end_turn")
    assert body["osaurus"] == {"request_id": "x", "provider": "lab", "model": "real", "attempts": []}
    assert {"container", "stop_sequence", "stop_details"} <= set(body)
    assert {"cache_creation", "inference_geo", "server_tool_use", "service_tier"} <= set(body["usage"])


def test_a_cut_call_is_left_out_of_the_body_and_a_broken_one_is_a_fault() -> None:
    """Arguments that are no JSON never become an empty object that somebody runs."""
    call = ToolCall("a", "f", '{"x": tru')
    encoder = anthropic.event_encoder(REQUEST, id="x", created=1)

    cut = encoder.body(_answer(Text("so"), call, reason="length"))

    assert [block["type"] for block in cut["content"]] == ["text"]
    assert [warning["code"] for warning in cut["osaurus"]["warnings"]] == ["tool_call_cut"]
    with pytest.raises(BadAnswer, match="no JSON object"):
        encoder.body(_answer(call, reason="tool_calls"))


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (errors.RequestError("x"), "invalid_request_error", 400),
        (errors.BodyTooLarge("x"), "request_too_large", 413),
        (errors.AccessDenied("x"), "authentication_error", 401),
        (errors.Forbidden("x"), "permission_error", 403),
        (errors.ModelNotFound("x"), "not_found_error", 404),
        (errors.QuotaExhausted("x", provider="p"), "billing_error", 402),
        (errors.RateLimited("x", provider="p"), "rate_limit_error", 429),
        (errors.OsaurusError("x"), "api_error", 500),
        (errors.BadAnswer("x", provider="p"), "api_error", 502),
        (errors.NoEligibleModel("x"), "overloaded_error", 529),
        (errors.Unavailable("x", provider="p"), "overloaded_error", 529),
        (errors.TooSlow("x", provider="p"), "timeout_error", 504),
    ],
)
def test_errors_have_the_dialects_type_and_status(error: OsaurusError, kind: str, status: int) -> None:
    """Each of our errors has its type and status in this dialect."""
    body = anthropic.encode_error(error)

    assert (body["type"], body["error"]["type"], body["error"]["message"]) == ("error", kind, "x")
    assert anthropic.status(error) == status


def test_a_list_of_models_is_written_and_read() -> None:
    """Our page of models names its ends; theirs is read with sizes and abilities, without retired ones."""
    card = ModelCard("m", "lab", context_length=9, max_output_tokens=5, created=1_700_000_000)

    page = anthropic.encode_models([card, ModelCard("n", "local")])
    page["data"][0]["capabilities"] = {"image_input": {"supported": True}, "thinking": {"supported": False}}
    page["data"] += ["junk", {"id": 3}, {"id": "old", "lifecycle": "retired"}]

    assert (page["has_more"], page["first_id"], page["last_id"]) == (False, "lab/m", "n")
    assert page["data"][0]["created_at"] == "2023-11-14T22:13:20Z"
    read_back = anthropic.decode_models(page, "there")
    abilities = Capabilities(vision=True, reasoning=False)
    assert read_back[0] == replace(card, id="lab/m", provider="there", capabilities=abilities)
    assert [row.id for row in read_back] == ["lab/m", "n"]
    assert anthropic.encode_models([])["first_id"] is None
    with pytest.raises(BadAnswer):
        anthropic.decode_models({}, "there")
