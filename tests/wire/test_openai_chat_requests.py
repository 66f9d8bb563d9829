"""Chat Completions requests: what a caller sends is understood, what it means is sent on."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb import request as ask
from osaurus_nb.errors import RequestError
from osaurus_nb.messages import Media, Message, Text, ToolCall, ToolResult
from osaurus_nb.models import ModelCard
from osaurus_nb.wire import openai_chat as chat

CARD = ModelCard("m", "lab")
TEXT = st.text(min_size=1, max_size=30)


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}).encode()


def test_every_field_finds_its_place() -> None:
    """A full request is read into neutral fields, and what we do not know is kept aside."""
    request = chat.decode_request(
        body(
            temperature=0.5,
            max_tokens=7,
            stop=["a", "b"],
            seed=1,
            stream=True,
            stream_options={"include_usage": True},
            tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
            tool_choice={"type": "function", "function": {"name": "f"}},
            response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
            user="me",
            fallbacks=["other"],
            deadline_ms=1500,
        )
    )

    assert request.sampling == ask.Sampling(max_output_tokens=7, temperature=0.5, stop=("a", "b"), seed=1)
    assert request.delivery == ask.Delivery(stream=True, include_usage=True)
    assert request.tools[0].name == "f"
    assert request.tool_choice == ask.NamedTool("f")
    assert request.response_format == ask.ResponseFormat("json_schema", "s", {"type": "object"})
    assert request.route == ask.RouteOptions(fallbacks=("other",), deadline=1.5)
    assert request.extra == {"user": "me"}


def test_null_means_absent() -> None:
    """A null is read as if the key were missing, as OpenAI does."""
    request = chat.decode_request(body(temperature=None, tools=None, stop=None, stream=None))

    assert request == chat.decode_request(body())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"n": 0}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"model": 7}, "model"),
        ({"stop": {"a": 1}}, "stop"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str) -> None:
    """A request that is wrong is refused with the path of the field at fault."""
    with pytest.raises(RequestError) as caught:
        chat.decode_request(body(**fields))

    assert caught.value.param == param
    assert param in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"nonsense", b'"text"', b"\xff\xfe"])
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    """Bytes that are no JSON object get one plain sentence."""
    with pytest.raises(RequestError, match="JSON"):
        chat.decode_request(content)


def test_a_refusal_never_repeats_the_prompt() -> None:
    """The error of a bad request holds no value of it."""
    secret = "canary-7319"

    with pytest.raises(RequestError) as caught:
        chat.decode_request(body(messages=[{"role": "user", "content": {"text": secret}}]))

    assert secret not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_image_survives_both_ways() -> None:
    """A data URL becomes bytes and the same data URL again; a web address stays an address."""
    url = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    content = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]

    request = chat.decode_request(body(messages=[{"role": "user", "content": content}]))

    assert request.messages[0].parts[1] == Media("image", "image/png", data=b"\x89PNG", detail="low")
    assert chat.encode_request(request, CARD).body["messages"][0]["content"] == content


def test_tool_turns_survive_both_ways() -> None:
    """Parallel calls and their results come out as they went in."""
    messages = [
        {"role": "user", "content": "weather?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
                {"id": "2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": "sun"},
        {"role": "tool", "tool_call_id": "2", "content": "rain"},
    ]

    request = chat.decode_request(body(messages=messages))

    assert request.messages[1].tool_calls == (ToolCall("1", "f", '{"a": 1}'), ToolCall("2", "g", "{}"))
    assert request.messages[2].parts == (ToolResult("1", (Text("sun"),)),)
    assert chat.encode_request(request, CARD).body["messages"] == messages


def test_a_reasoner_takes_no_tuning_and_says_so() -> None:
    """Where a model refuses sampling, it is left out with a warning, and the token limit has its other name."""
    card = ModelCard("gpt-5", "openai", quirks=frozenset({"reasoner"}))
    request = chat.decode_request(body(temperature=0.1, max_tokens=5))

    encoded = chat.encode_request(request, card)

    assert "temperature" not in encoded.body
    assert encoded.body["max_completion_tokens"] == 5
    assert [warning.param for warning in encoded.warnings] == ["temperature"]


MESSAGES = st.lists(
    st.one_of(
        st.builds(lambda role, text: Message(role, (Text(text),)), st.sampled_from(["system", "user"]), TEXT),
        st.builds(lambda text, name: Message("assistant", (Text(text), ToolCall("1", name, "{}"))), TEXT, TEXT),
        st.builds(lambda text: Message("tool", (ToolResult("1", (Text(text),)),)), TEXT),
    ),
    min_size=1,
    max_size=5,
).map(tuple)
SAMPLING = st.builds(
    ask.Sampling,
    max_output_tokens=st.none() | st.integers(1, 9),
    temperature=st.none() | st.floats(0, 2),
    stop=st.lists(TEXT, max_size=3).map(tuple),
    seed=st.none() | st.integers(0, 2**31),
    logit_bias=st.none() | st.dictionaries(st.integers(0, 99).map(str), st.floats(-100, 100), max_size=2),
    n=st.integers(1, 4),
)


@given(MESSAGES, SAMPLING, st.none() | st.sampled_from(["auto", "none", "required"]) | st.builds(ask.NamedTool, TEXT))
def test_what_we_send_is_what_we_understand(
    messages: tuple[Message, ...], sampling: ask.Sampling, choice: ask.ToolChoice | None
) -> None:
    """Encoding a request and decoding it again gives the same request: nothing is lost on the way."""
    request = ask.ChatRequest("m", messages, tool_choice=choice, sampling=sampling, extra={"user": "me"})

    again = chat.decode_request(json.dumps(chat.encode_request(request, CARD).body).encode())

    assert (again.messages, again.sampling, again.tool_choice) == (messages, sampling, choice)
    assert again.extra == request.extra
