"""An answer without a visible word is told in every dialect, whole and streamed, also where it is relayed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from anthropic import Anthropic
from openai import OpenAI

from osaurus_nb.assembly import embedded
from osaurus_nb.client import Client
from osaurus_nb.config.billing import BillingFile
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.events import Finished, PartEnded, ReasoningDelta, TextDelta, ToolCallDelta, ToolCallStarted
from osaurus_nb.models import Price
from osaurus_nb.testing.scripted import Script, ScriptedAdapter

HI = [{"role": "user", "content": "hi"}]
THOUGHT: Script = [ReasoningDelta("I think and think."), PartEnded(), Finished("length")]
CALL: Script = [ToolCallStarted("c1", "look"), ToolCallDelta("{}"), PartEnded(), Finished("tool_calls")]
MODELS: dict[str, tuple[Script, str | None]] = {
    "thinks": (THOUGHT, "reasoning used up the token limit; raise max_tokens"),
    "cut": ([Finished("length")], "the token limit was used up before a word; raise max_tokens"),
    "filtered": ([Finished("content_filter")], "the provider's filter withheld it"),
    "mute": ([Finished("stop")], "it stopped at once"),
    "blank": ([TextDelta(" \n"), PartEnded(), Finished("stop")], "it stopped at once"),
    "calls": (CALL, None),
}


class Ask(NamedTuple):
    """How a question is put in one dialect; `{}` is the model."""

    path: str
    body: dict[str, Any]
    stream_path: str = ""


DIALECTS = {
    "chat": Ask("/v1/chat/completions", {"model": "{}", "messages": HI}),
    "completions": Ask("/v1/completions", {"model": "{}", "prompt": "hi"}),
    "responses": Ask("/v1/responses", {"model": "{}", "input": "hi", "store": False}),
    "anthropic": Ask("/v1/messages", {"model": "{}", "max_tokens": 9, "messages": HI}),
    "google": Ask(
        "/v1beta/models/{}:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
        "/v1beta/models/{}:streamGenerateContent?alt=sse",
    ),
    "ollama": Ask("/api/chat", {"model": "{}", "messages": HI}),
}


@pytest.fixture
def adapter() -> ScriptedAdapter:
    return ScriptedAdapter({name: [script] for name, (script, _) in MODELS.items()})


def ask(server: Any, how: Ask, model: str, *, stream: bool, **more: str) -> Any:
    path = (how.stream_path if stream else "") or how.path
    body = {**how.body, **({"model": model} if "model" in how.body else {})}
    flag = {} if how.stream_path else {"stream": stream}
    headers = {"anthropic-version": "2023-06-01", **more}  # without it Anthropic's dialect is not relayed
    return server.ask("POST", path.format(model), json_body={**body, **flag}, headers=headers)


def notices(body: bytes) -> list[str]:
    """The sentences of all notices of this kind, wherever they stand in an answer or in its stream."""
    lines = [line.removeprefix(b"data: ") for line in body.split(b"\n")]
    return [said for line in lines if line.startswith(b"{") for said in _said(json.loads(line))]


def _said(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for row in (value.get("osaurus") or {}).get("warnings", ()):
            if row["code"] == "empty_answer":
                yield row["message"]
        for key in value.keys() - {"osaurus"}:
            yield from _said(value[key])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize("model", MODELS)
def test_every_dialect_says_that_nothing_came_and_why(server, how, model, stream):
    """Once, under the key `osaurus`; a tool call alone is an answer and has no notice."""
    answer = ask(server, how, model, stream=stream)

    why = MODELS[model][1]
    assert answer.status == 200 or (model == "calls" and how is DIALECTS["completions"])  # which has no tools
    assert notices(answer.body) == ([f"The model returned no visible text: {why}."] if why else [])


def test_a_kernel_is_told_what_the_server_knows(server):
    """In connected mode the reply has the same word and the same sentence."""
    with Client(url=server.url, key=server.key) as client:
        nothing, blank = client.chat("hi", model="thinks"), client.chat("hi", model="blank")

    assert (nothing.empty, blank.empty) == ("reasoning", "stop")
    assert [warning.code for warning in nothing.warnings] == ["empty_answer"]
    assert nothing.notices == (
        "The model returned no visible text: reasoning used up the token limit; raise max_tokens.",
    )


class Provider(ThreadingHTTPServer):
    """Answers every question with `answer`, after so many seconds."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.form, self.after = b"", "application/json", 0.0


class _Handler(BaseHTTPRequestHandler):
    server: Provider
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send(404, b"{}", "application/json")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        time.sleep(self.server.after)
        self._send(200, self.server.answer, self.server.form)

    def _send(self, status: int, body: bytes, form: str) -> None:
        self.send_response(status)
        self.send_header("content-type", form)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


class Case(NamedTuple):
    """A provider's answer that is nothing, whole and as a stream; `thought` is an event of it that thinks first."""

    base: str
    ask: Ask
    whole: dict[str, Any]
    first: tuple[dict[str, Any], ...]
    thought: tuple[dict[str, Any], ...]
    last: tuple[dict[str, Any], ...]


CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "real", "vendor": 1}
MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "real", "content": [], "vendor": 1,
           "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 9}}  # fmt: skip
RESPONSE = {"id": "r", "object": "response", "model": "real", "output": [], "vendor": 1}
SHORT = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
LINE = {"model": "real", "created_at": "2026-11-21T00:00:00Z", "vendor": 1}
CASES = {
    "openai": Case(
        "/v1",
        DIALECTS["chat"],
        {**CHUNK, "object": "chat.completion", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": None}, "finish_reason": "length"}]},
        ({**CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},),
        ({**CHUNK, "choices": [{"index": 0, "delta": {"reasoning_content": "hm"}, "finish_reason": None}]},),
        ({**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]},),
    ),
    "anthropic": Case(
        "/v1",
        DIALECTS["anthropic"],
        {**MESSAGE, "stop_reason": "max_tokens"},
        ({"type": "message_start", "message": {**MESSAGE, "stop_reason": None}},),
        ({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
         {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
         {"type": "content_block_stop", "index": 0}),
        ({"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 9}},
         {"type": "message_stop"}),
    ),
    "openResponses": Case(
        "/v1",
        DIALECTS["responses"],
        {**RESPONSE, **SHORT},
        ({"type": "response.created", "response": {**RESPONSE, "status": "in_progress"}},),
        ({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "hm"},),
        ({"type": "response.incomplete", "response": {**RESPONSE, **SHORT}},),
    ),
    "gemini": Case(
        "/v1beta",
        DIALECTS["google"],
        {"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}], "vendor": 1},
        (),
        ({"candidates": [{"content": {"role": "model", "parts": [{"text": "hm", "thought": True}]}, "index": 0}]},),
        ({"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}], "vendor": 1},),
    ),
    "ollama": Case(
        "",
        DIALECTS["ollama"],
        {**LINE, "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "length"},
        (),
        ({**LINE, "message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False},),
        ({**LINE, "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "length"},),
    ),
}  # fmt: skip


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture(params=CASES)
def format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def patience() -> float:
    """Seconds after which the server breaks a silence. Override it."""
    return 15.0


@pytest.fixture
def relaying(serve: Any, provider: Provider, tmp_path: Path, format: str, patience: float) -> Iterator[Any]:
    ProviderFile(Paths(tmp_path)).add(
        "lab", f"http://127.0.0.1:{provider.server_port}{CASES[format].base}", format=format
    )
    settings = replace(Settings.from_env(), paths=Paths(tmp_path), url=None, key=None)
    with serve(backend=lambda: embedded(settings), ping_after=patience) as served:
        yield served


def told(provider: Provider, format: str, *events: dict[str, Any]) -> bytes:
    """Let the provider stream these events. Returns what the caller gets of them."""
    texts = [json.dumps(event).encode() for event in events]
    if format == "ollama":
        provider.form, provider.answer = "application/x-ndjson", b"".join(text + b"\n" for text in texts)
        return provider.answer
    named = format in ("anthropic", "openResponses")
    heads = [f"event: {event['type']}\n".encode() if named else b"" for event in events]
    provider.form = "text/event-stream"
    provider.answer = b"".join(head + b"data: " + text + b"\n\n" for head, text in zip(heads, texts, strict=True))
    if format == "openai":
        provider.answer += b"data: [DONE]\n\n"
    return provider.answer


def test_a_relayed_answer_that_is_nothing_says_so_in_its_headers(relaying, provider, format):
    """Its body is the provider's, byte for byte."""
    case = CASES[format]
    provider.answer = json.dumps(case.whole).encode()

    answer = ask(relaying, case.ask, "lab/big", stream=False)

    assert answer.body.strip() == provider.answer
    assert answer.headers["x-osaurus-warnings"] == "empty_answer"


def test_a_relayed_stream_that_is_nothing_says_so_in_its_headers(relaying, provider, format):
    """The head waits for a first word; where none came it can still say so."""
    case = CASES[format]
    sent = told(provider, format, *case.first, *case.last)

    answer = ask(relaying, case.ask, "lab/big", stream=True)

    assert answer.headers["x-osaurus-warnings"] == "empty_answer"
    assert answer.body.startswith(sent)
    assert b"osaurus" not in answer.body


def test_a_relayed_stream_that_only_thought_says_so_in_a_comment(relaying, provider, format):
    """Thoughts are not held back for it. Where official clients stumble over a comment, there is none."""
    case = CASES[format]
    sent = told(provider, format, *case.first, *case.thought, *case.last)

    answer = ask(relaying, case.ask, "lab/big", stream=True)

    comments = [line[2:] for line in answer.body.split(b"\n") if line.startswith(b": {")]
    assert all(text in answer.body for text in sent.split(b"\n\n"))
    assert "x-osaurus-warnings" not in answer.headers
    if format in ("gemini", "ollama"):
        assert comments == []
    else:
        assert [list(_said(json.loads(comment))) for comment in comments] == [
            ["The model returned no visible text: reasoning used up the token limit; raise max_tokens."]
        ]


@pytest.mark.parametrize("format", ["openai"], indirect=True)
@pytest.mark.parametrize("relay", ["on", "off"])
def test_the_notice_says_what_nothing_cost(relaying, provider, format, tmp_path, relay):
    """By the price of the model; beside a relayed answer the amount is a header of its own."""
    BillingFile(Paths(tmp_path)).edit(
        lambda settings: replace(settings, prices={"lab/big": Price(Decimal("1.25"), Decimal(10))})
    )
    used = {"prompt_tokens": 10, "completion_tokens": 500, "total_tokens": 510}
    case = CASES[format]
    told(provider, format, *case.first, *case.last, {**CHUNK, "choices": [], "usage": used})

    answer = ask(relaying, case.ask, "lab/big", stream=True, **{"x-osaurus-relay": relay})

    if relay == "on":
        assert answer.headers["x-osaurus-warnings"] == "empty_answer"
        assert answer.headers["x-osaurus-cost"] == "0.005013"
    else:
        [said] = notices(answer.body)
        assert said.endswith("before a word; raise max_tokens. It cost $0.0050 for 510 tokens.")


@pytest.mark.parametrize("format", ["openai"], indirect=True)
@pytest.mark.parametrize("patience", [0.1])
def test_a_long_silence_does_not_swallow_the_notice(relaying, provider, format):
    """Who thinks unseen is kept alive by comments, and the last of them says that nothing came."""
    case = CASES[format]
    told(provider, format, *case.first, *case.last)
    provider.after = 0.4

    answer = ask(relaying, case.ask, "lab/big", stream=True)

    assert answer.body.startswith(b": ping")
    assert answer.body.count(b'"empty_answer"') == 1


@pytest.mark.parametrize("format", ["openai", "anthropic"], indirect=True)
def test_official_clients_pass_over_the_comment(relaying, provider, format):
    """They read the provider's events, and no more."""
    case = CASES[format]
    events = (*case.first, *case.thought, *case.last)
    told(provider, format, *events)

    if format == "openai":
        with OpenAI(base_url=f"{relaying.url}/v1", api_key=relaying.key, max_retries=0) as gpt:
            seen = list(gpt.chat.completions.create(model="lab/big", messages=HI, stream=True))
        assert seen[-1].choices[0].finish_reason == "length"
    else:
        with Anthropic(base_url=relaying.url, api_key=relaying.key, max_retries=0) as claude:
            seen = list(claude.messages.create(model="lab/big", max_tokens=9, messages=HI, stream=True))
        assert seen[-1].type == "message_stop"

    assert len(seen) == len(events)


def test_a_relayed_answer_with_a_word_has_no_notice(relaying, provider, format):
    """Nor has one that calls a tool."""
    case = CASES[format]
    provider.answer = json.dumps(_worded(format, case.whole)).encode()

    answer = ask(relaying, case.ask, "lab/big", stream=False)

    assert answer.body.strip() == provider.answer
    assert "x-osaurus-warnings" not in answer.headers


def _worded(format: str, whole: dict[str, Any]) -> dict[str, Any]:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    match format:
        case "openai":
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
            return {**whole, "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
        case "anthropic":
            return {**whole, "content": [{"type": "tool_use", "id": "c", "name": "look", "input": {}}]}
        case "openResponses":
            item = {"type": "function_call", "id": "i", "call_id": "c", "name": "look", "arguments": "{}"}
            return {**whole, "output": [{**item, "status": "completed"}]}
        case "gemini":
            parts = [{"functionCall": {"name": "look", "args": {}}}]
            return {**whole, "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}
        case _:
            return {**whole, "message": {"role": "assistant", "content": "Ho"}}
