"""The fast path: who speaks a provider's dialect gets through to it unchanged, and gets its bytes back unchanged."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from osaurus_nb.assembly import embedded
from osaurus_nb.config.billing import BillingFile
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.models import Price

MODEL = "lab/big"


class Provider(ThreadingHTTPServer):
    """Answers every question with `answer`, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = b""
        self.form = "application/json"
        self.asked: list[tuple[str, dict[str, str], Any]] = []

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Provider
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send(404, b"{}", "application/json")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.path, headers, json.loads(body)))
        self._send(200, self.server.answer, self.server.form)

    def _send(self, status: int, body: bytes, form: str) -> None:
        self.send_response(status)
        self.send_header("content-type", form)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@dataclass(frozen=True)
class Case:
    """One dialect: where it is asked, with what, and answers that hold more than we know of."""

    base: str
    path: str
    ask: dict[str, Any]
    whole: dict[str, Any]
    events: tuple[dict[str, Any], ...]
    upstream: str
    stream_path: str = ""
    upstream_stream: str = ""
    headers: tuple[tuple[str, str], ...] = ()


SAID = [{"role": "user", "content": "Hi", "vendor_note": {"deep": [1, None]}}]
CHUNK = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "real", "vendor": {"x": [1]}}
CHAT = Case(
    base="/v1",
    path="/v1/chat/completions",
    ask={"model": MODEL, "messages": SAID, "vendor_knob": {"a": 1.5}},
    whole={
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": "real-2026",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Ho"}, "finish_reason": "stop", "v": 1}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "cost": 0.25},
        "citations": ["https://example.org"],
    },
    events=(
        {**CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
        {**CHUNK, "choices": [{"index": 0, "delta": {"content": "Ho\u2028é"}, "finish_reason": None, "v": 1}]},
        {**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ),
    upstream="/v1/chat/completions",
)
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "real-2026",
    "content": [{"type": "text", "text": "Ho", "citations": None, "vendor": 1}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1, "vendor": {"x": 1}},
}
ANTHROPIC = Case(
    base="/v1",
    path="/v1/messages",
    ask={"model": MODEL, "max_tokens": 9, "messages": SAID, "vendor_knob": {"a": 1.5}},
    whole=MESSAGE,
    events=(
        {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "", "vendor": 1}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Ho"}, "vendor": [2]},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"v": 1}},
        {"type": "message_stop"},
    ),
    upstream="/v1/messages",
    headers=(("anthropic-version", "2023-06-01"), ("anthropic-beta", "new-thing-2026")),
)
TALKED = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "real-2026",
    "vendor": {"x": 1},
    "output": [
        {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Ho", "annotations": [], "vendor": 1}],
        }
    ],
    "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
}
RESPONSES = Case(
    base="/v1",
    path="/v1/responses",
    ask={"model": MODEL, "input": "Hi", "store": False, "vendor_knob": {"a": 1.5}},
    whole=TALKED,
    events=(
        {"type": "response.created", "sequence_number": 0, "response": {**TALKED, "status": "in_progress"}},
        {"type": "response.output_text.delta", "sequence_number": 1, "output_index": 0, "delta": "Ho", "vendor": 1},
        {"type": "response.vendor_thing", "sequence_number": 2},
        {"type": "response.completed", "sequence_number": 3, "response": TALKED},
    ),
    upstream="/v1/responses",
)
CANDIDATE = {"content": {"role": "model", "parts": [{"text": "Ho", "vendor": 1}]}, "finishReason": "STOP", "index": 0}
GENERATED = {"candidates": [CANDIDATE], "usageMetadata": {"promptTokenCount": 1, "vendor": 2}, "modelVersion": "real"}
GEMINI = Case(
    base="/v1beta",
    path=f"/v1beta/models/{MODEL}:generateContent",
    stream_path=f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse",
    ask={"contents": [{"role": "user", "parts": [{"text": "Hi", "vendor": 1}]}], "vendorKnob": {"a": 1.5}},
    whole=GENERATED,
    events=({**GENERATED, "candidates": [{**CANDIDATE, "finishReason": None}], "vendor": 1}, GENERATED),
    upstream="/v1beta/models/big:generateContent",
    upstream_stream="/v1beta/models/big:streamGenerateContent?alt=sse",
)
LINE = {"model": "real", "created_at": "2026-11-21T00:00:00Z", "vendor": 1}
OLLAMA = Case(
    base="",
    path="/api/chat",
    ask={"model": MODEL, "messages": SAID, "vendor_knob": {"a": 1.5}},
    whole={**LINE, "message": {"role": "assistant", "content": "Ho", "v": 1}, "done": True, "done_reason": "stop"},
    events=(
        {**LINE, "message": {"role": "assistant", "content": "Ho", "v": 1}, "done": False},
        {**LINE, "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"},
    ),
    upstream="/api/chat",
)
CASES = {"openai": CHAT, "anthropic": ANTHROPIC, "openResponses": RESPONSES, "gemini": GEMINI, "ollama": OLLAMA}


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
def server(serve: Any, provider: Provider, tmp_path: Path, format: str) -> Iterator[Any]:
    file = ProviderFile(Paths(tmp_path))
    file.add("lab", provider.host + CASES[format].base, format=format)
    settings = replace(Settings.from_env(), paths=Paths(tmp_path), url=None, key=None)
    with serve(backend=lambda: embedded(settings)) as served:
        yield served


def ask(server: Any, case: Case, *, stream: bool, **fields: Any) -> Any:
    flag = {} if case.stream_path else {"stream": stream}
    path = case.stream_path if stream and case.stream_path else case.path
    return server.ask("POST", path, json_body={**case.ask, **flag, **fields}, headers=dict(case.headers))


def told(provider: Provider, format: str) -> bytes:
    """A stream as the provider writes it, in its own sloppy way, and as a strict parser wants it."""
    events = CASES[format].events
    provider.form = "text/event-stream" if format != "ollama" else "application/x-ndjson"
    raw = [json.dumps(event, ensure_ascii=False).encode() for event in events]
    if format == "ollama":
        provider.answer = b"".join(text + b"\r\n\n" for text in raw)
        return b"".join(text + b"\n" for text in raw)
    provider.answer = b": hello\n\n" + b"".join(b"id: 7\r\ndata:" + text + b"\r\n\r\n" for text in raw)
    if format == "openai":
        provider.answer += b"data: [DONE]\n\n"
    named = format in ("anthropic", "openResponses")
    heads = [f"event: {event['type']}\n".encode() if named else b"" for event in events]
    texts = [json.dumps(event, separators=(",", ":")).encode() if "\u2028" in text.decode() else text
             for event, text in zip(events, raw, strict=True)]  # fmt: skip
    end = b"data: [DONE]\n\n" if format in ("openai", "openResponses") else b""
    return b"".join(head + b"data: " + text + b"\n\n" for head, text in zip(heads, texts, strict=True)) + end


def test_a_whole_answer_comes_back_byte_for_byte(server: Any, provider: Provider, format: str) -> None:
    """What we do not know of it is not lost; who answered is in the headers."""
    case = CASES[format]
    provider.answer = (
        json.dumps(case.whole, indent=1).encode() if format != "ollama" else json.dumps(case.whole).encode()
    )

    answer = ask(server, case, stream=False)

    assert answer.status == 200
    assert answer.body.strip() == provider.answer
    assert answer.headers["x-osaurus-provider"] == "lab"
    assert answer.headers["content-type"].startswith("application/json")


def test_what_a_relayed_answer_cost_stands_in_a_header(
    server: Any, provider: Provider, tmp_path: Path, format: str
) -> None:
    """Its body is the provider's, and has no place for it."""
    BillingFile(Paths(tmp_path)).edit(lambda had: replace(had, prices={MODEL: Price(Decimal(1000), Decimal(2000))}))
    provider.answer = json.dumps(CASES[format].whole).encode()

    answer = ask(server, CASES[format], stream=False)

    assert answer.body.strip() == provider.answer
    assert float(answer.headers["x-osaurus-cost"]) > 0
    assert answer.headers["x-osaurus-cost-source"].startswith("user")


def test_a_stream_comes_back_event_for_event(server: Any, provider: Provider, format: str) -> None:
    """Unknown fields and events stay; what crashes official parsers (ids, comments, CR, U+2028) does not."""
    expected = told(provider, format)

    answer = ask(server, CASES[format], stream=True)

    assert answer.status == 200
    assert answer.body == expected


@pytest.mark.parametrize("stream", [False, True])
def test_the_question_goes_out_as_it_came(server: Any, provider: Provider, format: str, stream: bool) -> None:
    """Only the model's name is the provider's own; keys and parts that we do not know are all there."""
    case = CASES[format]
    told(provider, format)

    ours = {"route": "local-strict", "requiresTools": True, "turn_key": "t", "private": True}
    answer = ask(server, case, stream=stream, fallbacks=[MODEL], deadline_ms=5000, **ours)

    [(path, headers, body)] = provider.asked
    named = {} if format == "gemini" else {"model": "big", "stream": stream}
    usage = {"stream_options": {"include_usage": True}} if format == "openai" and stream else {}
    assert body == {**case.ask, **named, **usage}
    assert path == ((case.upstream_stream if stream else "") or case.upstream)
    assert {name: headers.get(name) for name, _ in case.headers} == dict(case.headers)
    assert answer.status == 200


@pytest.mark.parametrize("format", [name for name in CASES if name != "ollama"], indirect=True)  # its lines are alike
def test_another_answer_than_was_asked_for_is_translated(server: Any, provider: Provider, format: str) -> None:
    """A provider that answers a stream with one body is understood all the same."""
    case = CASES[format]
    provider.answer = json.dumps(case.whole).encode()

    answer = ask(server, case, stream=True)

    assert answer.status == 200
    assert b"Ho" in answer.body
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_a_stream_that_breaks_off_is_told_in_the_dialect(server: Any, provider: Provider, format: str) -> None:
    """Half an answer is relayed, and then its error: never a stop that nobody sent."""
    case = CASES[format]
    told(provider, format)
    half = {"anthropic": 3, "openai": 2, "openResponses": 2, "gemini": 1, "ollama": 1}[format]
    marks = {"ollama": b"\r\n\n"}
    pieces = provider.answer.split(marks.get(format, b"\r\n\r\n"))
    provider.answer = marks.get(format, b"\r\n\r\n").join(pieces[:half]) + marks.get(format, b"\r\n\r\n")

    answer = ask(server, case, stream=True)

    assert b"Ho" in answer.body
    assert b"without saying that it had finished" in answer.body
    assert b'"finish_reason":"stop"' not in answer.body
    if format == "openResponses":
        numbers = [
            json.loads(line[6:])["sequence_number"] for line in answer.body.split(b"\n") if line[:7] == b"data: {"
        ]
        assert numbers == sorted(set(numbers))


def test_a_refusal_stays_a_refusal(server: Any, provider: Provider, format: str) -> None:
    """An error inside a 200 becomes a proper status, as without the relay."""
    provider.answer = json.dumps({"error": {"type": "rate_limit_error", "code": "429", "message": "slow"}}).encode()

    answer = ask(server, CASES[format], stream=False)

    assert answer.status == 429


def test_our_own_words_can_be_asked_for(server: Any, provider: Provider, format: str) -> None:
    """With `X-Osaurus-Relay: off` every answer is ours, with the key `osaurus` in it."""
    case = CASES[format]
    told(provider, format)
    headers = {**dict(case.headers), "X-Osaurus-Relay": "off"}

    answer = server.ask(
        "POST", case.path, json_body={**case.ask, **({} if format == "gemini" else {"stream": False})}, headers=headers
    )

    assert answer.json["osaurus"]["provider"] == "lab"


def test_state_that_we_sealed_is_never_relayed(server: Any, provider: Provider, format: str) -> None:
    """A conversation that was with another model holds state that only we can open; so it is translated."""
    case = CASES[format]
    told(provider, format)

    ask(server, case, stream=False, note="osaurus1.abc")

    [(_, _, body)] = provider.asked
    assert body["messages" if "messages" in body else "contents" if "contents" in body else "input"] != []
    assert "stream" not in body or body["stream"] is True


def test_a_head_that_is_odd_gets_its_400(server: Any, format: str) -> None:
    """What the fast path cannot read is read with care, and refused by the name of its field."""
    case = CASES[format]

    answer = ask(server, case, stream=False, fallbacks=5)

    assert answer.status == 400
    assert b"fallbacks" in answer.body


@pytest.mark.parametrize("format", ["openai"], indirect=True)
def test_chat_usage_comes_only_to_those_who_asked(server: Any, provider: Provider, format: str) -> None:
    """We always ask for the usage of a stream; a caller who did not gets no chunk without choices."""
    told(provider, format)
    last = {**CHUNK, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
    done = b"data: [DONE]\n\n"
    provider.answer = provider.answer.replace(done, b"data: " + json.dumps(last).encode() + b"\n\n" + done)

    without = ask(server, CHAT, stream=True)
    given = ask(server, CHAT, stream=True, stream_options={"include_usage": True})

    assert b'"usage"' not in without.body
    assert b'"usage"' in given.body
