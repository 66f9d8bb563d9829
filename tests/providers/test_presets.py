"""Every preset is asked over loopback: its paths, its headers and its format are what a server of that kind expects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from osaurus_nb.assembly import ConfiguredSources
from osaurus_nb.client import AsyncClient
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import PRESETS, Preset, ProviderFile
from osaurus_nb.config.providers.presets import named
from osaurus_nb.config.settings import Settings
from osaurus_nb.errors import CredentialRejected
from osaurus_nb.runtime import Runtime

pytestmark = pytest.mark.anyio
KEY = "sk-canary-0123456789abcdef"


def _sse(*events: dict[str, object]) -> bytes:
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (str(e.get("type", "")).encode(), json.dumps(e).encode()) for e in events
    )


def _openai() -> bytes:
    delta = {"choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}]}
    return b"data: %s\n\ndata: [DONE]\n\n" % json.dumps(delta).encode()


def _anthropic() -> bytes:
    return _sse(
        {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    )


def _responses() -> bytes:
    item = {"type": "message", "id": "i", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}
    return _sse(
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "i", "delta": "Hello"},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [item]}},
    )


def _gemini() -> bytes:
    content = {"parts": [{"text": "Hello"}], "role": "model"}
    return b"data: %s\n\n" % json.dumps({"candidates": [{"content": content, "finishReason": "STOP"}]}).encode()


def _ollama() -> bytes:
    return json.dumps(
        {"message": {"role": "assistant", "content": "Hello"}, "done": True, "done_reason": "stop"}
    ).encode()


LISTS: dict[str, object] = {
    "openai": {"data": [{"id": "m"}]},
    "openResponses": {"data": [{"id": "m"}]},
    "anthropic": {"data": [{"type": "model", "id": "m"}], "has_more": False},
    "gemini": {"models": [{"name": "models/m", "supportedGenerationMethods": ["generateContent"]}]},
    "ollama": {"models": [{"name": "m", "model": "m"}]},
}
ANSWERS = {
    "openai": _openai,
    "openResponses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "ollama": _ollama,
}
#: Where each preset is, and what is asked there. Held against the vendors' documents, not against the table.
DOCUMENTED = {
    "anthropic": ("https://api.anthropic.com/v1", "/v1/models?limit=1000", "/v1/messages", "x-api-key"),
    "openai": ("https://api.openai.com/v1", "/v1/models", "/v1/chat/completions", "bearer"),
    "xai": ("https://api.x.ai/v1", "/v1/models", "/v1/chat/completions", "bearer"),
    "openrouter": ("https://openrouter.ai/api/v1", "/api/v1/models", "/api/v1/chat/completions", "bearer"),
    "custom": (None, "/v1/models", "/v1/chat/completions", "bearer"),
    "gemini": (
        "https://generativelanguage.googleapis.com/v1beta",
        "/v1beta/models?pageSize=1000",
        "/v1beta/models/m:streamGenerateContent?alt=sse",
        "x-goog-api-key",
    ),
    "deepseek": ("https://api.deepseek.com/v1", "/v1/models", "/v1/chat/completions", "bearer"),
    "minimax": ("https://api.minimax.io/v1", "/v1/models", "/v1/chat/completions", "bearer"),
    "venice": ("https://api.venice.ai/api/v1", "/api/v1/models", "/api/v1/chat/completions", "bearer"),
    "azure": (None, None, "/openai/v1/chat/completions", "api-key"),
    "ollama": ("http://localhost:11434", "/api/tags", "/api/chat", "bearer"),
    "lmstudio": ("http://localhost:1234/v1", "/v1/models", "/v1/chat/completions", "bearer"),
    "nvidia": ("https://integrate.api.nvidia.com/v1", "/v1/models", "/v1/chat/completions", "bearer"),
    "copilot": ("https://api.githubcopilot.com", "/models", "/chat/completions", "bearer"),
    "peer": (None, "/osaurus/v1/models", "/osaurus/v1/chat/completions", "bearer"),
    "mistral": ("https://api.mistral.ai/v1", "/v1/models", "/v1/chat/completions", "bearer"),
    "groq": ("https://api.groq.com/openai/v1", "/openai/v1/models", "/openai/v1/chat/completions", "bearer"),
    "ollama-cloud": ("https://ollama.com", "/api/tags", "/api/chat", "bearer"),
}


class Vendor(ThreadingHTTPServer):
    """Answers in one format and records the path and headers of each request."""

    daemon_threads = True

    def __init__(self, format: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.format = format
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Vendor

    def do_GET(self) -> None:
        self._answer(json.dumps(LISTS[self.server.format]).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(ANSWERS[self.server.format]())

    def _answer(self, body: bytes) -> None:
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def vendor(request: pytest.FixtureRequest) -> Iterator[Vendor]:
    made = Vendor(request.param)
    thread = Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def client(home: Path, env: dict[str, str]) -> AsyncClient:
    return AsyncClient(backend=Runtime(ConfiguredSources(Settings(Paths(home)), env)))


def carried(headers: dict[str, str]) -> dict[str, str]:
    """The headers that hold the key."""
    return {name: value for name, value in headers.items() if KEY in value}


@pytest.mark.parametrize(
    ("preset", "vendor"), [(p, p.format) for p in PRESETS], indirect=["vendor"], ids=[p.name for p in PRESETS]
)
async def test_every_preset_asks_where_and_how_its_vendor_wants(tmp_path: Path, preset: Preset, vendor: Vendor) -> None:
    """The list and the question go to the documented paths, with the key in the documented header and no other."""
    address, listing, asking, style = DOCUMENTED[preset.name]
    file = ProviderFile(Paths(tmp_path))
    file.add("it", vendor.url, preset=preset, key_env="KEY", models=["m"])
    if address is not None:
        assert file.add("real", preset=preset).url == address
        assert file.remove("real").needs_key == (preset.auth == "key")

    async with client(tmp_path, {"KEY": KEY}) as asker:
        cards = await asker.models()
        reply = await asker.chat("hi", model="it/m")

    assert reply.text == "Hello"
    assert [card.id for card in cards] == ["m"]
    assert [path for path, _ in vendor.asked] == [path for path in (listing, asking) if path]
    header, value = ("authorization", f"Bearer {KEY}") if style == "bearer" else (style, KEY)
    assert all(carried(headers) == {header: value} for _, headers in vendor.asked)
    assert preset.key_style in (style, "none")
    if preset.format == "anthropic":
        assert all(headers["anthropic-version"] for _, headers in vendor.asked)


@pytest.mark.parametrize("vendor", ["openResponses"], indirect=True)
@pytest.mark.parametrize(("name", "path"), [("openai", "/v1/responses"), ("azure", "/openai/v1/responses")])
async def test_the_vendors_of_responses_can_be_asked_so(tmp_path: Path, vendor: Vendor, name: str, path: str) -> None:
    """The format switch changes the endpoint and nothing else."""
    file = ProviderFile(Paths(tmp_path))
    file.add("it", vendor.url, preset=named(name), format="openResponses", key_env="KEY", models=["m"])

    async with client(tmp_path, {"KEY": KEY}) as asker:
        reply = await asker.chat("hi", model="it/m")

    assert reply.text == "Hello"
    assert vendor.asked[-1][0] == path
    assert list(carried(vendor.asked[-1][1])) == ["api-key" if name == "azure" else "authorization"]


@pytest.mark.parametrize("vendor", ["anthropic"], indirect=True)
@pytest.mark.parametrize(
    ("style", "header", "value"),
    [
        ("bearer", "authorization", f"Bearer {KEY}"),
        ("api-key", "api-key", KEY),
        ("x-goog-api-key", "x-goog-api-key", KEY),
        ("X-Own", "x-own", KEY),
        (None, "x-api-key", KEY),
    ],
)
async def test_the_key_travels_as_the_user_said(
    tmp_path: Path, vendor: Vendor, style: str | None, header: str, value: str
) -> None:
    """In one header and no other; what else the format needs is still sent."""
    ProviderFile(Paths(tmp_path)).add("it", vendor.url, format="anthropic", key_env="KEY", key_header=style)

    async with client(tmp_path, {"KEY": KEY}) as asker:
        await asker.chat("hi", model="it/m")

    assert carried(vendor.asked[-1][1]) == {header: value}
    assert "anthropic-version" in vendor.asked[-1][1]


@pytest.mark.parametrize("vendor", ["openai"], indirect=True)
async def test_headers_go_along_and_secret_ones_come_from_variables(tmp_path: Path, vendor: Vendor) -> None:
    """The user's word wins over ours in any case of letters; a missing value is told before anything is sent."""
    file = ProviderFile(Paths(tmp_path))
    file.add("it", vendor.url, key_env="KEY", headers={"X-Team": "red"}, header_env={"AUTHORIZATION": "TICKET"})

    async with client(tmp_path, {"KEY": KEY, "TICKET": "Ticket canary"}) as asker:
        await asker.chat("hi", model="it/m")
    async with client(tmp_path, {"KEY": KEY}) as asker:
        with pytest.raises(CredentialRejected, match="secret header 'authorization'"):
            await asker.chat("hi", model="it/m")

    [(_, headers)] = vendor.asked
    assert (headers["x-team"], headers["authorization"]) == ("red", "Ticket canary")
    assert "canary" not in file.path.read_text()


@pytest.mark.parametrize("vendor", ["openai"], indirect=True)
async def test_a_disabled_or_foreign_provider_is_not_asked(tmp_path: Path, vendor: Vendor) -> None:
    """What the user switched off, and what only the app speaks, is not there."""
    file = ProviderFile(Paths(tmp_path))
    file.add("off", vendor.url, enabled=False)
    file.add("foreign", vendor.url)
    content = json.loads(file.path.read_text())
    content["providers"][1]["providerType"] = "someday"
    file.path.write_text(json.dumps(content))

    async with client(tmp_path, {}) as asker:
        cards = await asker.models()

    assert (list(cards), vendor.asked) == ([], [])
