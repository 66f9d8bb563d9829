"""Decisions of remote providers, over real HTTP: their own endpoint where they have one, else a chat."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from osaurus_nb import errors
from osaurus_nb.assembly import ConfiguredSources
from osaurus_nb.client import AsyncClient
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.decisions import Decisions
from osaurus_nb.models import Usage
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.loopback import Behaviour, LoopbackUpstream

pytestmark = pytest.mark.anyio
QUESTIONS = {"spam": "Is it spam?"}


class Vendor(ThreadingHTTPServer):
    """Answers a path with what it was given for it, else with a 404. Keeps what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.paths: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def asked_paths(self) -> list[str]:
        return [path for path, _ in self.asked]


class _Handler(BaseHTTPRequestHandler):
    server: Vendor

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""

    def do_GET(self) -> None:
        self._answer(200, {"data": [{"id": "m"}], "models": []})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, body))
        self._answer(*self.server.paths.get(self.path, (404, {"error": {"message": "no such path"}})))

    def _answer(self, status: int, body: Any) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with Vendor() as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.shutdown()


@asynccontextmanager
async def asking(home: Path, url: str, format: str = "openai") -> AsyncGenerator[AsyncClient, None]:
    ProviderFile(Paths(home)).add("Lab", url, format=format)
    async with AsyncClient(model="lab/m", backend=Runtime(ConfiguredSources(Settings(Paths(home)), {}))) as client:
        yield client


def chat(said: str, **rivals: float) -> dict[str, Any]:
    """A Chat Completions answer in one piece, its first token with these rivals."""
    top = [{"token": word, "logprob": math.log(share)} for word, share in rivals.items()]
    tokens = [{"token": said, "logprob": -0.1, "top_logprobs": top}]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": said},
        "logprobs": {"content": tokens} if rivals else None,
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 20, "completion_tokens": 1, "total_tokens": 21}
    return {"id": "c", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage}


OPENAI = {
    "model": "m-1",
    "answers": [{"type": "predicate", "name": "spam", "probability": 0.875}],
    "usage": {"input_tokens": 9, "output_tokens": 0, "total_tokens": 9},
}
SYSTEM_ONE = {
    "model": "m-1",
    "answers": {"spam": {"type": "noul", "noul": 0.875}},
    "usage": {"input_tokens": 9, "output_tokens": 0},
}
GOOGLE = {
    "answers": {"spam": {"type": "noul", "noul": 0.875, "confidence": 0.875}},
    "usage": {"total_input_tokens": 9, "total_tokens": 9},
}


@pytest.mark.parametrize(
    ("format", "path", "body", "model"),
    [
        ("openai", "/v1/decisions", OPENAI, "m-1"),
        ("openResponses", "/v1/decisions", OPENAI, "m-1"),
        ("openai", "/v1/systemone", SYSTEM_ONE, "m-1"),
        ("gemini", "/v1/decisions", GOOGLE, "m"),
        ("ollama", "/v1/systemone", SYSTEM_ONE, "m-1"),
    ],
)
async def test_a_providers_own_endpoint_decides(
    vendor: Vendor, tmp_path: Path, format: str, path: str, body: Mapping[str, Any], model: str
):
    """Its probabilities are handed on as they are, with its usage and the name that it gives itself."""
    vendor.paths[path] = (200, body)

    async with asking(tmp_path, vendor.url + ("" if format == "ollama" else "/v1"), format) as client:
        found = await client.decide("Buy now!", QUESTIONS)

    assert found["spam"].probabilities == (0.875, 0.125)
    assert (found.provider, found.model, found.usage) == ("lab", model, Usage(input_tokens=9))
    assert found.warnings == ()
    assert vendor.asked[-1][0] == path


async def test_a_provider_without_one_is_asked_by_chat_and_not_again(vendor: Vendor, tmp_path: Path):
    """The two likely paths are tried once for a model; what is not there is remembered."""
    vendor.paths["/v1/chat/completions"] = (200, chat("A", A=0.75, B=0.25))

    async with asking(tmp_path, f"{vendor.url}/v1") as client:
        found = await client.decide("Buy now!", QUESTIONS)
        await client.decide("Buy now!", QUESTIONS)

    assert found["spam"].by_option == pytest.approx({True: 0.75, False: 0.25})
    assert found["spam"].calibrated
    assert vendor.asked_paths() == ["/v1/decisions", "/v1/systemone", *["/v1/chat/completions"] * 2]
    assert vendor.asked[-1][1]["logprobs"] is True
    assert vendor.asked[-1][1]["top_logprobs"] == 20


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"error": "Unexpected endpoint or method."}),
        (200, b"<!doctype html><title>Portal</title>"),
        (400, {"error": {"message": "This model does not decide."}}),
        (403, {"error": {"message": "no"}}),
        (405, {}),
        (501, {}),
    ],
)
async def test_a_provider_that_says_no_in_any_way_is_asked_by_chat(vendor: Vendor, tmp_path: Path, answer: Any):
    """Some answer every path with a 200 that is none."""
    vendor.paths |= {"/v1/decisions": answer, "/v1/systemone": answer}
    vendor.paths["/v1/chat/completions"] = (200, chat("B", A=0.25, B=0.75))

    async with asking(tmp_path, f"{vendor.url}/v1") as client:
        found = await client.decide("Buy now!", QUESTIONS)

    assert found["spam"].value is False


@pytest.mark.parametrize(
    ("status", "kind"), [(401, errors.CredentialRejected), (429, errors.RateLimited), (500, errors.Unavailable)]
)
async def test_a_fault_of_the_endpoint_is_that_fault(vendor: Vendor, tmp_path: Path, status: int, kind: Any):
    """What a chat would meet as well is not asked a second time."""
    vendor.paths["/v1/decisions"] = (status, {"error": {"message": "no"}})

    async with asking(tmp_path, f"{vendor.url}/v1") as client:
        with pytest.raises(kind):
            await client.decide("Buy now!", QUESTIONS)

    assert vendor.asked_paths() == ["/v1/decisions"]


async def test_a_server_that_passes_over_probabilities_gives_a_pick(vendor: Vendor, tmp_path: Path):
    """It knows no `logprobs` and says nothing of it: the label is all there is."""
    vendor.paths["/v1/chat/completions"] = (200, chat("B"))

    async with asking(tmp_path, f"{vendor.url}/v1") as client:
        found = await client.decide("Buy now!", QUESTIONS)

    assert (found["spam"].value, found["spam"].calibrated) == (False, False)
    assert [warning.code for warning in found.warnings] == ["uncalibrated"]


async def test_a_loopback_chat_is_weighed(tmp_path: Path):
    """Through every layer of ours, with a keep-alive connection and two questions side by side."""
    body = json.dumps(chat("A", A=0.5, B=0.5)).encode()
    script = {"m": Behaviour(body=body, content_type="application/json")}
    async with LoopbackUpstream(script) as upstream, asking(tmp_path, upstream.url) as client:
        found = await client.decide("x", {"a": "?", "b": ["one", "two"]})

    assert [verdict.probabilities for verdict in found.verdicts] == [(0.5, 0.5), (0.5, 0.5)]
    assert found.usage == Usage(input_tokens=40, output_tokens=2)


def sse(*events: Mapping[str, Any]) -> bytes:
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


async def decided_by(vendor: Vendor, home: Path, format: str, path: str, answer: Any, model: str = "m") -> Decisions:
    vendor.paths[path] = (200, answer)
    async with asking(home, f"{vendor.url}/v1", format) as client:
        return await client.decide("Buy now!", QUESTIONS, model=f"lab/{model}")


async def test_anthropic_is_held_to_a_label(vendor: Vendor, tmp_path: Path):
    """It tells no probabilities, so that is not even asked; its pick says what it is."""
    text = {"type": "text_delta", "text": '{"answer": "A"}'}
    answer = sse(
        {"type": "message_start", "message": {"id": "x", "model": "m", "usage": {"input_tokens": 9}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": text},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    )

    found = await decided_by(vendor, tmp_path, "anthropic", "/v1/messages", answer, "claude-opus-4-8")

    assert (found["spam"].value, found["spam"].calibrated) == (True, False)
    assert found.usage == Usage(input_tokens=9, output_tokens=5)
    assert vendor.asked_paths() == ["/v1/messages"]
    assert [warning.code for warning in found.warnings] == ["uncalibrated"]


async def test_a_reasoning_model_is_held_to_a_label(vendor: Vendor, tmp_path: Path):
    """It takes no `logprobs`, so the request that needs them is never sent."""
    answer = chat('{"answer": "B"}')

    found = await decided_by(vendor, tmp_path, "openai", "/v1/chat/completions", answer, "gpt-5.1")

    assert (found["spam"].value, found["spam"].calibrated) == (False, False)
    [sent] = [body for path, body in vendor.asked if path == "/v1/chat/completions"]
    assert "logprobs" not in sent
    assert sent["response_format"]["json_schema"]["schema"]["properties"]["answer"]["enum"] == ["A", "B"]


async def test_responses_tells_probabilities_too(vendor: Vendor, tmp_path: Path):
    """In its own place, `include`."""
    top = [{"token": "A", "logprob": math.log(0.9)}, {"token": "B", "logprob": math.log(0.1)}]
    logprobs = [{"token": "A", "logprob": math.log(0.9), "top_logprobs": top}]
    text = {"type": "output_text", "text": "A", "annotations": [], "logprobs": logprobs}
    item = {"type": "message", "id": "i", "role": "assistant", "status": "completed", "content": [text]}
    usage = {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10}
    whole = {"id": "r", "object": "response", "model": "m", "status": "completed", "output": [item], "usage": usage}

    found = await decided_by(vendor, tmp_path, "openResponses", "/v1/responses", whole)

    assert found["spam"].by_option == pytest.approx({True: 0.9, False: 0.1})
    assert vendor.asked[-1][1]["include"] == ["message.output_text.logprobs"]
    assert vendor.asked[-1][1]["max_output_tokens"] == 16
