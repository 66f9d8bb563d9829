"""How many tokens a prompt has: asked in every dialect, counted by every kind of provider, with the vendors' SDKs."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic
from google import genai
from google.genai import types
from openai import BadRequestError, OpenAI

from osaurus_nb import Client, Tool
from osaurus_nb.assembly import ConfiguredSources
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.models import ModelCard, TokenCount
from osaurus_nb.ports import Timeouts
from osaurus_nb.request import ChatRequest
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says

#: One prompt in each dialect that counts: its path, its body, and where its answer has the count.
ASKED = {
    "anthropic": (
        "/v1/messages/count_tokens",
        {"model": "{m}", "system": "Be brief.", "messages": [{"role": "user", "content": "hi there"}]},
        "input_tokens",
    ),
    "anthropic-bare": (
        "/messages/count_tokens",
        {"model": "{m}", "messages": [{"role": "user", "content": "hi there"}]},
        "input_tokens",
    ),
    "responses": (
        "/v1/responses/input_tokens",
        {"model": "{m}", "instructions": "Be brief.", "input": "hi there"},
        "input_tokens",
    ),
    "responses-bare": ("/responses/input_tokens", {"model": "{m}", "input": "hi there"}, "input_tokens"),
    "gemini": (
        "/v1beta/models/{m}:countTokens",
        {"contents": [{"role": "user", "parts": [{"text": "hi there"}]}]},
        "totalTokens",
    ),
    "gemini-v1-whole": (
        "/v1/models/{m}:countTokens",
        {
            "generateContentRequest": {
                "model": "models/{m}",
                "contents": [{"parts": [{"text": "hi there"}]}],
                "systemInstruction": {"parts": [{"text": "Be brief."}]},
            }
        },
        "totalTokens",
    ),
    "chat": (
        "/v1/chat/completions/input_tokens",
        {"model": "{m}", "messages": [{"role": "user", "content": "hi there"}]},
        "input_tokens",
    ),
}
#: The formats of providers that count, each with the key of their count.
COUNTING = {"anthropic": "input_tokens", "gemini": "totalTokens", "openResponses": "input_tokens"}
FORMATS = (*COUNTING, "openai", "ollama")


class CountingAdapter(ScriptedAdapter):
    """Counts words."""

    async def count_tokens(self, request: ChatRequest, card: ModelCard, timeouts: Timeouts) -> TokenCount:
        self.requests.append(request)
        return TokenCount(sum(len(message.text.split()) for message in request.messages))


class Vendor(ThreadingHTTPServer):
    """Answers every question with the same status and body, and keeps what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _VendorHandler)
        self.delay = 0.0
        self.status, self.answer = 200, dict.fromkeys(("input_tokens", "totalTokens"), 41)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def handle_error(self, *_: object) -> None:
        """Who does not wait for an answer hangs up."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _VendorHandler(BaseHTTPRequestHandler):
    server: Vendor

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body))
        time.sleep(self.server.delay)
        answer = json.dumps(self.server.answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with Vendor() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def adapter() -> CountingAdapter:
    return CountingAdapter({"good": [says("Hello.")]})


@pytest.fixture
def remote(serve, vendor: Vendor, tmp_path: Path):
    """A server with one provider of each format, all of them the same vendor."""
    for format in FORMATS:
        ProviderFile(Paths(tmp_path)).add(format, vendor.url, format=format)
    with serve(backend=lambda: Runtime(ConfiguredSources(Settings(Paths(tmp_path)), {}))) as served:
        yield served


def ask(server: Any, dialect: str, model: str) -> tuple[Any, Any]:
    """The answer, and the count in it."""
    path, body, key = ASKED[dialect]
    said = json.loads(json.dumps(body).replace("{m}", model))
    answer = server.ask("POST", path.replace("{m}", model), json_body=said)
    return answer, answer.json.get(key)


@pytest.mark.parametrize("dialect", ASKED)
def test_a_model_that_counts_is_asked_in_every_dialect(server, adapter, dialect):
    """Each dialect reads its question whole, and writes the count where its SDK looks for it."""
    answer, count = ask(server, dialect, "good")

    words = "hi there" if dialect in ("anthropic-bare", "responses-bare", "gemini", "chat") else "Be brief. hi there"
    assert (answer.status, count) == (200, len(words.split()))
    assert " ".join(message.text for message in adapter.requests[-1].messages) == words
    assert "osaurus" not in answer.json
    assert "x-osaurus-warnings" not in answer.headers


@pytest.mark.parametrize("dialect", ASKED)
@pytest.mark.parametrize("format", FORMATS)
def test_every_dialect_is_counted_at_every_kind_of_provider(remote, vendor, dialect, format):
    """The provider's own count arrives; where its dialect has none, an estimate that says so."""
    answer, count = ask(remote, dialect, f"{format}/some-model")

    assert answer.status == 200
    if format in COUNTING:
        [(_, body)] = vendor.asked
        assert count == 41
        assert "hi there" in json.dumps(body)
        assert "osaurus" not in answer.json
    else:
        assert vendor.asked == []
        assert 0 < count < 41
        assert answer.json["osaurus"] == {"estimated": True}
        assert answer.headers["x-osaurus-warnings"] == "estimated_count"


@pytest.mark.parametrize(
    ("format", "path", "keys"),
    [
        ("anthropic", "/v1/messages/count_tokens", {"model", "messages", "system", "tools"}),
        ("openResponses", "/v1/responses/input_tokens", {"model", "input", "tools"}),
        ("gemini", "/v1/models/some-model:countTokens", {"generateContentRequest"}),
    ],
)
def test_a_provider_is_sent_what_counts_and_nothing_else(vendor, tmp_path, format, path, keys):
    """System prompt and tools go along; limits, sampling and streaming, which a vendor would refuse, do not."""
    ProviderFile(Paths(tmp_path)).add("lab", vendor.url, format=format)
    tool = Tool("weather", parameters={"type": "object", "properties": {}})

    with Client(model="lab/some-model", backend=Runtime(ConfiguredSources(Settings(Paths(tmp_path)), {}))) as client:
        counted = client.count_tokens("hi", system="Be brief.", tools=[tool], temperature=0.5, max_tokens=9, stop="x")

    assert counted == TokenCount(41)
    assert vendor.asked[0][0] == path
    assert set(vendor.asked[0][1]) == keys
    if format == "gemini":
        whole = vendor.asked[0][1]["generateContentRequest"]
        assert set(whole) == {"model", "contents", "systemInstruction", "tools"}
        assert whole["model"] == "models/some-model"


def test_a_caller_of_the_providers_dialect_is_counted_in_his_own_words(remote, vendor):
    """Its own tools and keys that nobody knows count there; a provider of another dialect cannot have them."""
    said = [{"role": "user", "content": "hi there"}]
    search = {"type": "web_search_20250305", "name": "web_search"}
    body = {"messages": said, "tools": [search], "new_knob": 1}
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "new-2026-01-01"}

    counted, refused = (
        remote.ask(
            "POST", "/v1/messages/count_tokens", json_body={**body, "model": f"{name}/some-model"}, headers=headers
        )
        for name in ("anthropic", "gemini")
    )

    assert counted.json == {"input_tokens": 41}
    assert vendor.asked == [("/v1/messages/count_tokens", {**body, "model": "some-model"})]
    assert (refused.status, refused.json["error"]["type"]) == (400, "invalid_request_error")
    assert "tools[0]" in refused.json["error"]["message"]


@pytest.mark.parametrize("dialect", ["anthropic", "gemini", "openResponses"])
def test_a_callers_version_changes_no_count(remote, vendor, dialect):
    """With the header of Anthropic's SDK the question reaches every kind of provider as before."""
    path, body, _ = ASKED["anthropic"]

    answer = remote.ask(
        "POST",
        path,
        json_body={**body, "model": f"{dialect}/some-model"},
        headers={"anthropic-version": "2026-10-21"},
    )

    assert answer.json == {"input_tokens": 41}
    assert "hi there" in json.dumps(vendor.asked)


@pytest.mark.parametrize("status", [404, 405, 501])
@pytest.mark.parametrize("format", COUNTING)
def test_a_server_that_does_not_count_is_asked_once(vendor, tmp_path, format, status):
    """Many speak a vendor's dialect without its counts: then it is an estimate, and they are left alone."""
    vendor.status, vendor.answer = status, {"error": {"message": "no such thing"}}
    ProviderFile(Paths(tmp_path)).add("lab", vendor.url, format=format)

    with Client(model="lab/some-model", backend=Runtime(ConfiguredSources(Settings(Paths(tmp_path)), {}))) as client:
        counts = [client.count_tokens("hi there") for _ in range(3)]

    assert all(count.estimated and count.input_tokens > 0 for count in counts)
    assert len(vendor.asked) == 1


@pytest.mark.parametrize("format", COUNTING)
@pytest.mark.parametrize(("status", "answer"), [(401, {}), (429, {}), (500, {}), (200, {"input_tokens": "many"})])
def test_a_provider_that_fails_is_told_and_never_papered_over(remote, vendor, format, status, answer):
    """A wrong key, a limit, a fault and an answer without a count are errors, not estimates."""
    vendor.status, vendor.answer = status, answer

    failed, _ = ask(remote, "anthropic", f"{format}/some-model")

    assert failed.status in (401, 429, 502, 503, 529)
    assert failed.json["type"] == "error"


@pytest.mark.parametrize("dialect", ["chat", "anthropic", "responses"])
def test_a_count_keeps_the_callers_deadline(remote, vendor, dialect):
    """A provider that takes longer is not waited for."""
    vendor.delay = 1.0
    path, body, _ = ASKED[dialect]

    late = remote.ask("POST", path, json_body={**body, "model": "gemini/some-model", "deadline_ms": 100})

    assert late.status == 504


def test_a_wrong_question_is_refused_in_the_dialect_of_its_path(server):
    """Each refusal has the shape that its SDK reads, and names the field."""
    claude = server.ask("POST", "/v1/messages/count_tokens", json_body={"model": "good"})
    responses = server.ask("POST", "/v1/responses/input_tokens", json_body={"input": "hi"})
    gemini = server.ask("POST", "/v1beta/models/good:countTokens", json_body={})
    missing = server.ask(
        "POST", "/v1beta/models/nobody:countTokens", json_body={"contents": [{"parts": [{"text": "hi"}]}]}
    )
    version = server.ask(
        "POST",
        "/v1/messages/count_tokens",
        json_body={"model": "good", "temperature": 1, "messages": [{"role": "user", "content": "hi"}]},
        headers={"anthropic-version": "2026-10-21"},
    )

    assert (claude.status, claude.json["error"]["type"]) == (400, "invalid_request_error")
    assert (responses.status, responses.json["error"]["param"]) == (400, "model")
    assert (gemini.status, gemini.json["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert (missing.status, missing.json["error"]["status"]) == (404, "NOT_FOUND")
    assert (version.status, "temperature" in version.json["error"]["message"]) == (400, True)


@pytest.mark.parametrize("model", ["good", "openai/some-model"])
def test_the_sdks_read_a_count_and_an_estimate(serve, adapter, vendor, tmp_path, model):
    """Anthropic's, OpenAI's (strict) and Google's SDK take the answer, marked or not."""
    ProviderFile(Paths(tmp_path)).add("openai", vendor.url)
    sources = ConfiguredSources(Settings(Paths(tmp_path)), {})
    backend = Runtime([adapter]) if model == "good" else Runtime(sources)
    said: Any = [{"role": "user", "content": "hi there"}]

    with serve(backend=lambda: backend) as server:
        claude = Anthropic(base_url=server.url, api_key=server.key, max_retries=0)
        beta = claude.beta.messages.count_tokens(model=model, messages=said)
        plain = claude.messages.count_tokens(model=model, messages=said, system="Be brief.")
        openai = OpenAI(
            base_url=f"{server.url}/v1", api_key=server.key, max_retries=0, _strict_response_validation=True
        ).responses.input_tokens.count(model=model, input="hi there")
        google = []
        for version in ("v1", "v1beta"):
            options = types.HttpOptions(base_url=server.url, api_version=version)
            with genai.Client(api_key=server.key, http_options=options) as client:
                google.append(client.models.count_tokens(model=model, contents="hi there").total_tokens)

    expected = 2 if model == "good" else 6  # two words; or eight bytes and one message, estimated
    assert beta.input_tokens == openai.input_tokens == expected
    assert plain.input_tokens > expected
    assert google == [expected, expected]


def test_a_stored_response_is_counted_along(server, adapter):
    """What an input goes on from is part of what would be sent; of somebody else's nothing is known."""
    with OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as client:
        first = client.responses.create(model="good", input="hi there")
        counted = client.responses.input_tokens.count(model="good", input="and now", previous_response_id=first.id)
    stranger, _ = server.service.keys.issue("others", expires_in=None)
    with (
        OpenAI(base_url=f"{server.url}/v1", api_key=stranger, max_retries=0) as client,
        pytest.raises(BadRequestError, match="no such response"),
    ):
        client.responses.input_tokens.count(model="good", input="and now", previous_response_id=first.id)

    assert counted.input_tokens == len(["hi", "there", "Hello.", "and", "now"])


def test_connected_mode_counts_what_it_would_ask(server, adapter):
    """A kernel's count is its server's: system prompt, tools and images are counted there."""
    with Client(model="good", url=server.url, key=server.key) as client:
        counted = client.count_tokens("hi there", system="Be brief.", tools=[Tool("weather")], max_tokens=5)

    assert counted == TokenCount(4)
    assert [tool.name for tool in adapter.requests[-1].tools] == ["weather"]


def test_connected_mode_passes_the_mark_of_an_estimate_on(remote):
    """What is estimated over there is estimated here."""
    with Client(model="openai/some-model", url=remote.url, key=remote.key) as client:
        counted = client.count_tokens("hi there")

    assert counted == TokenCount(6, estimated=True)
