"""What a caller's Responses body becomes, and what of it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb import request as ask
from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.wire import openai_responses as responses


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hi", **fields}).encode()


def test_every_field_finds_its_place() -> None:
    """A full request is read into neutral fields, and what we do not know is kept aside."""
    request = responses.decode_request(
        body(
            instructions="be brief",
            temperature=0.5,
            max_output_tokens=20,
            top_logprobs=2,
            include=["message.output_text.logprobs"],
            stream=True,
            tools=[{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}],
            tool_choice={"type": "function", "name": "f"},
            parallel_tool_calls=False,
            reasoning={"effort": "low", "summary": "auto"},
            text={"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}}, "verbosity": "low"},
            previous_response_id="resp_1",
            metadata={"a": "b"},
            user="me",
            fallbacks=["other"],
            deadline_ms=1500,
        )
    )

    assert [(message.role, message.text) for message in request.messages] == [("system", "be brief"), ("user", "hi")]
    assert request.sampling == ask.Sampling(max_output_tokens=20, temperature=0.5, logprobs=True, top_logprobs=2)
    assert request.delivery == ask.Delivery(stream=True, include_usage=True)
    assert request.tools == (ask.Tool("f", "", {"type": "object"}, strict=True),)
    assert request.tool_choice == ask.NamedTool("f")
    assert request.parallel_tool_calls is False
    assert request.reasoning_effort == "low"
    assert request.response_format == ask.ResponseFormat("json_schema", "s", {"type": "object"})
    assert request.route == ask.RouteOptions(fallbacks=("other",), deadline=1.5)
    kept = {"user": "me", "previous_response_id": "resp_1", "metadata": {"a": "b"}, "verbosity": "low"}
    assert request.extra == kept


def test_null_means_absent() -> None:
    """A null is read as if the key were missing, as OpenAI does."""
    nulls = dict.fromkeys(("temperature", "tools", "text", "conversation", "previous_response_id", "store"))

    assert responses.decode_request(body(**nulls)) == responses.decode_request(body())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"model": 7}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 7}, "input"),
        ({"input": [7]}, "input[0]"),
        ({"input": [{"role": "wizard", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": 3}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": [{"type": "smell"}]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
            "input[0].content[0].file_data",
        ),
        ({"input": [{"type": "function_call", "call_id": "1", "name": "f", "arguments": {}}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"id": "msg_1"}]}, "input[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"name": "f"}]}, "tools[0]"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice.name"),
        ({"tool_choice": {"type": "allowed_tools", "tools": [{"type": "function", "name": "f"}]}}, "tool_choice.tools"),
        ({"text": {"format": {"type": "json_schema", "name": "s"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "yaml"}}}, "text.format"),
        ({"reasoning": {"effort": "heroic"}}, "reasoning.effort"),
        ({"stream": "yes"}, "stream"),
        ({"stop": {"a": 1}}, "stop"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str) -> None:
    """A request that is wrong is refused with the path of the field at fault."""
    with pytest.raises(RequestError) as caught:
        responses.decode_request(body(**fields))

    assert caught.value.param == param
    assert param in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "tools[0].type"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice.type"),
        ({"input": [{"type": "web_search_call", "id": "ws_1"}]}, "input[0].type"),
    ],
)
def test_what_only_the_vendor_can_do_is_refused(fields: dict[str, Any], param: str) -> None:
    """State and tools of the vendor's own service are a 400 that names the field, never left out."""
    with pytest.raises(Unsupported) as caught:
        responses.decode_request(body(**fields))

    assert (caught.value.param, caught.value.status) == (param, 400)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"nonsense", b'"text"', b"\xff\xfe", b'{"model": "m"}'])
def test_what_is_no_request_is_refused(content: bytes) -> None:
    """Bytes that are no JSON object, or one without input, get one plain sentence."""
    with pytest.raises(RequestError):
        responses.decode_request(content)


def test_a_refusal_never_repeats_the_prompt() -> None:
    """The error of a bad request holds no value of it."""
    secret = "canary-7319"

    with pytest.raises(RequestError) as caught:
        responses.decode_request(body(input=[{"role": "user", "content": {"text": secret}}]))

    assert secret not in str(caught.value)
    assert caught.value.__cause__ is None


def test_only_allowed_tools_are_offered() -> None:
    """A choice among some tools is carried by leaving out the others."""
    tools = [{"type": "function", "name": name} for name in "fgh"]
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]}

    request = responses.decode_request(body(tools=tools, tool_choice=choice))

    assert [tool.name for tool in request.tools] == ["g"]
    assert request.tool_choice == "required"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.sampled_from(["", "user", "message", "data:,", "osaurus1."]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "type", "content", "text", "image_url"]), inner, max_size=3)
    ),
    max_leaves=6,
)


ITEMS = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "function_call", "function_call_output", "reasoning", "compaction", "x"])},
    optional=dict.fromkeys(("role", "content", "id", "call_id", "name", "arguments", "output", "summary"), JSON),
)


@given(st.dictionaries(st.sampled_from(["tools", "tool_choice", "text", "reasoning", "stop"]), JSON), st.lists(ITEMS))
def test_no_body_breaks_the_reader(fields: dict[str, Any], items: list[dict[str, Any]]) -> None:
    """Whatever a caller sends is understood or refused, and what is understood can be sent on."""
    try:
        request = responses.decode_request(body(**fields, input=items or "hi"))
    except RequestError:
        return

    assert request.model == "m"
