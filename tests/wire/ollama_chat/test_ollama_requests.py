"""Ollama requests: what a caller sends is understood, what it means is sent on."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb import request as ask
from osaurus_nb import wire
from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.messages import Media, Message, Reasoning, Text, ToolCall, ToolResult, assistant, system, user
from osaurus_nb.models import Capabilities, ModelCard
from osaurus_nb.wire import ollama_chat as ollama

CARD = ModelCard("llama3.2:latest", "ollama")
TEXT = st.text(min_size=1, max_size=20)
PNG = b"\x89PNG\r\n\x1a\n"
HI = {"role": "user", "content": "hi"}


def read(**fields: Any) -> ask.ChatRequest:
    return ollama.decode_request(json.dumps({"model": "m", "messages": [HI], **fields}).encode())


def generate(**fields: Any) -> ask.ChatRequest:
    return ollama.decode_generate(json.dumps({"model": "m", **fields}).encode())


def sent(*messages: Message, card: ModelCard = CARD, **fields: Any) -> tuple[dict[str, Any], tuple[Warned, ...]]:
    encoded = ollama.encode_request(ask.ChatRequest("m", messages or (user("hi"),), **fields), card)
    return encoded.body, encoded.warnings


def test_every_field_finds_its_place() -> None:
    """A full request is read into neutral fields, and what we do not know is kept aside."""
    request = read(
        messages=[{"role": "system", "content": "be brief"}, {**HI, "images": [base64.b64encode(PNG).decode()]}],
        tools=[{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
        format={"type": "object"},
        think="high",
        keep_alive="5m",
        logprobs=True,
        top_logprobs=2,
        options={
            "num_predict": 7,
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 3,
            "min_p": 0.1,
            "stop": ["a"],
            "seed": 1,
            "presence_penalty": 0.1,
            "frequency_penalty": 0.2,
            "repeat_penalty": 1.1,
            "num_ctx": 2048,
        },
        somethingNew=1,
        deadline_ms=1500,
    )

    assert request.messages == (system("be brief"), user("hi", Media("image", "image/png", data=PNG)))
    assert request.tools == (ask.Tool("f", "d", {"type": "object"}),)
    assert request.response_format == ask.ResponseFormat("json_schema", schema={"type": "object"})
    assert request.reasoning_effort == "high"
    assert request.sampling == ask.Sampling(
        max_output_tokens=7,
        temperature=0.5,
        top_p=0.9,
        top_k=3,
        min_p=0.1,
        stop=("a",),
        seed=1,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        repetition_penalty=1.1,
        logprobs=True,
        top_logprobs=2,
    )
    assert request.route.deadline == 1.5
    assert request.extra == {"somethingNew": 1}
    assert request.provider_metadata is not None
    assert request.provider_metadata["ollama"]["keep_alive"] == "5m"
    assert request.provider_metadata["ollama"]["options"] == {"num_ctx": 2048}


def test_answers_are_streamed_unless_the_caller_says_no() -> None:
    """The dialect's own default, on both paths."""
    assert read().delivery.stream
    assert read(stream=None).delivery.stream
    assert generate(prompt="hi").delivery.stream
    assert not read(stream=False).delivery.stream
    assert not generate(prompt="hi", stream=False).delivery.stream


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "wizard"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["hi"]}]}, "messages[0].content"),
        ({"messages": [{**HI, "images": ["?"]}]}, "messages[0].images[0]"),
        ({"messages": [{**HI, "tool_calls": [{"function": {"name": "f"}}]}]}, "messages[0].tool_calls"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"messages": [{"role": "tool", "content": "sun"}]}, "messages[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"format": "xml"}, "format"),
        ({"format": 3}, "format"),
        ({"think": "hard"}, "think"),
        ({"think": 3}, "think"),
        ({"stream": "yes"}, "stream"),
        ({"keep_alive": []}, "keep_alive"),
        ({"options": {"temperature": "hot"}}, "options.temperature"),
        ({"options": {"num_predict": 1.5}}, "options.num_predict"),
        ({"options": []}, "options"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str) -> None:
    """A request that is wrong is refused with the path of the field at fault."""
    with pytest.raises(RequestError) as caught:
        read(**fields)

    assert caught.value.param == param
    assert param in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"model": "m", "a": NaN}'])
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    """Bytes that are no JSON object get one plain sentence."""
    with pytest.raises(RequestError):
        ollama.decode_request(content)


def test_a_refusal_never_repeats_the_prompt() -> None:
    """The error of a bad request holds no value of it."""
    with pytest.raises(RequestError) as caught:
        read(messages=[{"role": "user", "content": {"a": "canary-7319"}}])

    assert "canary-7319" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_results_find_their_calls_without_ids() -> None:
    """Calls get ids that stay the same; results answer by name and order, or by id where there is one."""
    calls = [{"function": {"name": name, "arguments": {}}} for name in ("f", "f", "g")]
    results = [
        {"role": "tool", "tool_name": "g", "content": "three"},
        {"role": "tool", "content": "one"},
        {"role": "tool", "tool_name": "f", "content": "two"},
    ]
    messages = [HI, {"role": "assistant", "content": "", "tool_calls": calls}, *results]

    first, again = read(messages=messages), read(messages=messages)
    named = read(
        messages=[
            {"role": "assistant", "tool_calls": [{**calls[0], "id": "x"}, {**calls[1], "id": "y"}]},
            {"role": "tool", "tool_call_id": "y", "content": "two"},
        ]
    )

    ids = [call.id for call in first.messages[1].tool_calls]
    assert first == again
    assert len(set(ids)) == 3
    assert [message.parts[0] for message in first.messages[2:]] == [
        ToolResult(ids[2], (Text("three"),)),
        ToolResult(ids[0], (Text("one"),)),
        ToolResult(ids[1], (Text("two"),)),
    ]
    assert named.messages[1].parts == (ToolResult("y", (Text("two"),)),)


@pytest.mark.parametrize(
    ("think", "effort"), [(True, "medium"), (False, "none"), ("low", "low"), ("max", "max"), (None, None), ("", None)]
)
def test_a_switch_or_a_level_is_an_effort(think: Any, effort: ask.Effort | None) -> None:
    """How much to think is one word, and goes back to Ollama as it was said."""
    request = read(think=think)

    assert request.reasoning_effort == effort
    assert ollama.encode_request(request, CARD).body.get("think") == (None if think == "" else think)


def test_no_limit_is_no_limit() -> None:
    """The negative limits mean that there is none, and an empty format that none is asked for."""
    assert read(options={"num_predict": -1}, format="").sampling.max_output_tokens is None
    assert read(format="").response_format is None
    assert read(format="json").response_format == ask.ResponseFormat("json_object")


def test_a_prompt_is_a_question() -> None:
    """/api/generate is one question of the user, with its system prompt and images."""
    request = generate(
        prompt="look", system="be brief", images=[base64.b64encode(PNG).decode()], suffix="", template="", raw=False
    )

    assert request.messages == (system("be brief"), user("look", Media("image", "image/png", data=PNG)))


@pytest.mark.parametrize("fields", [{"suffix": "x"}, {"template": "x"}, {"context": [1]}, {"raw": True, "system": "x"}])
def test_what_is_about_one_models_prompt_is_refused(fields: dict[str, Any]) -> None:
    """A prompt in a model's own tokens or template means nothing to another model."""
    with pytest.raises(Unsupported) as caught:
        generate(prompt="hi", **fields)

    assert caught.value.param in fields


def test_a_raw_prompt_reaches_only_who_takes_it() -> None:
    """It goes to an Ollama provider as it came; dialects that know messages only refuse it, naming it."""
    request = generate(prompt="<s>once", raw=True, images=[base64.b64encode(PNG).decode()], options={"num_ctx": 9})

    sent = ollama.encode_request(request, ModelCard("m", "ollama"))

    assert sent.path == "/api/generate"
    assert sent.body["prompt"] == "<s>once"
    assert sent.body["images"] == [base64.b64encode(PNG).decode()]
    assert sent.body["raw"] is True
    assert "messages" not in sent.body
    assert sent.warnings == ()
    assert ollama.decode_generate(json.dumps(sent.body).encode()) == replace(request, delivery=ANY)
    for name in wire.FORMATS.keys() - {"ollama"}:
        with pytest.raises(Unsupported) as caught:
            wire.load(name).encode_request(request, ModelCard("m", "lab"))
        assert caught.value.param == "prompt"


def test_an_empty_question_loads_the_model() -> None:
    """Nothing to ask means: load it; and with nothing to wait for: unload it."""
    assert ollama.is_load(read(messages=[]))
    assert ollama.is_load(generate(prompt=""))
    assert ollama.is_load(generate())
    assert not ollama.is_load(read())
    assert ollama.is_unload(generate(keep_alive=0))
    assert ollama.is_unload(read(messages=[], keep_alive="0s"))
    assert not ollama.is_unload(generate(keep_alive="10m"))
    assert not ollama.is_unload(read(keep_alive=0))


def test_same_dialect_is_lossless() -> None:
    """What an Ollama caller says reaches Ollama in the same words."""
    body = {
        "model": "m",
        "messages": [
            {"role": "user", "content": "look", "images": [base64.b64encode(PNG).decode()]},
            {
                "role": "assistant",
                "content": "see",
                "thinking": "hm",
                "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"a": "é"}}}],
            },
            {"role": "tool", "content": "sun", "tool_name": "f", "tool_call_id": "1"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"a": 1}}}],
        "format": {"type": "object"},
        "think": True,
        "keep_alive": 300,
        "options": {"num_ctx": 9, "num_predict": 3, "stop": ["a"], "repeat_penalty": 1.5},
        "new_key": {"a": 1},
        "stream": True,
    }

    encoded = ollama.encode_request(ollama.decode_request(json.dumps(body).encode()), ModelCard("m", "ollama"))

    assert encoded.body == body
    assert encoded.warnings == ()


@pytest.mark.parametrize(
    ("messages", "fields"),
    [
        ((), {"tool_choice": "required"}),
        ((), {"tool_choice": ask.NamedTool("f")}),
        ((), {"sampling": ask.Sampling(n=2)}),
        ((user(Media("image", url="https://example.org/a.png")),), {}),
        ((user(Media("document", "application/pdf", data=b"x")),), {}),
        ((assistant(ToolCall("1", "f", "[]")),), {}),
    ],
)
def test_what_cannot_be_said_here_is_refused(messages: tuple[Message, ...], fields: dict[str, Any]) -> None:
    """Forced calls, several answers, and media that are no image bytes have no form in this dialect."""
    with pytest.raises(RequestError):
        sent(*messages, **fields)


def test_a_tool_that_may_not_be_called_is_not_offered() -> None:
    """The dialect has no choice of tools, and this one needs none."""
    body, warnings = sent(tools=(ask.Tool("f"),), tool_choice="none")

    assert "tools" not in body
    assert warnings == ()


def test_knobs_without_a_place_are_told() -> None:
    """What only tunes is left out with a warning for each."""
    body, warnings = sent(
        Message("user", (Media("image", "image/png", data=b"x", detail="low"), Text("look")), name="me"),
        assistant(ToolCall("1", "f", "{}")),
        Message("tool", (ToolResult("1", (Text("no"),), is_error=True),)),
        sampling=ask.Sampling(logit_bias={"1": 2.0}),
        parallel_tool_calls=False,
        extra={"user": "me"},
    )

    assert sorted(str(warning.param) for warning in warnings) == [
        "logit_bias",
        "messages",
        "messages.detail",
        "messages.is_error",
        "messages.name",
        "parallel_tool_calls",
        "user",
    ]
    assert "user" not in body


def test_state_of_other_dialects_is_told() -> None:
    """A signature has no place here; what was thought has."""
    turn = Message("assistant", (Reasoning("hm", {"anthropic": {"signature": "x"}}), Text("hi")))

    body, warnings = sent(turn)

    assert body["messages"][0] == {"role": "assistant", "content": "hi", "thinking": "hm"}
    assert [warning.code for warning in warnings] == ["opaque_state_dropped"]


@pytest.mark.parametrize(
    ("effort", "think", "told"),
    [("none", False, 0), ("low", "low", 0), ("minimal", "low", 1), ("high", "high", 0), ("xhigh", "high", 1)],
)
def test_effort_is_a_switch_or_a_level(effort: ask.Effort, think: bool | str, told: int) -> None:
    """The nearest level is sent, and told where it is not the same."""
    body, warnings = sent(reasoning_effort=effort)

    assert body["think"] == think
    assert len(warnings) == told


def test_a_model_that_does_not_think_is_not_told_to() -> None:
    """Effort is left out with a warning where the model has none: Ollama would refuse the request."""
    body, warnings = sent(
        reasoning_effort="high", card=ModelCard("m", "ollama", capabilities=Capabilities(reasoning=False))
    )

    assert "think" not in body
    assert [warning.param for warning in warnings] == ["reasoning_effort"]


def test_the_address_and_the_key() -> None:
    """Where a question goes, and the key of those who have one."""
    assert ollama.endpoint(CARD) == "/api/chat"
    assert ollama.models_path() == "/api/tags"
    assert ollama.auth("k") == {"authorization": "Bearer k"}
    assert ollama.auth(None) == {}


TURNS = st.one_of(
    st.builds(lambda text: [user(text)], TEXT),
    st.builds(
        lambda thought, text, id, name: [
            assistant(Reasoning(thought), Text(text), ToolCall(id, name, '{"a": 1}')),
            Message("tool", (ToolResult(id, (Text("sun"),)),)),
        ],
        TEXT,
        TEXT,
        TEXT,
        TEXT,
    ),
)
SAMPLING = st.builds(
    ask.Sampling,
    max_output_tokens=st.none() | st.integers(1, 9),
    temperature=st.none() | st.floats(0, 2),
    top_k=st.none() | st.integers(0, 99),
    min_p=st.none() | st.floats(0, 1),
    stop=st.lists(TEXT, max_size=3).map(tuple),
    seed=st.none() | st.integers(0, 2**31),
    repetition_penalty=st.none() | st.floats(0.1, 2),
    logprobs=st.booleans(),
)
SHAPES = st.sampled_from([None, ask.ResponseFormat("json_object"), ask.ResponseFormat("json_schema", schema={"a": 1})])


@given(st.lists(TURNS, min_size=1, max_size=3), SAMPLING, SHAPES, st.sampled_from([None, "none", "low", "high"]))
def test_what_we_send_is_what_we_understand(
    turns: list[list[Message]],
    sampling: ask.Sampling,
    shape: ask.ResponseFormat | None,
    effort: ask.Effort | None,
) -> None:
    """Encoding a request and decoding it again gives the same request: nothing is lost on the way."""
    messages = (system("be brief"), *(message for turn in turns for message in turn))
    body, warnings = sent(
        *messages, tools=(ask.Tool("f"),), sampling=sampling, response_format=shape, reasoning_effort=effort
    )

    again = ollama.decode_request(json.dumps(body).encode())

    assert warnings == ()
    assert (again.messages, again.sampling, again.tools) == (messages, sampling, (ask.Tool("f"),))
    assert (again.response_format, again.reasoning_effort) == (shape, effort)
