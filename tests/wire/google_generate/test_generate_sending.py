"""Gemini requests that we send: all that a request means, or a word about what is missing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb import request as ask
from osaurus_nb.errors import RequestError
from osaurus_nb.events import Warned
from osaurus_nb.messages import Media, Message, Part, Reasoning, Text, ToolCall, ToolResult, assistant, system, user
from osaurus_nb.models import Capabilities, ModelCard
from osaurus_nb.wire import google_generate as google

CARD = ModelCard("gemini-3-pro", "google")
SUBSET = ModelCard("old", "google", quirks=frozenset({google.SCHEMA_SUBSET}))
SKIP = "skip_thought_signature_validator"
TEXT = st.text(min_size=1, max_size=20)


def sent(*messages: Message, card: ModelCard = CARD, **fields: Any) -> tuple[dict[str, Any], tuple[Warned, ...]]:
    encoded = google.encode_request(ask.ChatRequest("m", messages or (user("hi"),), **fields), card)
    return encoded.body, encoded.warnings


def again(body: dict[str, Any]) -> ask.ChatRequest:
    return google.decode_request(json.dumps(body).encode(), model="m", stream=False)


def params(warnings: tuple[Warned, ...]) -> list[str | None]:
    return [warning.param for warning in warnings]


def test_the_address_and_the_key() -> None:
    """A streamed question goes to the model's own address; the key has a header of its own."""
    assert google.endpoint(CARD) == "/models/gemini-3-pro:streamGenerateContent?alt=sse"
    assert google.endpoint(ModelCard("tunedModels/a b", "google")).startswith("/tunedModels/a%20b:stream")
    assert google.auth("k") == {"x-goog-api-key": "k"}
    assert google.auth(None) == {}
    assert google.models_path().startswith("/models?")


def test_same_dialect_is_lossless() -> None:
    """What a Gemini caller says reaches Gemini in the same words."""
    body = {
        "contents": [
            {"role": "user", "parts": [{"inlineData": {"mimeType": "video/mp4", "data": "aGk="}, "videoMetadata": {}}]},
            {
                "role": "model",
                "parts": [
                    {"text": "hm", "thought": True},
                    {
                        "thoughtSignature": "c2ln",
                        "functionCall": {"id": "1", "name": "f", "args": {"a": "é"}},
                    },
                    {"functionCall": {"id": "2", "name": "f", "args": {}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"id": "1", "name": "f", "response": {"degrees": 20}}},
                    {"functionResponse": {"id": "2", "name": "f", "response": {"output": [1, 2]}, "scheduling": "X"}},
                ],
            },
        ],
        "systemInstruction": {"parts": [{"text": "s"}]},
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "nullable": True}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}, "retrievalConfig": {}},
        "safetySettings": [{"category": "X", "threshold": "OFF"}],
        "labels": {"a": "b"},
        "newKey": True,
        "generationConfig": {
            "mediaResolution": "LOW",
            "topK": 3,
            "responseMimeType": "application/json",
            "responseSchema": {"type": "STRING"},
            "thinkingConfig": {"thinkingBudget": 4321, "includeThoughts": False},
        },
    }

    encoded = google.encode_request(again(body), CARD)

    assert encoded.body == body
    assert encoded.warnings == ()


def test_a_foreign_call_takes_the_vendors_dummy() -> None:
    """Gemini wants a signature on the first of parallel calls; those of other models take the documented dummy."""
    turn = assistant(ToolCall("1", "f", "{}"), ToolCall("2", "g", "{}"))
    other = Message("assistant", (ToolCall("1", "f", "{}", {"anthropic": {"signature": "x"}}),))
    unsigned = ModelCard("gemini-2.5", "google", quirks=frozenset({google.UNSIGNED_CALLS}))

    first, second = sent(turn)[0]["contents"][0]["parts"]
    foreign, warnings = sent(other)
    plain = sent(turn, card=unsigned)[0]["contents"][0]["parts"]

    assert first["thoughtSignature"] == SKIP
    assert "thoughtSignature" not in second
    assert foreign["contents"][0]["parts"][0]["thoughtSignature"] == SKIP
    assert [warning.code for warning in warnings] == ["opaque_state_dropped"]
    assert "thoughtSignature" not in plain[0]


def test_a_signature_goes_back_only_to_the_model_that_made_it() -> None:
    """Another model of the vendor's gets the dummy instead, and a warning."""
    metadata = {"google": {"thoughtSignature": "c2ln", "model": "google/gemini-3-pro"}}
    turn = assistant(ToolCall("1", "f", "{}", metadata))

    same, quiet = sent(turn)
    other, told = sent(turn, card=ModelCard("gemini-4", "google"))

    assert same["contents"][0]["parts"][0]["thoughtSignature"] == "c2ln"
    assert quiet == ()
    assert other["contents"][0]["parts"][0]["thoughtSignature"] == SKIP
    assert [warning.code for warning in told] == ["opaque_state_dropped"]


def test_thinking_of_others_is_left_out_and_told() -> None:
    """Thoughts that another provider signed mean nothing here; unsigned ones are read again."""
    foreign = Message("assistant", (Reasoning("hm", {"anthropic": {"signature": "x"}}), Text("hi")))
    plain = assistant(Reasoning("hm"), Text("hi"))

    body, warnings = sent(foreign)
    kept, quiet = sent(plain)

    assert body["contents"][0]["parts"] == [{"text": "hi"}]
    assert {warning.code for warning in warnings} == {"opaque_state_dropped", "reasoning_dropped"}
    assert kept["contents"][0]["parts"][0] == {"text": "hm", "thought": True}
    assert quiet == ()


def test_results_of_parallel_calls_go_together() -> None:
    """The vendor counts results against calls, so those in a row are one content, each with its function's name."""
    turn = assistant(ToolCall("1", "f", "{}"), ToolCall("2", "g", "{}"))
    results = (
        Message("tool", (ToolResult("1", (Text("sun"), Media("image", "image/png", data=b"hi"))),)),
        Message("tool", (ToolResult("2", (Text("no"),), is_error=True),)),
    )

    body, _ = sent(turn, *results, user("so?"))

    [_, answered, asked] = body["contents"]
    first, second = (part["functionResponse"] for part in answered["parts"])
    assert (first["name"], first["response"]) == ("f", {"output": "sun"})
    assert first["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]
    assert (second["name"], second["response"]) == ("g", {"error": "no"})
    assert asked["parts"] == [{"text": "so?"}]


@pytest.mark.parametrize(
    "messages",
    [
        (Message("tool", (ToolResult("1", (Text("x"),)),)),),
        (assistant(ToolCall("1", "f", '{"a": tru')),),
        (assistant(ToolCall("1", "f", "[]")),),
    ],
)
def test_what_cannot_be_said_here_is_refused(messages: tuple[Message, ...]) -> None:
    """A result without a call and arguments that are no object have no form in this dialect."""
    with pytest.raises(RequestError):
        sent(*messages)


def test_knobs_without_a_place_are_told() -> None:
    """What only tunes is left out with a warning for each, and no strange key reaches the vendor."""
    body, warnings = sent(
        user(Media("image", "image/png", data=b"x", detail="low", filename="a.png")),
        system("late"),
        sampling=ask.Sampling(min_p=0.1, repetition_penalty=1.1, logit_bias={"1": 2.0}),
        parallel_tool_calls=False,
        extra={"user": "me", "prompt_cache_key": "k", "newKey": 1},
    )

    assert sorted(map(str, params(warnings))) == [
        "logit_bias",
        "messages",
        "messages.detail",
        "messages.filename",
        "min_p",
        "parallel_tool_calls",
        "prompt_cache_key",
        "repetition_penalty",
        "user",
    ]
    assert body.keys() == {"newKey", "contents", "systemInstruction"}


@pytest.mark.parametrize(
    ("effort", "quirks", "thinking", "told"),
    [
        ("none", (), {"thinkingBudget": 0}, False),
        ("low", (), {"thinkingLevel": "LOW", "includeThoughts": True}, False),
        ("max", (), {"thinkingLevel": "XHIGH", "includeThoughts": True}, True),
        ("medium", (google.BUDGET_THINKING,), {"thinkingBudget": 8192, "includeThoughts": True}, False),
        ("xhigh", (google.BUDGET_THINKING,), {"thinkingBudget": 24576, "includeThoughts": True}, True),
    ],
)
def test_effort_is_a_level_or_a_budget(
    effort: ask.Effort, quirks: tuple[str, ...], thinking: dict[str, Any], told: bool
) -> None:
    """The model's own way to say how much to think is used; what it cannot say is told."""
    body, warnings = sent(reasoning_effort=effort, card=ModelCard("m", "google", quirks=frozenset(quirks)))

    assert body["generationConfig"]["thinkingConfig"] == thinking
    assert params(warnings) == (["reasoning_effort"] if told else [])


def test_a_model_that_does_not_think_is_not_told_to() -> None:
    """Effort is left out with a warning where the model has none."""
    body, warnings = sent(
        reasoning_effort="high", card=ModelCard("m", "google", capabilities=Capabilities(reasoning=False))
    )

    assert "generationConfig" not in body
    assert params(warnings) == ["reasoning_effort"]


def test_the_subset_writes_references_out_and_tells_what_it_lacks() -> None:
    """For models that take only the vendor's subset, `$ref` is inlined and each keyword left out is told once."""
    schema = {
        "type": "object",
        "$defs": {"City": {"type": "object", "properties": {"name": {"type": "string", "contentEncoding": "x"}}}},
        "properties": {
            "home": {"allOf": [{"$ref": "#/$defs/City"}], "description": "where"},
            "work": {"anyOf": [{"$ref": "#/$defs/City"}, {"type": "null"}]},
            "age": {"type": ["integer", "null"]},
            "kind": {"const": "a"},
            "size": {"enum": [1, 2]},
            "$ref": {"type": "string"},
        },
        "additionalProperties": False,
    }
    city = {"type": "OBJECT", "properties": {"name": {"type": "STRING"}}}

    body, warnings = sent(tools=(ask.Tool("f", parameters=schema),), card=SUBSET)

    assert body["tools"][0]["functionDeclarations"][0]["parameters"] == {
        "type": "OBJECT",
        "properties": {
            "home": {**city, "description": "where"},
            "work": {**city, "nullable": True},
            "age": {"type": "INTEGER", "nullable": True},
            "kind": {"type": "STRING", "enum": ["a"]},
            "size": {},
            "$ref": {"type": "STRING"},
        },
    }
    assert [warning.code for warning in warnings] == ["schema_changed"] * 3
    assert {word for warning in warnings for word in warning.message.split("'")} >= {
        "contentEncoding",
        "enum",
        "additionalProperties",
    }


def test_a_reference_without_end_is_cut() -> None:
    """A schema that holds itself, or that would grow without measure, is written to a bounded size."""
    loop = {"$defs": {"N": {"properties": {"next": {"$ref": "#/$defs/N"}}}}, "properties": {"n": {"$ref": "#/$defs/N"}}}
    bomb: dict[str, Any] = {"$defs": {}, "properties": {"a": {"$ref": "#/$defs/d0"}}}
    for at in range(40):
        inner = {"$ref": f"#/$defs/d{at + 1}"}
        bomb["$defs"][f"d{at}"] = {"properties": {"a": inner, "b": inner}}

    for schema in (loop, bomb):
        body, warnings = sent(tools=(ask.Tool("f", parameters=schema),), card=SUBSET)

        assert len(json.dumps(body)) < 100_000
        assert any("$ref" in warning.message for warning in warnings)


def test_the_whole_of_json_schema_goes_where_it_is_taken() -> None:
    """Models of today take JSON Schema itself, for tools and for answers."""
    schema = {"type": "object", "$defs": {}, "additionalProperties": False}

    body, warnings = sent(
        tools=(ask.Tool("f", "does", schema),),
        response_format=ask.ResponseFormat("json_schema", "n", schema),
    )

    declared = {"name": "f", "description": "does", "parametersJsonSchema": schema}
    assert body["tools"] == [{"functionDeclarations": [declared]}]
    assert body["generationConfig"] == {"responseMimeType": "application/json", "responseJsonSchema": schema}
    assert warnings == ()


KEYWORDS = [
    "type",
    "properties",
    "items",
    "anyOf",
    "oneOf",
    "allOf",
    "$ref",
    "$defs",
    "enum",
    "const",
    "nullable",
    "minItems",
    "required",
    "a",
]
SCHEMAS = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from(["OBJECT", "string", "null", "#/$defs/a", "5"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(KEYWORDS), SCHEMAS, max_size=4))
def test_a_broken_schema_is_no_fault_of_ours(schema: dict[str, Any]) -> None:
    """Whatever a caller calls a schema is turned into something, both ways."""
    tool = ask.Tool("f", parameters={**schema, "properties": {"a": schema}})
    declared = {"functionDeclarations": [{"name": "f", "parameters": schema}]}

    body, _ = sent(tools=(tool,), card=SUBSET)
    request = again({"contents": [{"parts": [{"text": "hi"}]}], "tools": [declared]})

    assert body["tools"][0]["functionDeclarations"][0]["name"] == "f"
    assert isinstance(request.tools[0].parameters, dict)


WORDS: st.SearchStrategy[Part] = st.builds(Text, TEXT)
CALLS: st.SearchStrategy[Part] = st.builds(
    lambda id, name: ToolCall(id, name, '{"a": 1}', {"google": {"thoughtSignature": "c2ln"}}), TEXT, TEXT
)
THOUGHTS: st.SearchStrategy[Part] = st.builds(Reasoning, TEXT)
TURNS = st.one_of(
    st.lists(WORDS, min_size=1, max_size=3).map(lambda parts: [Message("user", tuple(parts))]),
    st.tuples(THOUGHTS, WORDS, CALLS).map(
        lambda parts: [
            Message("assistant", parts),
            Message("tool", (ToolResult(parts[2].id, (Text("sun"),)),)),  # type: ignore[attr-defined]
        ]
    ),
)
SAMPLING = st.builds(
    ask.Sampling,
    max_output_tokens=st.none() | st.integers(1, 9),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    top_k=st.none() | st.integers(0, 99),
    stop=st.lists(TEXT, max_size=3).map(tuple),
    seed=st.none() | st.integers(0, 2**31),
    presence_penalty=st.none() | st.floats(-2, 2),
    n=st.integers(1, 4),
)
CHOICES = st.none() | st.sampled_from(["auto", "none", "required"]) | st.just(ask.NamedTool("f"))
SHAPES = st.sampled_from([None, ask.ResponseFormat("json_object"), ask.ResponseFormat("json_schema", schema={"a": 1})])
EFFORTS = st.sampled_from([None, "none", "minimal", "low", "medium", "high", "xhigh"])


@given(st.lists(TURNS, min_size=1, max_size=3), SAMPLING, CHOICES, SHAPES, EFFORTS)
def test_what_we_send_is_what_we_understand(
    turns: list[list[Message]],
    sampling: ask.Sampling,
    choice: ask.ToolChoice | None,
    shape: ask.ResponseFormat | None,
    effort: ask.Effort | None,
) -> None:
    """Encoding a request and decoding it again gives the same request: nothing is lost on the way."""
    messages = (system("be brief"), *(message for turn in turns for message in turn))
    request = ask.ChatRequest(
        "m",
        messages,
        tools=(ask.Tool("f"),),
        tool_choice=choice,
        response_format=shape,
        sampling=sampling,
        reasoning_effort=effort,
        extra={"newKey": 1},
    )

    encoded = google.encode_request(request, CARD)
    read = again(encoded.body)

    assert encoded.warnings == ()
    assert (read.messages, read.sampling, read.tool_choice) == (messages, sampling, choice)
    assert (read.tools, read.response_format, read.reasoning_effort) == (request.tools, shape, effort)
    assert read.extra == request.extra
