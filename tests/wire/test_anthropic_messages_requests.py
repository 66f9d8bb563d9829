"""Messages requests of a caller: understood in both versions, refused by the name of the field."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from osaurus_nb import request as ask
from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.messages import Media, Message, Reasoning, Text, ToolCall, ToolResult
from osaurus_nb.wire import anthropic_messages as anthropic

NEW = "2026-10-21"
PNG = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(b"\x89PNG").decode()}


def body(**fields: Any) -> bytes:
    whole = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], **fields}
    return json.dumps(whole).encode()


def said(*blocks: Any, role: str = "user") -> list[dict[str, Any]]:
    return [{"role": role, "content": list(blocks)}]


def test_every_field_finds_its_place() -> None:
    """A full request is read into neutral fields, and what we do not know is kept aside."""
    request = anthropic.decode_request(
        body(
            system="be kind",
            temperature=0.5,
            top_k=3,
            stop_sequences=["a", "b"],
            stream=True,
            tools=[{"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": True}],
            tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True},
            output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}, "effort": "low"},
            fallbacks=["other"],
            deadline_ms=1500,
            novelty=1,
        )
    )

    assert request.messages == (Message("system", (Text("be kind"),)), Message("user", (Text("hi"),)))
    assert request.sampling == ask.Sampling(max_output_tokens=9, temperature=0.5, top_k=3, stop=("a", "b"))
    assert request.delivery == ask.Delivery(stream=True, include_usage=True)
    assert request.tools == (ask.Tool("f", "d", {"type": "object"}, True),)
    assert (request.tool_choice, request.parallel_tool_calls) == (ask.NamedTool("f"), False)
    assert request.response_format == ask.ResponseFormat("json_schema", schema={"type": "object"})
    assert request.reasoning_effort == "low"
    assert request.route == ask.RouteOptions(fallbacks=("other",), deadline=1.5)
    assert request.extra == {"novelty": 1}


def test_null_means_absent() -> None:
    """A null is read as if the key were missing."""
    nulls = dict.fromkeys(["system", "tools", "tool_choice", "thinking", "metadata", "temperature", "stream"])

    assert anthropic.decode_request(body(**nulls), version=NEW) == anthropic.decode_request(body(), version=NEW)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": said({"type": "text"})}, "messages[0].content[0].text"),
        ({"messages": said({"type": "smell"})}, "messages[0].content[0]"),
        ({"messages": said({"type": "thinking", "thinking": "x"})}, "messages[0].content[0]"),
        ({"messages": said({"type": "image", "source": PNG | {"data": "%"}})}, "messages[0].content[0].source.data"),
        (
            {"messages": said({"type": "image", "source": {"type": "url", "url": "file:///etc"}})},
            "messages[0].content[0].source.url",
        ),
        (
            {"messages": said({"type": "image", "source": {"type": "file", "file_id": "f"}})},
            "messages[0].content[0].source",
        ),
        ({"messages": said({"type": "tool_result"})}, "messages[0].content[0].tool_use_id"),
        (
            {"messages": said({"type": "tool_use", "id": "1", "name": "f", "input": "x"}, role="assistant")},
            "messages[0].content[0].input",
        ),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "thinking.budget_tokens"),
        ({"temperature": 1.5}, "temperature"),
        ({"stream": "yes"}, "stream"),
        ({"fallbacks": {"a": 1}}, "fallbacks"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str) -> None:
    """A request that is wrong is refused with the path of the field at fault."""
    with pytest.raises(RequestError) as caught:
        anthropic.decode_request(body(**fields))

    assert caught.value.param == param
    assert param in str(caught.value)


def test_the_limit_of_the_answer_is_required_but_not_for_counting() -> None:
    """`max_tokens` must be there, except where only the question is counted."""
    question = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()

    with pytest.raises(RequestError, match="'max_tokens' is required"):
        anthropic.decode_request(question)
    assert anthropic.decode_count(question).sampling.max_output_tokens is None
    assert anthropic.encode_token_count(3) == {"input_tokens": 3}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"nonsense", b'"text"', b"\xff\xfe", b"[" * 5000])
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    """Bytes that are no JSON object get one plain sentence."""
    with pytest.raises(RequestError, match="JSON"):
        anthropic.decode_request(content)


def test_what_is_no_number_in_json_is_refused() -> None:
    """NaN and Infinity are no JSON, wherever they stand; the same words in a text are fine."""
    with pytest.raises(RequestError, match="JSON"):
        anthropic.decode_request(body(novelty=float("nan")))
    assert anthropic.decode_request(body(system="NaN and Infinity")).messages[0].text == "NaN and Infinity"


def test_a_refusal_never_repeats_the_prompt() -> None:
    """The error of a bad request holds no value of it."""
    secret = "canary-7319"

    for content in ({"text": secret}, [{"type": secret}], [{"type": "text", "text": [secret]}]):
        with pytest.raises(RequestError) as caught:
            anthropic.decode_request(body(messages=[{"role": "user", "content": content}]))
        assert secret not in str(caught.value)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 1.0}, "temperature"),
        ({"top_p": 1.0}, "top_p"),
        ({"top_k": 1}, "top_k"),
        (
            {"messages": said({"type": "document", "source": {"type": "text", "data": "d"}}, role="assistant")},
            "messages[0].content[0]",
        ),
        (
            {"messages": said({"type": "text", "text": "t", "citations": [{"type": "char_location"}]})},
            "messages[0].content[0].citations",
        ),
    ],
)
def test_the_newer_version_refuses_what_the_older_took(fields: dict[str, Any], param: str) -> None:
    """Sampling, an assistant's documents and a user's citations belong to the older version alone."""
    anthropic.decode_request(body(**fields), version="2023-06-01")
    anthropic.decode_request(body(**fields))

    with pytest.raises(RequestError) as caught:
        anthropic.decode_request(body(**fields), version=NEW)

    assert caught.value.param == param


def test_an_unknown_version_is_refused() -> None:
    """A version that does not exist is named as the header it came in."""
    with pytest.raises(RequestError) as caught:
        anthropic.decode_request(body(), version="2024-01-01")

    assert caught.value.param == "anthropic-version"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "web_search_20260318", "name": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type"),
        ({"mcp_servers": [{"type": "url"}]}, "mcp_servers"),
        ({"container": "c_1"}, "container"),
        ({"thread": {"type": "continue", "previous_message_id": "m"}}, "thread"),
        ({"compaction": {"type": "summarize"}}, "compaction"),
        ({"messages": said({"type": "server_tool_use", "id": "1"}, role="assistant")}, "messages[0].content[0]"),
        (
            {"messages": said({"type": "tool_result", "tool_use_id": "1", "content": [{"type": "tool_reference"}]})},
            "messages[0].content[0].content[0]",
        ),
    ],
)
def test_what_runs_at_anthropic_is_unsupported(fields: dict[str, Any], param: str) -> None:
    """Tools and state on the vendor's own machines cannot be given to another model."""
    with pytest.raises(Unsupported) as caught:
        anthropic.decode_request(body(**fields))

    assert caught.value.param == param


def test_tool_results_become_messages_of_their_own_and_come_first() -> None:
    """One user's turn with two results and words is two tool messages and one of the user."""
    call = {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}}
    turns = [
        *said({"type": "text", "text": "so"}, call, role="assistant"),
        *said(
            {"type": "text", "text": "and?"},
            {"type": "tool_result", "tool_use_id": "1", "content": "sun"},
            {"type": "tool_result", "tool_use_id": "2", "is_error": True, "content": [{"type": "text", "text": "no"}]},
        ),
    ]

    request = anthropic.decode_request(body(messages=turns))

    assert request.messages == (
        Message("assistant", (Text("so"), ToolCall("1", "f", '{"a": 1}'))),
        Message("tool", (ToolResult("1", (Text("sun"),)),)),
        Message("tool", (ToolResult("2", (Text("no"),), is_error=True),)),
        Message("user", (Text("and?"),)),
    )


def test_media_are_read_from_every_source() -> None:
    """Images by bytes and address; documents by bytes, text, address and blocks, with their titles."""
    pdf = base64.b64encode(b"%PDF-1").decode()
    blocks = [
        {"type": "image", "source": PNG},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": pdf}, "title": "t"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
        {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "inner"}]}},
    ]

    parts = anthropic.decode_request(body(messages=said(*blocks))).messages[0].parts

    assert parts[:5] == (
        Media("image", "image/png", data=b"\x89PNG"),
        Media("image", url="https://example.org/a.png"),
        Media("document", "application/pdf", data=b"%PDF-1", filename="t"),
        Media("document", "text/plain", data=b"words"),
        Media("document", url="https://example.org/a.pdf"),
    )
    assert isinstance(parts[5], Media)
    assert parts[5].data == b"inner"


def test_thinking_keeps_its_signature() -> None:
    """Signed and redacted thinking carries what only the vendor can read, under the vendor's name."""
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "dark"},
        {"type": "thinking", "thinking": "bare", "signature": ""},
    ]

    message = anthropic.decode_request(body(messages=said(*blocks, role="assistant"))).messages[0]

    assert message.parts == (
        Reasoning("hm", {"anthropic": {"signature": "sig"}}),
        Reasoning("", {"anthropic": {"data": "dark"}}),
        Reasoning("bare"),
    )


@pytest.mark.parametrize(
    ("thinking", "effort", "expected"),
    [
        (None, None, None),
        (None, "max", "max"),
        ({"type": "disabled"}, None, "none"),
        ({"type": "adaptive"}, None, "high"),
        ({"type": "adaptive"}, "low", "low"),
        ({"type": "between_tools"}, None, "high"),
        ({"type": "enabled", "budget_tokens": 1024}, None, "minimal"),
        ({"type": "enabled", "budget_tokens": 10_000}, None, "medium"),
        ({"type": "enabled", "budget_tokens": 31_999}, None, "high"),
        ({"type": "enabled", "budget_tokens": 10_000}, "max", "max"),
    ],
)
def test_thinking_and_effort_become_one_word(thinking: Any, effort: Any, expected: Any) -> None:
    """However the caller says how much to think, other dialects are told by the one word for it."""
    request = anthropic.decode_request(body(max_tokens=64_000, thinking=thinking, output_config={"effort": effort}))

    assert request.reasoning_effort == expected


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, ("auto", None)),
        ({"type": "none"}, ("none", None)),
        ({"type": "any", "disable_parallel_tool_use": False}, ("required", True)),
        ({"type": "tool", "name": "f", "disable_parallel_tool_use": True}, (ask.NamedTool("f"), False)),
    ],
)
def test_tool_choices_are_mapped(choice: dict[str, Any], expected: tuple[Any, Any]) -> None:
    """Each choice has its neutral word; one call only is the other way round."""
    request = anthropic.decode_request(body(tool_choice=choice))

    assert (request.tool_choice, request.parallel_tool_calls) == expected
