"""The golden files are the vendors': their own SDKs, strict where they can be, know every key and read every byte."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import ollama
import openai
import pytest
from anthropic.types.message_create_params import MessageCreateParamsStreaming
from google import genai
from google.genai import errors as google_errors
from google.genai import types as google
from ollama._types import ChatRequest as OllamaRequest
from openai.types import completion_create_params
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming
from pydantic import BaseModel, TypeAdapter

from osaurus_nb import events as ev
from osaurus_nb import wire
from osaurus_nb.messages import Reasoning
from osaurus_nb.models import ModelCard

HERE = Path(__file__).parent
CODECS = {
    "openai_chat": "openai",
    "openai_responses": "openResponses",
    "anthropic_messages": "anthropic",
    "google_generate": "gemini",
    "ollama_chat": "ollama",
}
KINDS = {".json": "application/json", ".sse": "text/event-stream", ".ndjson": "application/x-ndjson"}
#: `serve(file, status)` is the URL of a server that answers everything with this file.
Serve = Callable[..., str]


class Heard(NamedTuple):
    """What of an answer every SDK shows, in one form."""

    text: str
    thinking: str
    calls: list[tuple[str, dict[str, Any]]]
    tokens: tuple[int, int] | None


def content(where: str) -> bytes:
    """The bytes of a file without the comment at its head."""
    body = (HERE / where).read_bytes()
    while body.startswith(b"#"):
        body = body.partition(b"\n")[2]
    return body


@pytest.fixture
def serve(loopback: Callable[..., str]) -> Serve:
    def start(where: str, status: int = 200) -> str:
        body, kind = content(where), KINDS[Path(where).suffix]
        if kind == "application/json":  # as the vendors send it
            body = json.dumps(json.loads(body), ensure_ascii=False).encode()
        return loopback(lambda path, headers, asked: (status, kind, body))

    return start


def ours(where: str) -> Heard:
    """What we read of the same file."""
    decoder = wire.load(CODECS[where.partition("/")[0]]).event_decoder(ModelCard("m", "lab"))
    body = content(where)
    if where.endswith(".json"):
        body = json.dumps(json.loads(body)).encode()
    answer = ev.fold([*decoder.feed(body), *decoder.close()])
    message, usage = answer.choices[0].message, answer.usage
    thinking = "".join(part.text for part in message.parts if isinstance(part, Reasoning))
    calls = [(call.name, json.loads(call.arguments)) for call in message.tool_calls]
    return Heard(answer.text, thinking, calls, (usage.total_input, usage.total_output) if usage else None)


def openai_client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key="k", max_retries=0, _strict_response_validation=True)


def anthropic_client(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key="k", max_retries=0, _strict_response_validation=True)


def google_client(url: str) -> genai.Client:
    return genai.Client(api_key="k", http_options=google.HttpOptions(base_url=url))


def chat(url: str) -> Heard:
    answer = openai_client(url).chat.completions.create(model="m", messages=[])
    message, usage = answer.choices[0].message, answer.usage
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()]
    thinking = (message.model_extra or {})["reasoning_content"]
    return Heard(message.content or "", thinking, calls, usage and (usage.prompt_tokens, usage.completion_tokens))


def chat_stream(url: str) -> Heard:
    text, thinking, calls, tokens = "", "", dict[int, list[str]](), None
    for chunk in openai_client(url).chat.completions.create(model="m", messages=[], stream=True):
        if chunk.usage is not None:
            tokens = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        for delta in (choice.delta for choice in chunk.choices):
            text += delta.content or ""
            thinking += (delta.model_extra or {}).get("reasoning_content", "")
            for call in delta.tool_calls or ():
                assert call.function is not None
                name, arguments = calls.setdefault(call.index, [call.function.name or "", ""])
                calls[call.index] = [name, arguments + (call.function.arguments or "")]
    return Heard(text, thinking, [(name, json.loads(arguments)) for name, arguments in calls.values()], tokens)


def _response(response: Any) -> Heard:
    thoughts = [part.text for item in response.output if item.type == "reasoning" for part in item.summary]
    calls = [(item.name, json.loads(item.arguments)) for item in response.output if item.type == "function_call"]
    usage = response.usage
    return Heard(response.output_text, "\n\n".join(thoughts), calls, (usage.input_tokens, usage.output_tokens))


def responses(url: str) -> Heard:
    return _response(openai_client(url).responses.create(model="m", input="hi"))


def responses_stream(url: str) -> Heard:
    with openai_client(url).responses.stream(model="m", input="hi") as stream:
        return _response(stream.get_final_response())


def _message(message: Any) -> Heard:
    text = "".join(block.text for block in message.content if block.type == "text")
    thinking = "".join(block.thinking for block in message.content if block.type == "thinking")
    calls = [(block.name, block.input) for block in message.content if block.type == "tool_use"]
    usage = message.usage
    given = usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens
    return Heard(text, thinking, calls, (given, usage.output_tokens))


def messages(url: str) -> Heard:
    return _message(anthropic_client(url).messages.create(model="m", max_tokens=9, messages=[]))


def messages_stream(url: str) -> Heard:
    with anthropic_client(url).messages.stream(model="m", max_tokens=9, messages=[]) as stream:
        return _message(stream.get_final_message())


def _generated(chunks: Iterable[google.GenerateContentResponse]) -> Heard:
    text, thinking, calls, tokens = "", "", [], None
    for chunk in chunks:
        for part in chunk.candidates[0].content.parts:
            thinking += part.text or "" if part.thought else ""
            text += part.text or "" if not part.thought else ""
            calls += [(part.function_call.name, part.function_call.args)] if part.function_call else []
        if (usage := chunk.usage_metadata) is not None:
            given = usage.prompt_token_count + usage.tool_use_prompt_token_count
            tokens = (given, usage.candidates_token_count + usage.thoughts_token_count)
    return Heard(text, thinking, calls, tokens)


def generate(url: str) -> Heard:
    with google_client(url) as client:
        return _generated([client.models.generate_content(model="m", contents="hi")])


def generate_stream(url: str) -> Heard:
    with google_client(url) as client:
        return _generated(client.models.generate_content_stream(model="m", contents="hi"))


def _lines(lines: Iterable[ollama.ChatResponse]) -> Heard:
    text, thinking, calls, tokens = "", "", [], None
    for line in lines:
        text += line.message.content or ""
        thinking += line.message.thinking or ""
        calls += [(call.function.name, dict(call.function.arguments)) for call in line.message.tool_calls or ()]
        if line.done:
            tokens = (line.prompt_eval_count, line.eval_count)
    return Heard(text, thinking, calls, tokens)


def ollama_chat(url: str) -> Heard:
    return _lines([ollama.Client(host=url).chat("m", [])])


def ollama_stream(url: str) -> Heard:
    return _lines(ollama.Client(host=url).chat("m", [], stream=True))


@pytest.mark.parametrize(
    ("where", "ask"),
    [
        ("openai_chat/answer.json", chat),
        ("openai_chat/stream.sse", chat_stream),
        ("openai_responses/answer.json", responses),
        ("openai_responses/stream.sse", responses_stream),
        ("anthropic_messages/answer.json", messages),
        ("anthropic_messages/stream.sse", messages_stream),
        ("google_generate/answer.json", generate),
        ("google_generate/stream.sse", generate_stream),
        ("ollama_chat/answer.json", ollama_chat),
        ("ollama_chat/stream.ndjson", ollama_stream),
    ],
)
def test_we_read_what_the_vendors_sdk_reads(where: str, ask: Callable[[str], Heard], serve: Serve) -> None:
    """Text, thinking, calls and token totals are the same to the SDK over loopback and to us."""
    theirs = ask(serve(where))

    assert theirs == ours(where)
    assert theirs.text
    assert theirs.thinking
    assert len(theirs.calls) == 2


def test_the_older_completions_are_read_by_the_sdk(serve: Serve) -> None:
    """In one piece and as a stream they say the same."""
    whole = openai_client(serve("openai_completions/answer.json")).completions.create(model="m", prompt="hi")
    # Not strict: its type has no chunk without a finish, though the vendor sends them (openai 3.51, seen 2026-11).
    client = openai.OpenAI(base_url=serve("openai_completions/stream.sse"), api_key="k")

    chunks = list(client.completions.create(model="m", prompt="hi", stream=True))

    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == whole.choices[0].text
    assert chunks[-1].usage == whole.usage


def _deep(value: Any) -> Any:
    """The checked value, lazily checked iterables inside it included."""
    if isinstance(value, Mapping):
        return {key: _deep(inner) for key, inner in value.items()}
    return value if isinstance(value, str) or not isinstance(value, Iterable) else [_deep(inner) for inner in value]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("openai_chat", chat_create_params.CompletionCreateParamsStreaming),
        ("openai_completions", completion_create_params.CompletionCreateParamsStreaming),
        ("openai_responses", ResponseCreateParamsStreaming),
        ("anthropic_messages", MessageCreateParamsStreaming),
    ],
)
def test_the_sdk_knows_every_key_of_a_request(name: str, kind: Any) -> None:
    """The SDK's own type takes the whole body: it drops keys that it does not know, and none is dropped.

    Sampling is no more among those of Anthropic's, since the newer version of the API refuses it.
    """
    body = json.loads(content(f"{name}/request.json"))
    if name == "anthropic_messages":
        body = {key: value for key, value in body.items() if key not in ("temperature", "top_p", "top_k")}

    assert _deep(TypeAdapter(kind).validate_python(body)) == body


def test_googles_sdk_knows_every_key_of_a_request() -> None:
    """Its types forbid unknown keys; the body is theirs, put together as the REST API has it."""
    body = json.loads(content("google_generate/request.json"))

    taken = [
        *_models(google.Content, [body.pop("systemInstruction"), *body.pop("contents")]),
        *_models(google.Tool, body.pop("tools")),
        *_models(google.ToolConfig, [body.pop("toolConfig")]),
        *_models(google.SafetySetting, body.pop("safetySettings")),
        *_models(google.GenerationConfig, [body.pop("generationConfig")]),
    ]

    assert len(taken) == 10
    assert body.keys() == {"labels"}


def _models(kind: type[BaseModel], bodies: Iterable[Any]) -> Iterator[BaseModel]:
    yield from map(kind.model_validate, bodies)


def test_ollamas_sdk_knows_every_key_of_a_request() -> None:
    """What its type writes is the file, but for the ids of calls, which only the vendor's server knows."""
    body = json.loads(content("ollama_chat/request.json"))
    for call in (call for message in body["messages"] for call in message.get("tool_calls", ())):
        del call["id"]
    for message in body["messages"]:
        message.pop("tool_call_id", None)

    assert json.loads(OllamaRequest.model_validate(body).model_dump_json(exclude_none=True)) == body


def test_the_sdks_raise_their_own_errors(serve: Serve) -> None:
    """Each error body, under the status that belongs to it, is the error that the vendor means."""
    with pytest.raises(openai.RateLimitError) as limited:
        chat(serve("openai_chat/error.json", 429))
    with pytest.raises(openai.BadRequestError) as bad:
        responses(serve("openai_responses/error.json", 400))
    with pytest.raises(anthropic.APIStatusError) as busy:
        messages(serve("anthropic_messages/error.json", 529))
    with pytest.raises(google_errors.ServerError) as unavailable:
        generate(serve("google_generate/error.json", 503))
    with pytest.raises(ollama.ResponseError, match="not found") as missing:
        ollama_chat(serve("ollama_chat/error.json", 404))

    assert (limited.value.code, bad.value.param) == ("rate_limit_exceeded", "top_p")
    assert (busy.value.type, busy.value.status_code) == ("overloaded_error", 529)
    assert unavailable.value.status == "UNAVAILABLE"
    assert missing.value.status_code == 404


@pytest.mark.parametrize(
    ("where", "ask", "error"),
    [
        # The SDK raises its own error only where `error` nests one; from the flat event it misses the end.
        ("openai_responses/error.sse", responses_stream, RuntimeError),
        ("anthropic_messages/error.sse", messages_stream, anthropic.APIError),
        ("google_generate/error.sse", generate_stream, google_errors.APIError),
        ("ollama_chat/error.ndjson", ollama_stream, ollama.ResponseError),
    ],
)
def test_the_sdks_raise_late_errors(
    where: str, ask: Callable[[str], Heard], error: type[Exception], serve: Serve
) -> None:
    """An error inside a stream is written as each SDK looks for it."""
    with pytest.raises(error):
        ask(serve(where))


def test_the_sdks_read_the_lists(serve: Serve) -> None:
    """Every row of every list has a name, and the SDK finds it."""
    with google_client(serve("google_generate/models.json")) as gemini:
        of_google = [model.name for model in gemini.models.list()]
    listed = {
        "openai": [model.id for model in openai_client(serve("openai_chat/models.json")).models.list()],
        "anthropic": [model.id for model in anthropic_client(serve("anthropic_messages/models.json")).models.list()],
        "google": of_google,
        "ollama": [model.model for model in ollama.Client(host=serve("ollama_chat/models.json")).list().models],
    }

    assert listed == {
        "openai": ["fern-2-0101", "moss-embed-1"],
        "anthropic": ["heather-5-0101", "ling-1"],
        "google": ["models/ivy-3-0101", "models/moss-embed-1"],
        "ollama": ["bracken:8b", "moss-embed:latest"],
    }
