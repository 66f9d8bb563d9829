"""The vendor's own SDK asks over loopback what we decode, and reads what we encode."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from osaurus_nb import events as ev
from osaurus_nb import request as ask
from osaurus_nb.errors import AccessDenied, ModelNotFound, OsaurusError, RateLimited, RequestError
from osaurus_nb.messages import Media, Message, Reasoning, Text, ToolCall, ToolResult
from osaurus_nb.models import Capabilities, ModelCard, Usage
from osaurus_nb.wire import google_generate as google

genai = pytest.importorskip("google.genai")
types = pytest.importorskip("google.genai.types")
faults = pytest.importorskip("google.genai.errors")

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}
ANSWER: tuple[ev.Event, ...] = (
    ev.Started("lab", "real"),
    ev.ReasoningDelta("hm"),
    ev.PartEnded(0, provider_metadata={"anthropic": {"signature": "s"}}),
    ev.TextDelta("Hel", 1),
    ev.TextDelta("lo\u2028", 1),
    ev.PartEnded(1),
    ev.UsageReported(Usage(5, 3, 1, 0, 4)),
    ev.Finished("stop"),
)
CALLS: tuple[ev.Event, ...] = (
    ev.Started("lab", "real"),
    ev.ToolCallStarted("a", "add", 0),
    ev.ToolCallDelta('{"x"', 0),
    ev.ToolCallDelta(": 1}", 0),
    ev.PartEnded(0, provider_metadata={"google": {"thoughtSignature": "c2ln"}}),
    ev.ToolCallStarted("b", "add", 1),
    ev.PartEnded(1),
    ev.Finished("tool_calls"),
)


class Endpoint:
    """A server of the dialect that answers with the events it was given, or refuses with an error."""

    def __init__(self) -> None:
        self.events: Sequence[ev.Event] = ANSWER
        self.error: OsaurusError | None = None
        self.asked: list[ask.ChatRequest] = []

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str, bytes]:
        try:
            if self.error is not None:
                raise self.error
            said = self._answer(path.partition("?")[0].partition("/models")[2], body)
            return 200, "text/event-stream" if "streamGenerate" in path else "application/json", said
        except OsaurusError as error:
            return error.status, "application/json", json.dumps(google.encode_error(error)).encode()

    def _answer(self, path: str, body: bytes) -> bytes:
        if not path:
            page = google.encode_models([ModelCard("m", "lab", context_length=9)])
            return json.dumps(page).encode()
        model, _, verb = path.removeprefix("/").rpartition(":")
        match verb:
            case "countTokens":
                self.asked.append(google.decode_count(body, model=model))
                return json.dumps(google.encode_token_count(7)).encode()
            case "batchEmbedContents":
                return json.dumps(google.encode_embeddings([[0.5, 1.0]])).encode()
            case "streamGenerateContent" | "generateContent":
                return self._generated(body, model, stream=verb == "streamGenerateContent")
        return json.dumps(google.encode_model(ModelCard("m", "lab"))).encode()

    def _generated(self, body: bytes, model: str, *, stream: bool) -> bytes:
        self.asked.append(google.decode_request(body, model=model, stream=stream))
        encoder = google.event_encoder(self.asked[-1], id="x", created=1)
        if not stream:
            return json.dumps(encoder.body(ev.fold(self.events))).encode()
        silence = google.PING
        return b"".join(silence + encoder.encode(event) for event in self.events) + encoder.close()


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def client(endpoint: Endpoint, loopback: Any) -> Any:
    return genai.Client(api_key="k", http_options=types.HttpOptions(base_url=loopback(endpoint.answer)))


def tools() -> list[Any]:
    declared = types.FunctionDeclaration(name="add", description="adds", parameters_json_schema=SCHEMA)
    return [types.Tool(function_declarations=[declared])]


def test_what_the_sdk_asks_we_understand(endpoint: Endpoint, client: Any) -> None:
    """Every field that the SDK sends finds its place, and the answer in one piece is read."""
    answer = client.models.generate_content(
        model="lab/m:7b",
        contents=["Look", types.Part.from_bytes(data=bytes(range(248, 256)), mime_type="image/png")],
        config=types.GenerateContentConfig(
            system_instruction="be brief",
            temperature=0.5,
            top_k=4,
            max_output_tokens=9,
            stop_sequences=["END"],
            tools=tools(),
            tool_config=types.ToolConfig(
                function_calling_config=types.FunctionCallingConfig(mode="ANY", allowed_function_names=["add"])
            ),
            thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_level="LOW"),
            response_mime_type="application/json",
            response_json_schema=SCHEMA,
            safety_settings=[types.SafetySetting(category="HARM_CATEGORY_HARASSMENT", threshold="OFF")],
        ),
    )

    [request] = endpoint.asked
    assert request.model == "lab/m:7b"
    assert request.messages == (
        Message("system", (Text("be brief"),)),
        Message("user", (Text("Look"), Media("image", "image/png", data=bytes(range(248, 256))))),
    )
    assert request.sampling == ask.Sampling(max_output_tokens=9, temperature=0.5, top_k=4, stop=("END",))
    assert request.tools == (ask.Tool("add", "adds", SCHEMA),)
    assert request.tool_choice == ask.NamedTool("add")
    assert request.response_format == ask.ResponseFormat("json_schema", schema=SCHEMA)
    assert request.reasoning_effort == "low"
    assert request.extra == {}
    assert answer.text == "Hello\u2028"
    assert answer.candidates[0].finish_reason == "STOP"
    assert [part.text for part in answer.candidates[0].content.parts if part.thought] == ["hm"]
    assert (answer.usage_metadata.prompt_token_count, answer.usage_metadata.thoughts_token_count) == (6, 4)
    assert (answer.response_id, answer.model_version) == ("x", "lab/m:7b")


def test_the_sdk_reads_our_stream(endpoint: Endpoint, client: Any) -> None:
    """Words, the finish and the counts come through, silences and line separators included."""
    chunks = list(client.models.generate_content_stream(model="m", contents="hi"))

    assert "".join(chunk.text or "" for chunk in chunks) == "Hello\u2028"
    assert chunks[-1].candidates[0].finish_reason == "STOP"
    assert chunks[-1].usage_metadata.total_token_count == 13
    assert endpoint.asked[0].delivery.stream


def test_a_conversation_keeps_what_it_was_signed_with(endpoint: Endpoint, client: Any) -> None:
    """The SDK gives back, with the next question, thoughts that another provider signed."""
    thinking = types.ThinkingConfig(include_thoughts=True)
    chat = client.chats.create(model="m", config=types.GenerateContentConfig(thinking_config=thinking))

    list(chat.send_message_stream("hi"))
    chat.send_message("and now?")

    assert endpoint.asked[1].messages[1] == Message(
        "assistant", (Reasoning("hm", {"anthropic": {"signature": "s"}}), Text("Hello\u2028"))
    )


@pytest.mark.parametrize("stream", [False, True])
def test_tools_go_round(endpoint: Endpoint, client: Any, stream: bool) -> None:
    """Parallel calls arrive whole, with ids and signatures; their results find them."""
    endpoint.events = CALLS
    config = types.GenerateContentConfig(tools=tools())
    if stream:
        chunks = list(client.models.generate_content_stream(model="m", contents="1+1", config=config))
        parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or ()]
    else:
        parts = client.models.generate_content(model="m", contents="1+1", config=config).candidates[0].content.parts
    calls = [part.function_call for part in parts if part.function_call]
    results = [types.Part.from_function_response(name=call.name, response={"output": "2"}) for call in calls]
    for part, call in zip(results, calls, strict=True):
        part.function_response.id = call.id

    endpoint.events = ANSWER
    said = [types.UserContent("1+1"), types.ModelContent(parts), types.UserContent(results)]
    client.models.generate_content(model="m", contents=said, config=config)

    signed = {"google": {"thoughtSignature": "c2ln"}}
    assert [(call.id, call.name, call.args) for call in calls] == [("a", "add", {"x": 1}), ("b", "add", {})]
    assert endpoint.asked[-1].messages[1:] == (
        Message("assistant", (ToolCall("a", "add", '{"x": 1}', signed), ToolCall("b", "add", "{}"))),
        Message("tool", (ToolResult("a", (Text("2"),)),)),
        Message("tool", (ToolResult("b", (Text("2"),)),)),
    )


def test_a_schema_of_the_sdk_is_read(endpoint: Endpoint, client: Any) -> None:
    """A response schema in the vendor's own spelling is understood as JSON Schema."""
    schema = types.Schema(type="OBJECT", properties={"x": types.Schema(type="INTEGER", nullable=True)}, required=["x"])
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=schema)

    client.models.generate_content(model="m", contents="hi", config=config)

    shape = endpoint.asked[0].response_format
    assert shape is not None
    assert shape.schema == {"type": "object", "properties": {"x": {"type": ["integer", "null"]}}, "required": ["x"]}


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (RequestError("no"), 400, "INVALID_ARGUMENT"),
        (AccessDenied("no"), 401, "UNAUTHENTICATED"),
        (ModelNotFound("no"), 404, "NOT_FOUND"),
        (RateLimited("no", provider="lab"), 429, "RESOURCE_EXHAUSTED"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_our_errors_are_the_sdks(
    endpoint: Endpoint, client: Any, error: OsaurusError, code: int, status: str, stream: bool
) -> None:
    """An error arrives as the SDK's own, with its code, status and message."""
    endpoint.error = error

    asked = client.models.generate_content_stream if stream else client.models.generate_content
    with pytest.raises(faults.ClientError) as caught:
        list(asked(model="m", contents="hi"))

    assert (caught.value.code, caught.value.status, caught.value.message) == (code, status, "no")


def test_a_late_error_reaches_the_caller(endpoint: Endpoint, client: Any) -> None:
    """A failure after the first word raises in the SDK; it is no silent end."""
    endpoint.events = [*ANSWER[:4], ev.Failed(RateLimited("too many", provider="lab"))]
    heard: list[Any] = []
    chunks = client.models.generate_content_stream(model="m", contents="hi")

    with pytest.raises(faults.APIError, match="too many"):
        heard.extend(chunk.text for chunk in chunks)

    assert "Hel" in heard


def test_models_counts_and_vectors_are_read(endpoint: Endpoint, client: Any) -> None:
    """The other answers of the dialect, as the SDK asks for them."""
    listed = list(client.models.list())

    assert [(model.name, model.input_token_limit) for model in listed] == [("models/lab/m", 9)]
    assert client.models.get(model="lab/m").name == "models/lab/m"
    assert client.models.count_tokens(model="m", contents="hi").total_tokens == 7
    assert client.models.embed_content(model="m", contents="hi").embeddings[0].values == [0.5, 1.0]
    assert endpoint.asked[0].messages == (Message("user", (Text("hi"),)),)


def test_what_we_send_the_sdk_would_send() -> None:
    """A request of ours holds only keys that the vendor's own types know."""
    request = ask.ChatRequest(
        "m",
        (
            Message("system", (Text("s"),)),
            Message("user", (Text("hi"), Media("image", "image/png", data=b"x"))),
            Message("assistant", (Reasoning("hm"), ToolCall("a", "add", "{}"))),
            Message("tool", (ToolResult("a", (Text("2"),)),)),
        ),
        tools=(ask.Tool("add", "adds", SCHEMA),),
        tool_choice="required",
        response_format=ask.ResponseFormat("json_schema", schema=SCHEMA),
        sampling=ask.Sampling(max_output_tokens=1, temperature=1, top_k=3, stop=("a",), seed=1, n=2, logprobs=True),
        reasoning_effort="high",
    )

    body = google.encode_request(request, ModelCard("m", "google", capabilities=Capabilities(reasoning=True))).body

    for content in (*body["contents"], body["systemInstruction"]):
        types.Content.model_validate(content)  # refuses keys that it does not know
    types.GenerationConfig.model_validate(body["generationConfig"])
    types.ToolConfig.model_validate(body["toolConfig"])
    types.Tool.model_validate(body["tools"][0])
