"""What goes out to a provider of Responses, and that what we send we understand."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb import request as ask
from osaurus_nb.errors import Unsupported
from osaurus_nb.messages import Media, Message, Reasoning, Text, ToolCall, ToolResult
from osaurus_nb.models import Capabilities, ModelCard
from osaurus_nb.wire import openai_responses as responses

CARD = ModelCard("m", "lab")


REASONER = ModelCard("gpt-5", "openai", quirks=frozenset({"reasoner"}))


TEXT = st.text(min_size=1, max_size=30)


PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hi", **fields}).encode()


def sent(request: ask.ChatRequest, card: ModelCard = CARD) -> dict[str, Any]:
    return responses.encode_request(request, card).body


def test_media_survive_both_ways() -> None:
    """A data URL becomes bytes and the same data URL again; a web address stays an address."""
    content = [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": PNG, "detail": "low"},
        {"type": "input_image", "image_url": "https://example.org/a.png"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"},
        {"type": "input_file", "file_url": "https://example.org/a.pdf"},
    ]
    items = [{"type": "message", "role": "user", "content": content}]

    request = responses.decode_request(body(input=items))

    assert request.messages[0].parts[1] == Media("image", "image/png", data=b"\x89PNG", detail="low")
    assert sent(request)["input"] == items


def test_tool_turns_survive_both_ways() -> None:
    """Parallel calls are one message of the assistant, their results follow, and all come out as they went in."""
    items = [
        {"type": "message", "role": "user", "content": "weather?"},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": '{"a": 1}'},
        {"type": "function_call", "call_id": "2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "sun"},
        {"type": "function_call_output", "call_id": "2", "output": [{"type": "input_image", "image_url": PNG}]},
    ]

    request = responses.decode_request(body(input=items))

    assert [message.role for message in request.messages] == ["user", "assistant", "tool", "tool"]
    assert request.messages[1].tool_calls == (ToolCall("1", "f", '{"a": 1}'), ToolCall("2", "g", "{}"))
    assert request.messages[2].parts == (ToolResult("1", (Text("sun"),)),)
    assert sent(request)["input"] == items


def test_encrypted_thoughts_go_back_as_they_came() -> None:
    """A reasoning item with its state stands before its call again, with id and summary."""
    items = [
        {"type": "message", "role": "user", "content": "hi"},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "gAAAA",
        },
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
    ]

    request = responses.decode_request(body(input=items))

    assert [type(part) for part in request.messages[1].parts] == [Reasoning, ToolCall]
    assert sent(request)["input"] == items


def test_thoughts_in_full_go_back_in_full() -> None:
    """Open models show their thinking itself; it is sent back under the same name."""
    thought = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "hm"}],
    }

    request = responses.decode_request(body(input=[thought, {"role": "user", "content": "go on"}]))

    assert sent(request)["input"][0] == thought


def test_the_phase_of_a_message_is_kept() -> None:
    """Commentary and final answer stay two messages, each with its label."""
    items = [
        {
            "type": "message",
            "role": "assistant",
            "phase": phase,
            "content": [{"type": "output_text", "text": phase, "annotations": []}],
        }
        for phase in ("commentary", "final_answer")
    ]

    request = responses.decode_request(body(input=items))

    assert [message.text for message in request.messages] == ["commentary", "final_answer"]
    assert sent(request)["input"] == items


def test_a_compaction_of_the_provider_goes_back() -> None:
    """What a provider compacted only it can read: it is carried, and given back."""
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAA"}

    request = responses.decode_request(body(input=[item, {"role": "user", "content": "go on"}]))

    assert sent(request)["input"][0] == item


def test_instructions_go_out_as_instructions() -> None:
    """They are a system message to us, and instructions again to a provider of this dialect."""
    request = responses.decode_request(body(instructions="be brief"))

    encoded = responses.encode_request(request, CARD)

    assert encoded.body["instructions"] == "be brief"
    assert encoded.body["input"] == [{"type": "message", "role": "user", "content": "hi"}]
    assert encoded.warnings == ()


def test_own_knobs_go_back_to_the_own_dialect() -> None:
    """Summary, include, truncation and verbosity reach a provider that speaks Responses as they came."""
    fields = {
        "reasoning": {"effort": "high", "summary": "detailed", "context": "all_turns"},
        "include": ["reasoning.encrypted_content"],
        "truncation": "auto",
        "text": {"verbosity": "low"},
    }

    encoded = responses.encode_request(responses.decode_request(body(**fields)), CARD)

    assert {key: encoded.body[key] for key in fields} == fields
    assert encoded.warnings == ()


def test_a_provider_is_asked_to_store_nothing() -> None:
    """State travels with the request, unless the caller says that the provider shall keep it."""
    assert sent(responses.decode_request(body()))["store"] is False
    assert sent(responses.decode_request(body(store=True)))["store"] is True


@pytest.mark.parametrize(
    ("sampling", "params"),
    [
        (ask.Sampling(seed=1, top_k=2), ["top_k", "seed"]),
        (ask.Sampling(presence_penalty=0.5, logit_bias={"1": 1.0}), ["logit_bias", "presence_penalty"]),
        (ask.Sampling(temperature=0.5, max_output_tokens=20), []),
    ],
)
def test_a_knob_that_is_not_carried_is_told(sampling: ask.Sampling, params: list[str]) -> None:
    """What the vendor's Responses has no words for is left out with a warning that names it."""
    card = ModelCard("gpt-4o", "openai", quirks=frozenset({"few_knobs"}))

    encoded = responses.encode_request(ask.ChatRequest("m", (), sampling=sampling), card)

    assert [warning.param for warning in encoded.warnings] == params
    assert not encoded.body.keys() & set(params)


def test_open_responses_has_penalties() -> None:
    """Whoever else speaks Responses gets them."""
    request = ask.ChatRequest("m", (), sampling=ask.Sampling(presence_penalty=0.5))

    assert sent(request)["presence_penalty"] == 0.5


def test_a_reasoner_takes_no_tuning_and_gives_its_thoughts() -> None:
    """Sampling is left out with a warning while it thinks, and its encrypted thoughts are asked for."""
    request = responses.decode_request(body(temperature=0.1))

    encoded = responses.encode_request(request, REASONER)

    assert "temperature" not in encoded.body
    assert encoded.body["include"] == ["reasoning.encrypted_content"]
    assert [warning.param for warning in encoded.warnings] == ["temperature"]
    assert sent(responses.decode_request(body(temperature=0.1, reasoning={"effort": "none"})), REASONER)["temperature"]


def test_a_model_known_to_think_is_asked_for_its_state() -> None:
    """What discovery knows of a model counts as much as its family."""
    card = ModelCard("m", "lab", capabilities=Capabilities(reasoning=True))

    assert sent(responses.decode_request(body()), card)["include"] == ["reasoning.encrypted_content"]


@pytest.mark.parametrize(
    "request_",
    [
        ask.ChatRequest("m", (), sampling=ask.Sampling(n=2)),
        ask.ChatRequest("m", (Message("user", (Media("audio", "audio/wav", data=b"x"),)),)),
        ask.ChatRequest("m", (Message("user", (Media("video", url="https://example.org/v"),)),)),
        ask.ChatRequest("m", (Message("assistant", (Media("image", data=b"x"),)),)),
        ask.ChatRequest("m", (), extra={"audio": {"voice": "x"}}),
        ask.ChatRequest("m", (), extra={"modalities": ["text", "audio"]}),
    ],
)
def test_a_feature_that_is_not_carried_is_refused(request_: ask.ChatRequest) -> None:
    """Several answers, sound and film are an error before the call, never left out."""
    with pytest.raises(Unsupported):
        responses.encode_request(request_, CARD)


def test_state_of_another_dialect_is_dropped_and_told() -> None:
    """Signed thinking of another provider does not go out, and the caller hears of it."""
    thought = Reasoning("hm", {"anthropic": {"signature": "s"}})
    request = ask.ChatRequest("m", (Message("assistant", (thought, Text("so"))),))

    encoded = responses.encode_request(request, CARD)

    assert [item["type"] for item in encoded.body["input"]] == ["message"]
    assert [warning.code for warning in encoded.warnings] == ["opaque_state_dropped"]


def test_what_a_message_cannot_carry_is_told() -> None:
    """Names of speakers and the mark of a failed tool are left out with a warning."""
    spoken = (
        Message("user", (Text("hi"),), name="ann"),
        Message("tool", (ToolResult("1", (Text("broken"),), is_error=True),)),
    )

    encoded = responses.encode_request(ask.ChatRequest("m", spoken), CARD)

    assert [warning.param for warning in encoded.warnings] == ["is_error", "name"]


MESSAGES = st.lists(
    st.one_of(
        st.builds(
            lambda role, text: Message(role, (Text(text),)), st.sampled_from(["system", "developer", "user"]), TEXT
        ),
        st.builds(lambda text: Message("user", (Text(text), Text("more"), Media("image", "image/png", b"x"))), TEXT),
        st.builds(lambda text, name: Message("assistant", (Text(text), ToolCall("1", name, "{}"))), TEXT, TEXT),
        st.builds(lambda text: Message("tool", (ToolResult("1", (Text(text),)),)), TEXT),
        st.builds(
            lambda text, id: Message(
                "assistant",
                (Reasoning(text, {"openai_responses": {"id": id, "encrypted_content": "x" + id}}), Text(text)),
            ),
            TEXT,
            TEXT,
        ),
    ),
    min_size=1,
    max_size=5,
).map(tuple)


SAMPLING = st.builds(
    ask.Sampling,
    max_output_tokens=st.none() | st.integers(1, 9),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
)


TOOLS = st.lists(st.builds(ask.Tool, TEXT, TEXT, st.just({"type": "object"}), st.booleans()), max_size=2).map(tuple)


@given(MESSAGES, SAMPLING, TOOLS, st.none() | st.sampled_from(["auto", "none"]) | st.builds(ask.NamedTool, TEXT))
def test_what_we_send_is_what_we_understand(
    messages: tuple[Message, ...],
    sampling: ask.Sampling,
    tools: tuple[ask.Tool, ...],
    choice: ask.ToolChoice | None,
) -> None:
    """Encoding a request and decoding it again gives the same conversation: nothing is lost on the way."""
    request = ask.ChatRequest("m", messages, tools, choice, sampling=sampling, extra={"user": "me"})

    again = responses.decode_request(json.dumps(sent(request)).encode())

    assert _turns(again.messages) == _turns(messages)
    assert (again.sampling, again.tools, again.tool_choice) == (sampling, tools, choice)
    assert again.extra == {"user": "me", "store": False}


def _turns(messages: tuple[Message, ...]) -> list[tuple[str, tuple[Any, ...]]]:
    """Items know no borders between what the assistant said in a row."""
    turns: list[tuple[str, tuple[Any, ...]]] = []
    for message in messages:
        if message.role == "assistant" and turns and turns[-1][0] == "assistant":
            turns[-1] = ("assistant", turns[-1][1] + message.parts)
        else:
            turns.append((message.role, message.parts))
    return turns
