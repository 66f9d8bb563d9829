"""What a provider's Responses stream or body becomes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb import events as ev
from osaurus_nb.errors import BadAnswer, ProviderError, QuotaExhausted, RateLimited, Refused
from osaurus_nb.messages import Reasoning, Text, ToolCall
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.wire import openai_responses as responses

CARD = ModelCard("m", "lab")


USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
    "output_tokens": 6,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 16,
}


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


def test_a_stream_becomes_text_usage_and_a_finish() -> None:
    """The usual stream of the vendor: created, item, part, words, done, completed."""
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    message = {"id": "msg_1", "type": "message", "content": [{"type": "output_text", "text": "Hello"}]}

    events = read(
        created(),
        told("response.output_item.added", output_index=0, item={"id": "msg_1", "type": "message", "content": []}),
        told("response.content_part.added", **where, part={"type": "output_text", "text": ""}),
        told("response.output_text.delta", **where, delta="Hel"),
        told("response.output_text.delta", **where, delta="lo"),
        told("response.output_text.done", **where, text="Hello"),
        told("response.output_item.done", output_index=0, item=message),
        ended(output=[message], usage=USAGE),
    )

    assert events == [
        ev.Started("lab", "real", "resp_1"),
        ev.TextDelta("Hel"),
        ev.TextDelta("lo"),
        ev.PartEnded(),
        ev.UsageReported(Usage(5, 4, 4, 1, 2)),
        ev.Finished("stop"),
    ]


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("response.reasoning_summary_text.delta", False),
        ("response.reasoning_text.delta", True),
        ("response.reasoning.delta", True),
    ],
)
def test_both_namings_of_thinking_are_read(kind: str, raw: bool) -> None:
    """OpenAI and Open Responses name the words of thinking differently; both are reasoning to us."""
    thought = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gA"}

    events = read(
        created(),
        told("response.output_item.added", output_index=0, item={"id": "rs_1", "type": "reasoning", "summary": []}),
        told(kind, item_id="rs_1", output_index=0, content_index=0, summary_index=0, delta="hm"),
        told("response.output_item.done", output_index=0, item=thought),
        ended(),
    )

    state = {"id": "rs_1", "encrypted_content": "gA"} | ({"raw": True} if raw else {})
    assert ev.fold(events).choices[0].message.parts == (Reasoning("hm", {"openai_responses": state}),)


def test_paragraphs_of_a_summary_stay_apart() -> None:
    """Each summary part is a paragraph; thinking told in full beside it is not told twice."""
    where = {"item_id": "rs_1", "output_index": 0}

    events = read(
        told("response.reasoning_summary_text.delta", **where, summary_index=0, delta="one"),
        told("response.reasoning_text.delta", **where, content_index=0, delta="uno"),
        told("response.reasoning_summary_text.delta", **where, summary_index=1, delta="two"),
        ended(),
    )

    assert [event.text for event in events if isinstance(event, ev.ReasoningDelta)] == ["one", "\n\ntwo"]


def test_parallel_calls_are_told_apart() -> None:
    """Arguments that arrive in turns belong to the item of their index; each call ends by itself."""
    items = [
        {"id": f"fc_{at}", "type": "function_call", "call_id": id, "name": name, "arguments": "", "status": "x"}
        for at, (id, name) in enumerate([("a", "f"), ("b", "g")])
    ]
    whole = [{**items[0], "arguments": '{"x": 1}', "status": "completed"}, {**items[1], "arguments": "{}"}]

    events = read(
        *(told("response.output_item.added", output_index=at, item=item) for at, item in enumerate(items)),
        told("response.function_call_arguments.delta", item_id="fc_0", output_index=0, delta='{"x"'),
        told("response.function_call_arguments.delta", item_id="fc_1", output_index=1, delta="{}"),
        told("response.function_call_arguments.delta", item_id="fc_0", output_index=0, delta=": 1}"),
        *(told("response.output_item.done", output_index=at, item=item) for at, item in enumerate(whole)),
        ended(),
    )

    assert ev.fold(events).choices[0].message.tool_calls == (ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "g", "{}"))
    assert [event.index for event in events if isinstance(event, ev.PartEnded)] == [0, 1]
    assert events[-1] == ev.Finished("tool_calls")


def test_a_call_cut_by_the_token_limit_does_not_end() -> None:
    """Arguments cut off by the limit have no PartEnded, so that nobody runs them."""
    item = {"id": "fc_1", "type": "function_call", "call_id": "a", "name": "f", "arguments": "", "status": "incomplete"}

    events = read(
        told("response.output_item.added", output_index=0, item=item),
        told("response.function_call_arguments.delta", item_id="fc_1", output_index=0, delta='{"x": tru'),
        ended("incomplete", incomplete_details={"reason": "max_output_tokens"}, output=[item]),
    )

    assert not any(isinstance(event, ev.PartEnded) for event in events)
    assert events[-1] == ev.Finished("length")


@pytest.mark.parametrize("end", ["", "data: [DONE]\n\n"])
def test_no_terminal_event_is_a_fault(end: str) -> None:
    """A stream that just ends is incomplete, whatever mark stands behind it: a stop is never invented."""
    with pytest.raises(BadAnswer, match="without saying"):
        read(created(), told("response.output_text.delta", output_index=0, content_index=0, delta="half"), end)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (told("error", code="rate_limit_exceeded", message="slow down", param=None), RateLimited),
        (told("error", error={"type": "invalid_request_error", "code": None, "message": "no"}), Refused),
        (told("response.failed", response={"error": {"code": "insufficient_quota", "message": "no"}}), QuotaExhausted),
        (told("response.failed", response={"error": None}), BadAnswer),
        (told("response.cancelled", response={}), BadAnswer),
        ('{"error": {"message": "busy", "code": "rate_limit_exceeded"}}', RateLimited),
        ('{"object": "response", "status": "in_progress"}', BadAnswer),
        ("<html>login</html>", BadAnswer),
        ("data: {nonsense\n\n", BadAnswer),
        ('data: ["list"]\n\n', BadAnswer),
        ("", BadAnswer),
        (": only\n\n: comments\n\n", BadAnswer),
    ],
)
def test_a_200_that_is_no_answer_is_a_fault(body: str, kind: type[ProviderError]) -> None:
    """Errors in either shape, failures, pages, garbage and nothing at all are faults, each of its kind."""
    with pytest.raises(ProviderError) as caught:
        read(body)

    assert type(caught.value) is kind


def test_a_plain_body_is_read_where_a_stream_was_asked_for() -> None:
    """Some providers answer in one piece; the events are the same."""
    output = [
        {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"id": "msg_1", "type": "message", "content": [{"type": "refusal", "refusal": "No"}]},
        {"id": "fc_1", "type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"id": "ws_1", "type": "web_search_call", "status": "completed"},
    ]
    body = {"object": "response", "id": "1", "model": "real", "status": "completed", "error": None, "output": output}

    events = read(json.dumps({**body, "usage": USAGE}))

    parts = ev.fold(events).choices[0].message.parts
    assert [type(part) for part in parts] == [Reasoning, Text, ToolCall]
    assert events[-1] == ev.Finished("tool_calls")


def test_what_deltas_left_out_the_last_event_fills_in() -> None:
    """Servers that send whole items without deltas, or events we do not know, are understood."""
    message = {
        "id": "msg_1",
        "type": "message",
        "phase": "final_answer",
        "content": [{"type": "output_text", "text": "Hi"}],
    }

    events = read(
        told("osaurus:note", anything=1),
        told("response.output_item.done", output_index=0, item=message),
        told("response.function_call_arguments.delta", item_id="fc_1", output_index=1, delta="{}"),
        told(
            "response.output_item.done",
            output_index=1,
            item={"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        ),
        ended(),
    )

    kept = {"openai_responses": {"phase": "final_answer"}}
    assert ev.fold(events).choices[0].message.parts == (Text("Hi", kept), ToolCall("a", "f", "{}"))


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (USAGE, Usage(5, 4, 4, 1, 2)),
        ({"input_tokens": 3, "output_tokens": 2}, Usage(3, 2)),
        ({"input_tokens": 3, "output_tokens": 2, "total_tokens": 9}, Usage(3, 2, absurd=True)),
        ({"input_tokens": 1, "input_tokens_details": {"cached_tokens": 5}}, Usage(0, 0, 5, absurd=True)),
        ({"input_tokens": "x", "input_tokens_details": None}, Usage()),
    ],
)
def test_usage_classes_are_disjoint(body: dict[str, Any], usage: Usage) -> None:
    """Cached and reasoning tokens are counted once; what does not add up is marked."""
    assert responses.read_usage(body) == usage


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats(allow_nan=False) | st.sampled_from(["", "a", "message"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "type", "text"]), inner),
    max_leaves=6,
)


EVENT_KINDS = (
    "created output_item.added output_item.done output_text.delta reasoning.delta reasoning_summary_text.delta "
    "function_call_arguments.delta completed incomplete failed"
)


FIELDS = "response item delta output_index item_id content_index output content summary status usage logprobs error id"


ITEMS = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "function_call", "reasoning", "compaction", "x"])},
    optional=dict.fromkeys(("id", "content", "summary", "arguments", "call_id", "name", "phase"), JSON),
)


HOSTILE = st.lists(
    st.builds(
        lambda kind, fields: {"type": f"response.{kind}", **fields},
        st.sampled_from(re.findall(r"\S+", EVENT_KINDS)),
        st.dictionaries(st.sampled_from(re.findall(r"\S+", FIELDS)), JSON | ITEMS, max_size=6),
    ),
    max_size=8,
)


@given(HOSTILE)
def test_no_answer_breaks_the_reader(payloads: list[dict[str, Any]]) -> None:
    """Whatever a provider sends, what comes of it is events that fold, or a fault of the provider."""
    stream = "".join(told(payload.pop("type"), **payload) for payload in payloads)

    try:
        events = read(stream)
    except ProviderError:
        return

    assert isinstance(events[-1], ev.Finished)
    assert ev.fold(events).error is None
