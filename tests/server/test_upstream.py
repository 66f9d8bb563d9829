"""The whole way: an HTTP client, our server with its configured providers, and an upstream at the other end."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from osaurus_nb.assembly import embedded
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.testing.loopback import LoopbackUpstream


@pytest.fixture
def upstream() -> Iterator[LoopbackUpstream]:
    """On a loop and thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    made = LoopbackUpstream()
    asyncio.run_coroutine_threadsafe(made.__aenter__(), loop).result(10)
    yield made
    asyncio.run_coroutine_threadsafe(made.__aexit__(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.fixture
def server(serve, upstream, tmp_path: Path):
    ProviderFile(Paths(tmp_path)).add("lab", upstream.url)
    settings = replace(Settings.from_env(), paths=Paths(tmp_path), url=None, key=None)
    with serve(backend=lambda: embedded(settings)) as served:
        yield served


def test_an_answer_of_a_configured_provider(server):
    """Whole and streamed, with the provider's name in the headers."""
    whole = server.chat("lab/loopback")
    streamed = server.chat("lab/loopback", stream=True)

    assert whole.json["choices"][0]["message"]["content"] == "Hello from the loopback upstream."
    assert b"upstream" in streamed.body
    assert whole.headers["x-osaurus-provider"] == streamed.headers["x-osaurus-provider"] == "lab"


def test_our_own_key_never_travels_on(server, upstream):
    """What opened our door is not shown to a provider."""
    server.chat("lab/loopback")

    sent = [request for request in upstream.requests if request.method == "POST"]
    assert len(sent) == 1
    assert server.key not in json.dumps(dict(sent[0].headers)) + sent[0].body.decode()


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_hangs_up_at_the_provider_within_a_tenth_of_a_second(server, upstream, stream):
    """What nobody waits for is not paid for."""
    ask = {
        "model": "lab/slow?words=500&interval=0.02",
        "stream": stream,
        "messages": [{"role": "user", "content": "x"}],
    }
    if not stream:
        ask["model"] = "lab/slow?delay=20"
    body = json.dumps(ask).encode()
    head = (
        f"POST {server.path}/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as link:
        link.sendall(head.encode() + body)
        while not [request for request in upstream.requests if request.method == "POST"]:
            time.sleep(0.005)
        if stream:
            assert b"data:" in link.recv(65536)
        time.sleep(0.1)
    left = time.monotonic()
    [asked] = [request for request in upstream.requests if request.method == "POST"]

    while asked.hung_up_at is None and time.monotonic() < left + 5:
        time.sleep(0.002)

    assert asked.hung_up_at is not None
    assert asked.hung_up_at - left < 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_of_a_strict_family_gets_no_key_that_it_does_not_know(server, upstream, stream):
    """What its API would refuse is left out on the way, even where the caller speaks the same dialect, and told."""
    answer = server.chat("lab/mistral-large-latest", stream=stream, seed=7, user="u", stream_options={"a": 1})

    [sent] = [request for request in upstream.requests if request.method == "POST"]
    assert answer.status == 200
    assert json.loads(sent.body).keys() == {"model", "messages", "stream", "random_seed"}
    assert "param=user" in answer.headers["x-osaurus-warnings"]
