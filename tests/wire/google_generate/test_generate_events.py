"""What a provider's generateContent stream or body becomes."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb import events as ev
from osaurus_nb.errors import (
    BadAnswer,
    ProviderError,
    RateLimited,
    TooSlow,
    Unavailable,
)
from osaurus_nb.messages import Reasoning, Text, ToolCall
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.wire import google_generate as google
from osaurus_nb.wire.google_generate.decode import read_usage

CARD = ModelCard("gemini-3-pro", "google")


KEYS = [
    "candidates",
    "content",
    "parts",
    "text",
    "thought",
    "thoughtSignature",
    "functionCall",
    "name",
    "args",
    "id",
    "index",
    "finishReason",
    "token",
    "promptFeedback",
    "blockReason",
    "usageMetadata",
    "promptTokenCount",
    "logprobsResult",
    "chosenCandidates",
    "topCandidates",
    "logProbability",
    "error",
    "responseId",
    "modelVersion",
    "models",
    "supportedGenerationMethods",
]


def chunk(*parts: dict[str, Any], finish: str | None = None, **extra: Any) -> str:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return json.dumps({"candidates": [candidate], "modelVersion": "real", "responseId": "r", **extra})


def sse(*chunks: str) -> str:
    return "".join(f"data: {row}\n\n" for row in chunks)


def read(*pieces: str | bytes) -> list[ev.Event]:
    decoder = google.event_decoder(CARD)
    fed = [decoder.feed(piece.encode() if isinstance(piece, str) else piece) for piece in pieces]
    return [event for events in [*fed, decoder.close()] for event in events]


def test_a_stream_becomes_text_usage_and_a_finish() -> None:
    """The usual stream: words, then a last chunk with the reason and the counts."""
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7}

    events = read(sse(chunk({"text": "Hel"}), chunk({"text": "lo"}, finish="STOP", usageMetadata=usage)))

    assert events == [
        ev.Started("google", "real", "r"),
        ev.TextDelta("Hello"),
        ev.PartEnded(),
        ev.UsageReported(Usage(input_tokens=5, output_tokens=2)),
        ev.Finished("stop"),
    ]


def test_thoughts_signatures_and_calls_keep_their_places() -> None:
    """A signed part is a part of its own; a call ends where it starts, and STOP after it means tool calls."""
    events = read(
        sse(
            chunk({"text": "hm", "thought": True}),
            chunk({"text": "Let me see."}),
            chunk({"text": "", "thoughtSignature": "czE="}),
            chunk({"functionCall": {"name": "f", "args": {"a": "é"}}, "thoughtSignature": "czI="}),
            chunk({"functionCall": {"id": "b", "name": "g"}}),
            chunk(finish="STOP"),
        )
    )

    signed = [{"google": {"thoughtSignature": sign, "model": CARD.name}} for sign in ("czE=", "czI=")]
    assert ev.fold(events).choices[0].message.parts == (
        Reasoning("hm"),
        Text("Let me see."),
        Text("", signed[0]),
        ToolCall("call_r_0_3", "f", '{"a": "é"}', signed[1]),
        ToolCall("b", "g", "{}"),
    )
    assert [event.index for event in events if isinstance(event, ev.PartEnded)] == [0, 1, 2, 3, 4]
    assert events[-1] == ev.Finished("tool_calls")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("SOMETHING_NEW", "unknown"),
    ],
)
def test_each_reason_has_its_meaning(reason: str, finish: str) -> None:
    """Why the vendor stopped, in our words."""
    assert read(sse(chunk({"text": "a"}, finish=reason)))[-1] == ev.Finished(finish)  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "MISSING_THOUGHT_SIGNATURE", "OTHER"])
def test_a_reason_that_is_a_fault_is_one(reason: str) -> None:
    """What ended without an answer is never taken for one."""
    with pytest.raises(BadAnswer):
        read(sse(chunk({"text": "a"}, finish=reason)))


def test_a_blocked_prompt_is_a_filtered_answer() -> None:
    """Where the vendor refuses the prompt there is no candidate, and that is the answer."""
    events = read(sse(json.dumps({"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "real"})))

    assert events == [ev.Started("google", "real"), ev.Finished("content_filter")]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (sse(chunk({"text": "half"})), BadAnswer),
        (sse('{"error": {"code": 429, "message": "no", "status": "RESOURCE_EXHAUSTED"}}'), RateLimited),
        ('{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}', Unavailable),
        ('[{"error": {"code": 504, "message": "slow", "status": "DEADLINE_EXCEEDED"}}]', TooSlow),
        (sse(chunk({"text": "a"})) + '{\n  "error": {\n    "code": 503,\n\n "message": "x"\n  }\n}\n', Unavailable),
        ("<html>login</html>", BadAnswer),
        ("data: {nonsense\n\n", BadAnswer),
        ('data: "text"\n\n', BadAnswer),
        ("", BadAnswer),
        ("\n\n\n", BadAnswer),
        ("[]", BadAnswer),
        (sse(chunk({"text": "a"})) + "{cut", BadAnswer),
    ],
)
def test_a_200_that_is_no_answer_is_a_fault(body: str, kind: type[ProviderError]) -> None:
    """Errors in any of their places, pages, garbage, half an answer and nothing at all are failures."""
    with pytest.raises(kind):
        read(body)


def test_an_answer_in_one_piece_or_as_an_array_is_read_too() -> None:
    """The vendor answers so where the address does not ask for events."""
    chunks = [chunk({"text": "Hel"}), chunk({"text": "lo"}, finish="STOP")]

    whole = read(chunk({"text": "Hello"}, finish="STOP"))
    array = read("[" + ",\r\n".join(chunks) + "]")

    assert ev.fold(whole).text == ev.fold(array).text == "Hello"
    assert whole[-1] == array[-1] == ev.Finished("stop")


def test_what_has_no_place_is_told() -> None:
    """An image or code in an answer is left out with a word about it."""
    events = read(sse(chunk({"inlineData": {"mimeType": "image/png", "data": ""}}, {"text": "a"}, finish="STOP")))

    assert [event.code for event in events if isinstance(event, ev.Warned)] == ["output_dropped"]


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (
            {"promptTokenCount": 10, "cachedContentTokenCount": 6, "candidatesTokenCount": 4, "totalTokenCount": 14},
            Usage(input_tokens=4, output_tokens=4, cache_read_input_tokens=6),
        ),
        (
            {
                "promptTokenCount": 10,
                "toolUsePromptTokenCount": 2,
                "candidatesTokenCount": 4,
                "thoughtsTokenCount": 3,
                "totalTokenCount": 19,
            },
            Usage(input_tokens=12, output_tokens=4, reasoning_output_tokens=3),
        ),
        ({"promptTokenCount": 1, "cachedContentTokenCount": 5}, Usage(cache_read_input_tokens=5, absurd=True)),
        ({"promptTokenCount": 1, "totalTokenCount": 9}, Usage(input_tokens=1, absurd=True)),
    ],
)
def test_usage_classes_are_disjoint(body: dict[str, Any], usage: Usage) -> None:
    """Cached, tool and thought tokens are counted once; what does not add up is marked."""
    assert read_usage(body) == usage


STRANGE = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 99) | st.sampled_from(["", "STOP", "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(KEYS), STRANGE, max_size=4), STRANGE)
def test_nothing_that_a_provider_sends_is_a_fault_of_ours(payload: dict[str, Any], part: Any) -> None:
    """Known keys with unknown values are read, passed over or a fault of the provider's."""
    candidates = [payload, {"content": {"parts": [part]}, "finishReason": "STOP"}]

    for body in (payload, {"candidates": candidates}):
        with suppress(ProviderError):
            read(sse(json.dumps(body)))
        with suppress(ProviderError):
            google.decode_models(body, "us")
