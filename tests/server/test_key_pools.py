"""A provider's next key behind our endpoint: callers get their answer, relayed or translated, and a warning."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from osaurus_nb.assembly import ConfiguredSources
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.loopback import Behaviour, LoopbackUpstream

BAD, GOOD = "sk-canary-bad-0123456789", "sk-canary-good-0123456789"


@pytest.fixture
def upstream() -> Iterator[LoopbackUpstream]:
    """On a loop and thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    made = LoopbackUpstream(keys={BAD: Behaviour(status=401)})
    asyncio.run_coroutine_threadsafe(made.__aenter__(), loop).result(10)
    yield made
    asyncio.run_coroutine_threadsafe(made.__aexit__(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.fixture
def server(serve: Any, upstream: LoopbackUpstream, tmp_path: Path) -> Iterator[Any]:
    ProviderFile(Paths(tmp_path)).add("lab", upstream.url, key_env="LAB_KEY")
    settings = replace(Settings.from_env(), paths=Paths(tmp_path), url=None, key=None)
    env = {"LAB_KEY": BAD, "LAB_KEY_2": GOOD}
    with serve(backend=lambda: Runtime(ConfiguredSources(settings, env))) as served:
        yield served


def ask(server: Any, path: str, *, stream: bool) -> Any:
    body = {"model": "lab/loopback", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    return server.ask("POST", path, json_body=body | ({"max_tokens": 9} if path == "/v1/messages" else {}))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"], ids=["relayed", "translated"])
@pytest.mark.parametrize(
    "how",
    [Behaviour(status=401), Behaviour(status=402), Behaviour(status=429, retry_after="60"), Behaviour(status=503)],
    ids=lambda how: str(how.status),
)
def test_the_caller_gets_his_answer(
    server: Any, upstream: LoopbackUpstream, path: str, how: Behaviour, *, stream: bool
) -> None:
    """With the next key, and a header that says which one was passed over."""
    upstream.keys[BAD] = how

    answer = ask(server, path, stream=stream)

    assert answer.status == 200
    assert b"upstream" in answer.body
    assert [request.key for request in upstream.requests if request.path.endswith("completions")] == [BAD, GOOD]
    assert "key_skipped" in answer.headers["x-osaurus-warnings"]
    assert b"canary" not in answer.body + repr(answer.headers).encode()


def test_when_no_key_is_good_the_caller_hears_what_helps(server: Any, upstream: LoopbackUpstream) -> None:
    """Waiting does, and how long is in the header."""
    upstream.keys[GOOD] = Behaviour(status=429, retry_after="30")

    answer = ask(server, "/v1/chat/completions", stream=True)

    assert (answer.status, answer.headers["retry-after"]) == (429, "30")
    assert "canary" not in server.logs.getvalue()
