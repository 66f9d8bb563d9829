"""Other people's clients ask the Router through our endpoint: they get answers and errors, and no word of the bill."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from osaurus_nb.identity.signer import Signer
from osaurus_nb.providers.http import HttpDoor
from osaurus_nb.providers.router import RouterSettings, router_source
from osaurus_nb.runtime import Backend, Runtime

SIGNER = Signer(bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"))
MODEL = "osaurus/venice/model-b"


@pytest.fixture(scope="module")
def router() -> Iterator[str]:
    """The reference Router in a process of its own."""
    command = [sys.executable, "-m", "osaurus_nb.testing.router"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


@pytest.fixture
def served(serve: Any, router: str) -> Iterator[Any]:
    def backend() -> Backend:
        adapter = router_source(RouterSettings(router), lambda: SIGNER, HttpDoor()).current()
        assert adapter is not None
        return Runtime([adapter])

    with serve(backend=backend) as served:
        yield served


def test_openais_client_gets_words_and_usage(served: Any) -> None:
    """Streamed, with the usage that was asked for."""
    client = openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key)
    chunks = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "hi there"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    seen = list(chunks)

    assert "".join(c.choices[0].delta.content or "" for c in seen if c.choices) == "Hello from the loopback router."
    assert seen[-1].usage is not None
    assert (seen[-1].usage.prompt_tokens, seen[-1].usage.completion_tokens) == (2, 6)


def test_anthropics_client_gets_the_same(served: Any) -> None:
    """The caller's dialect is not the Router's."""
    client = anthropic.Anthropic(base_url=served.url, api_key=served.key)
    answer = client.messages.create(model=MODEL, max_tokens=50, messages=[{"role": "user", "content": "hi there"}])

    assert answer.content[0].type == "text"
    assert answer.content[0].text == "Hello from the loopback router."


def test_the_bill_is_in_no_answer(served: Any) -> None:
    """Streamed or whole, the caller sees nothing of the summary."""
    for stream in (True, False):
        body = served.chat(MODEL, stream=stream).body

        assert b"Hello" in body or b"loopback" in body
        assert b"cost_micro" not in body
        assert b"token_source" not in body


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("error=INSUFFICIENT_FUNDS", 402, "insufficient_funds"),
        ("error=ACCOUNT_FROZEN", 403, "account_frozen"),
        ("error=UNAUTHORIZED", 401, "signature_rejected"),
        ("error=IDEMPOTENCY_CONFLICT", 409, "idempotency_conflict"),
        ("status=503", 503, "provider_unavailable"),
        ("empty=raw-empty", 502, "empty_answer"),
    ],
)
def test_a_fault_keeps_its_status_and_its_name(served: Any, query: str, status: int, code: str) -> None:
    """Programs tell them apart."""
    answer = served.chat(f"{MODEL}?{query}")

    assert (answer.status, answer.json["error"]["code"]) == (status, code)
