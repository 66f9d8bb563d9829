"""Gemini requests: what a caller sends is understood, or refused by the name of the field."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from osaurus_nb import request as ask
from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.messages import Media, Message, Reasoning, Text, ToolCall, ToolResult
from osaurus_nb.wire import google_generate as google

HI = {"role": "user", "parts": [{"text": "hi"}]}


def read(**fields: Any) -> ask.ChatRequest:
    return google.decode_request(json.dumps({"contents": [HI], **fields}).encode(), model="m", stream=False)


def config(**fields: Any) -> ask.ChatRequest:
    return read(generationConfig=fields)


def test_every_field_finds_its_place() -> None:
    """A full request is read into neutral fields, and what we do not know is kept aside."""
    request = read(
        systemInstruction={"parts": [{"text": "be brief"}]},
        generationConfig={
            "maxOutputTokens": 7,
            "temperature": 0.5,
            "topP": 0.9,
            "topK": 40.0,
            "stopSequences": ["a"],
            "seed": 1,
            "presencePenalty": 0.1,
            "frequencyPenalty": 0.2,
            "candidateCount": 2,
            "responseLogprobs": True,
            "logprobs": 3,
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object"},
            "thinkingConfig": {"thinkingLevel": "LOW"},
        },
        tools=[{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}],
        toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        somethingNew=1,
        fallbacks=["other"],
        deadline_ms=1500,
        strict_params=True,
    )

    assert request.messages == (Message("system", (Text("be brief"),)), Message("user", (Text("hi"),)))
    assert request.sampling == ask.Sampling(
        max_output_tokens=7,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop=("a",),
        seed=1,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        logprobs=True,
        top_logprobs=3,
        n=2,
    )
    assert request.response_format == ask.ResponseFormat("json_schema", schema={"type": "object"})
    assert request.reasoning_effort == "low"
    assert request.tool_choice == ask.NamedTool("f")
    assert request.route == ask.RouteOptions(fallbacks=("other",), deadline=1.5, strict_params=True)
    assert request.extra == {"somethingNew": 1}


def test_the_address_says_which_model_and_how() -> None:
    """The model and the streaming come from the URL; a `models/` before the name is no part of it."""
    body = json.dumps({"model": "models/other", "contents": [HI]}).encode()

    request = google.decode_request(body, model="models/llama3.2:latest", stream=True)

    assert request.model == "llama3.2:latest"
    assert request.delivery == ask.Delivery(stream=True, include_usage=True)


def test_snake_case_means_the_same() -> None:
    """Keys in snake_case are read as the vendor's servers read them."""
    camel = read(
        systemInstruction={"parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]},
        generationConfig={"maxOutputTokens": 3, "thinkingConfig": {"thinkingBudget": 0}},
    )

    snake = read(
        system_instruction={"parts": [{"inline_data": {"mime_type": "image/png", "data": "aGk="}}]},
        generation_config={"max_output_tokens": 3, "thinking_config": {"thinking_budget": 0}},
    )

    assert snake == camel
    assert snake.reasoning_effort == "none"


def test_null_means_absent() -> None:
    """A null is read as if the key were missing."""
    assert read(tools=None, generationConfig=None, toolConfig=None, systemInstruction=None) == read()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"contents": []}, "contents"),
        ({"contents": "hi"}, "contents"),
        ({"contents": [{"role": "wizard", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"role": "user", "parts": []}]}, "contents[0].parts"),
        ({"contents": [{"role": "user", "parts": [{}]}]}, "contents[0].parts[0]"),
        ({"contents": [{"role": "user", "parts": [{"text": 3}]}]}, "contents[0].parts[0].text"),
        ({"contents": [{"parts": [{"text": "a", "fileData": {"fileUri": "http://a"}}]}]}, "contents[0].parts[0]"),
        ({"contents": [{"parts": [{"inlineData": {"data": "?"}}]}]}, "contents[0].parts[0].inlineData.data"),
        ({"contents": [{"parts": [{"fileData": {"fileUri": "gs://a"}}]}]}, "contents[0].parts[0].fileData.fileUri"),
        ({"contents": [{"parts": [{"functionCall": {"name": "f"}}]}]}, "contents[0].parts[0]"),
        ({"contents": [{"parts": [{"functionResponse": {"name": "f"}}]}]}, "contents[0].parts[0].functionResponse"),
        ({"contents": [{"parts": [{"functionResponse": {}}]}]}, "contents[0].parts[0].functionResponse.name"),
        ({"contents": [{"role": "model", "parts": [{"executableCode": {}}]}]}, "contents[0].parts[0]"),
        ({"generationConfig": {"temperature": "hot"}}, "generationConfig.temperature"),
        ({"generationConfig": {"maxOutputTokens": 0}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"responseMimeType": "text/x.enum"}}, "generationConfig.responseMimeType"),
        ({"generationConfig": {"responseModalities": ["IMAGE"]}}, "generationConfig.responseModalities"),
        ({"tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
        ({"tools": [{"googleSearch": {}}]}, "tools[0].googleSearch"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}, "toolConfig.functionCallingConfig.mode"),
        (
            {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}},
            "toolConfig.functionCallingConfig.allowedFunctionNames",
        ),
        ({"cachedContent": "cachedContents/1"}, "cachedContent"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str) -> None:
    """A request that is wrong is refused with the path of the field at fault."""
    with pytest.raises(RequestError) as caught:
        read(**fields)

    assert caught.value.param == param
    assert param in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"contents": NaN}'])
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    """Bytes that are no JSON object get one plain sentence."""
    with pytest.raises(RequestError):
        google.decode_request(content, model="m", stream=False)


def test_a_refusal_never_repeats_the_prompt() -> None:
    """The error of a bad request holds no value of it."""
    with pytest.raises(RequestError) as caught:
        read(contents=[{"role": "user", "parts": [{"text": {"a": "canary-7319"}}]}])

    assert "canary-7319" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_media_are_bytes_or_an_address() -> None:
    """Bytes come in either alphabet of base64; the media type says which kind they are."""
    data = bytes(range(248, 256))
    parts = [
        {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(data).decode()}},
        {"inlineData": {"mimeType": "audio/wav", "data": base64.urlsafe_b64encode(data).decode()}},
        {"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.org/a.pdf"}},
    ]

    request = read(contents=[{"role": "user", "parts": parts}])

    assert request.messages[0].parts == (
        Media("image", "image/png", data=data),
        Media("audio", "audio/wav", data=data),
        Media("document", "application/pdf", url="https://example.org/a.pdf"),
    )


def test_what_the_model_said_in_pieces_is_one_message() -> None:
    """The vendor's SDK keeps each chunk of a stream as a content; thoughts and text become whole again."""
    pieces: list[dict[str, Any]] = [
        {"text": "let me", "thought": True},
        {"text": " see", "thought": True},
        {"text": "Hel"},
        {"text": "lo"},
        {"text": "", "thoughtSignature": "c2ln"},
        {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}},
    ]
    said = [{"role": "model", "parts": [piece]} for piece in pieces]

    request = read(contents=[HI, *said, {"role": "model"}])

    assert request.messages[1].parts == (
        Reasoning("let me see"),
        Text("Hello"),
        Text("", {"google": {"thoughtSignature": "c2ln"}}),
        ToolCall("1", "f", '{"a": 1}'),
    )


def test_results_without_ids_find_their_calls() -> None:
    """Older clients name only the function: results answer its calls in order."""
    calls = [{"functionCall": {"name": name, "args": {}}} for name in ("f", "f", "g")]
    results = [
        {"functionResponse": {"name": "g", "response": {"output": "three"}}},
        {"functionResponse": {"name": "f", "response": {"output": "one"}}},
        {"functionResponse": {"name": "f", "response": {"error": "two"}}},
    ]

    request = read(contents=[HI, {"role": "model", "parts": calls}, {"role": "user", "parts": results}])

    first, second, third = (call.id for call in request.messages[1].tool_calls)
    assert len({first, second, third}) == 3
    assert [message.parts[0] for message in request.messages[2:]] == [
        ToolResult(third, (Text("three"),)),
        ToolResult(first, (Text("one"),)),
        ToolResult(second, (Text("two"),), is_error=True),
    ]


def test_a_result_that_is_an_object_is_its_json() -> None:
    """A response without the vendor's own keys is what the function answered."""
    call = {"functionCall": {"id": "1", "name": "f"}}
    answer = {"functionResponse": {"id": "1", "name": "f", "response": {"degrees": 20, "sky": "blue"}}}

    request = read(contents=[HI, {"role": "model", "parts": [call]}, {"role": "tool", "parts": [answer]}])

    [result] = request.messages[2].parts
    assert isinstance(result, ToolResult)
    assert json.loads(result.text) == {"degrees": 20, "sky": "blue"}


@pytest.mark.parametrize(
    ("calling", "choice", "offered"),
    [
        ({"mode": "AUTO"}, "auto", ["f", "g", "h"]),
        ({"mode": "NONE"}, "none", ["f", "g", "h"]),
        ({"mode": "ANY"}, "required", ["f", "g", "h"]),
        ({"mode": "ANY", "allowedFunctionNames": ["g"]}, ask.NamedTool("g"), ["f", "g", "h"]),
        ({"mode": "ANY", "allowedFunctionNames": ["f", "h"]}, "required", ["f", "h"]),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["f", "h"]}, "auto", ["f", "h"]),
        ({"mode": "MODE_UNSPECIFIED"}, None, ["f", "g", "h"]),
    ],
)
def test_a_choice_among_tools_is_kept(calling: dict[str, Any], choice: Any, offered: list[str]) -> None:
    """Where several functions are allowed, the others are not offered: no dialect has another way to say it."""
    request = read(
        tools=[{"functionDeclarations": [{"name": name} for name in "fgh"]}],
        toolConfig={"functionCallingConfig": calling},
    )

    assert request.tool_choice == choice
    assert [tool.name for tool in request.tools] == offered


def test_the_vendors_schemas_become_json_schema() -> None:
    """Upper-case types, counts as strings and `nullable` are read as what they mean."""
    schema = {
        "type": "OBJECT",
        "properties": {
            "type": {"type": "STRING", "nullable": True},
            "many": {"type": "ARRAY", "minItems": "2", "items": {"type": "INTEGER"}},
        },
    }

    tool = read(tools=[{"functionDeclarations": [{"name": "f", "parameters": schema}]}]).tools[0]
    shape = config(responseMimeType="application/json", responseSchema=schema).response_format

    assert tool.parameters == {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"]},
            "many": {"type": "array", "minItems": 2, "items": {"type": "integer"}},
        },
    }
    assert shape is not None
    assert shape.schema == tool.parameters


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [
        ({"thinkingBudget": 0}, "none"),
        ({"thinkingBudget": -1}, None),
        ({"thinkingBudget": 1}, "minimal"),
        ({"thinkingBudget": 1024}, "low"),
        ({"thinkingBudget": 10000}, "medium"),
        ({"thinkingBudget": 32768}, "high"),
        ({"thinkingLevel": "minimal"}, "minimal"),
        ({"thinkingLevel": "XHIGH"}, "xhigh"),
        ({"includeThoughts": True}, None),
    ],
)
def test_levels_and_budgets_are_efforts(thinking: dict[str, Any], effort: ask.Effort | None) -> None:
    """How much to think is one word, however it was said."""
    assert config(thinkingConfig=thinking).reasoning_effort == effort


def test_what_only_google_understands_is_kept_for_google() -> None:
    """Safety settings and their like are state of this dialect, not keys for every provider."""
    request = read(safetySettings=[{"category": "X", "threshold": "OFF"}], generationConfig={"mediaResolution": "LOW"})

    assert request.extra == {}
    assert request.provider_metadata == {
        "google": {
            "safetySettings": [{"category": "X", "threshold": "OFF"}],
            "generationConfig": {"mediaResolution": "LOW"},
        }
    }


def test_counting_takes_contents_or_a_whole_request() -> None:
    """countTokens is asked in two ways."""
    whole = {"model": "models/m", "contents": [HI], "systemInstruction": {"parts": [{"text": "s"}]}}

    alone = google.decode_count(json.dumps({"contents": [HI]}).encode(), model="models/m")
    wrapped = google.decode_count(json.dumps({"generateContentRequest": whole}).encode(), model="m")

    assert alone.messages == (Message("user", (Text("hi"),)),)
    assert [message.role for message in wrapped.messages] == ["system", "user"]
    with pytest.raises(RequestError):
        google.decode_count(b"{}", model="m")


def test_a_tool_that_google_runs_is_refused_as_a_feature() -> None:
    """A search that only one vendor runs is no tool for the others: it is told before the call."""
    with pytest.raises(Unsupported):
        read(tools=[{"functionDeclarations": [{"name": "f"}], "googleSearch": {}}])
