"""One answer from its first word to its end: headers, faults, silences, and clients that leave or read slowly."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path

import pytest

from osaurus_nb.errors import EmptyAnswer, RateLimited, TooSlow, Unavailable
from osaurus_nb.events import Finished, ReasoningDelta, TextDelta, Warned
from osaurus_nb.testing.scripted import ScriptedAdapter, says

LONG = "x" * 60_000


def broken(kind: type, **fields):
    return kind("The provider failed.", provider="scripted", **fields)


class Faulty(ScriptedAdapter):
    """Has a bug in the model that is called so."""

    async def stream(self, request, card, attempt):
        async for event in super().stream(request, card, attempt):
            yield event
            if card.id == "bug" and isinstance(event, TextDelta):
                raise ValueError(request.messages[0].text)


@pytest.fixture
def adapter() -> ScriptedAdapter:
    return Faulty(
        {
            "good": [says("Hello", " there", ".")],
            "slow": [[TextDelta("first"), *[item for _ in range(400) for item in (0.05, TextDelta(" more"))]]],
            "silent": [[30.0, *says("late")]],
            "pauses": [[0.35, *says("one"), 0.35]],
            "flood": [[TextDelta(LONG) for _ in range(2000)]],
            "cut": [[TextDelta("half an"), broken(Unavailable)]],
            "bug": [says("half an")],
            "limited": [[broken(RateLimited, retry_after=1.5)]],
            "toolate": [[broken(TooSlow)]],
            "empty": [[broken(EmptyAnswer)]],
            "thinks": [[ReasoningDelta("hm"), Warned("ignored", "top_k was ignored.", "top_k"), *says("ok")]],
            "nothing": [[Finished("length")]],
        }
    )


def frames(body: bytes) -> list[str]:
    return [frame.removeprefix("data: ") for frame in body.decode().split("\n\n") if frame]


def test_headers_say_who_answered(server):
    """A streamed and a whole answer carry the same account of their route."""
    streamed, whole = server.chat("scripted/good", stream=True), server.chat("scripted/good")

    for answer in (streamed, whole):
        assert answer.headers["x-osaurus-model"] == "scripted/good"
        assert answer.headers["x-osaurus-upstream-model"] == "good"
        assert answer.headers["x-osaurus-provider"] == "scripted"
        assert answer.headers["x-osaurus-attempts"] == "1"
        assert len(answer.headers["x-osaurus-request-id"]) == 32
        assert "x-osaurus-fallback" not in answer.headers
    assert streamed.headers["content-type"] == "text/event-stream"
    assert streamed.headers["cache-control"] == "no-cache, no-transform"
    assert streamed.headers["x-accel-buffering"] == "no"
    assert frames(streamed.body)[-1] == "[DONE]"


def test_a_substitute_is_named(server):
    """When a fallback of the caller answers, the headers say so."""
    for stream in (True, False):
        answer = server.chat("limited", fallbacks=["good"], stream=stream)

        assert answer.status == 200
        assert answer.headers["x-osaurus-model"] == "limited"
        assert answer.headers["x-osaurus-upstream-model"] == "good"
        assert answer.headers["x-osaurus-fallback"] == "the model asked for failed"
        assert answer.headers["x-osaurus-attempts"] == "2"


def test_a_warning_before_the_first_word_is_in_the_headers(server):
    """A whole answer names every warning."""
    answer = server.chat("thinks")

    assert answer.headers["x-osaurus-warnings"] == "ignored; param=top_k"


def test_a_models_name_cannot_break_the_headers(server):
    """Whatever the caller calls a model, the response stays one response."""
    answer = server.chat("scripted/good", fallbacks=["scripted/good"])
    odd = server.chat("good\r\nSet-Cookie: a=b\u2028é")

    assert answer.status == 200
    assert odd.status == 404
    assert "set-cookie" not in odd.headers


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("model", "status", "code", "retry"),
    [
        ("limited", 429, "rate_limit_exceeded", None),
        ("toolate", 504, "timeout", "false"),
        ("empty", 502, "empty_answer", "false"),
    ],
)
def test_a_fault_before_the_first_word_is_a_status(server, stream, model, status, code, retry):
    """Streamed or not, and SDKs are kept from paying twice."""
    answer = server.chat(model, stream=stream)

    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["error"]["code"] == code
    assert answer.headers.get("x-should-retry") == retry
    if model == "limited":
        assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("2", "1500")


def test_a_fault_after_the_first_word_is_told_in_band(server):
    """The partial text stays, then the error, then the end; no finish reason is invented."""
    answer = server.chat("cut", stream=True)

    chunks = frames(answer.body)
    assert answer.status == 200
    assert json.loads(chunks[1])["choices"][0]["delta"]["content"] == "half an"
    assert json.loads(chunks[-2])["error"]["code"] == "stream_cut"
    assert json.loads(chunks[-2])["choices"][0]["finish_reason"] == "error"
    assert chunks[-1] == "[DONE]"
    assert server.chat("cut").status == 502


def test_a_fault_of_ours_is_told_without_its_text(server):
    """A bug in the middle of an answer is no silent end, and what it says stays out of answer and log."""
    streamed, whole = server.chat("bug", stream=True), server.chat("bug")

    assert json.loads(frames(streamed.body)[-2])["error"]["code"] == "internal_error"
    assert whole.status == 500
    assert b"Say hello" not in streamed.body + whole.body
    assert "Say hello" not in server.logs.getvalue()
    assert "ValueError" in server.logs.getvalue()


def test_an_empty_answer_says_why(server):
    """Nothing visible is a finish with its reason and a warning, not a silence."""
    answer = server.chat("nothing")

    assert answer.json["choices"][0]["finish_reason"] == "length"
    assert answer.headers["x-osaurus-warnings"] == "empty_answer"


@pytest.mark.parametrize(("model", "stream"), [("slow", True), ("slow", False), ("silent", True), ("silent", False)])
def test_a_client_that_leaves_stops_the_model_at_once(server, adapter, model, stream):
    """Within a tenth of a second, before and after the first word, streamed or not; and it makes no noise."""
    body = json.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hi."}]}).encode()
    link = post(server, body)
    if (model, stream) == ("slow", True):
        assert b"first" in read_until(link, b"first")
    wait_for(lambda: len(adapter.requests) == 1)
    time.sleep(0.05)

    link.close()
    left = time.monotonic()
    wait_for(lambda: adapter.closed == 1)

    assert time.monotonic() - left < 1
    assert not server.service.active
    assert "Traceback" not in server.logs.getvalue()
    assert "Cannot send error" not in server.logs.getvalue()


def test_a_silence_is_broken_by_comments(serve):
    """Nobody between us and the client gives up; the SDK does not see them."""
    with serve(ping_after=0.1) as server:
        answer = server.chat("pauses", stream=True)
        quick = server.chat("good", stream=True)

    assert answer.body.startswith(b": ping\n\n")
    assert answer.body.count(b": ping\n\n") >= 4
    assert frames(answer.body)[-1] == "[DONE]"
    assert b"ping" not in quick.body


def test_a_stream_is_not_compressed(serve):
    """Not even on a server that compresses everything."""
    with serve(config={"ServerApp": {"tornado_settings": {"compress_response": True}}}) as server:
        answer = server.chat("good", stream=True, headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in answer.headers
    assert b"Hello" in answer.body


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory from /proc")
def test_a_slow_reader_holds_the_model_back(server, adapter):
    """What the client does not read is not piled up here: the stream waits, and ends when the client leaves."""
    body = json.dumps({"model": "flood", "stream": True, "messages": [{"role": "user", "content": "Hi."}]}).encode()
    link = post(server, body)
    read_until(link, b"data:")
    before = memory()

    time.sleep(0.5)
    grown = memory() - before
    link.close()
    wait_for(lambda: adapter.closed == 1)

    assert grown < 30_000_000  # the whole answer has 120 MB


def test_a_stopping_server_ends_no_answer_as_if_it_were_whole(serve, adapter):
    """An open stream is broken off, one without a word yet is refused, and both models are stopped."""
    answers: dict[str, bytes] = {}

    def ask(server, model: str, until: bytes) -> None:
        body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": "Hi."}]}).encode()
        with post(server, body) as link:
            answers[model] = read_until(link, until)

    with serve() as server:
        asked = [(server, "slow", b"never"), (server, "silent", b"stopping")]
        threads = [threading.Thread(target=ask, args=args) for args in asked]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(adapter.requests) == 2)
        time.sleep(0.2)
    for thread in threads:
        thread.join(10)

    assert adapter.closed == 2
    assert b"first" in answers["slow"]
    assert not answers["slow"].endswith(b"0\r\n\r\n")
    assert answers["silent"].startswith(b"HTTP/1.1 503 ")


def test_neither_prompts_nor_keys_reach_the_log(server):
    """Not at DEBUG, not when the request fails, not when the key comes in the address."""
    canary = "canary-in-the-prompt"
    body = {"messages": [{"role": "user", "content": canary}]}

    for model in ("good", "cut", "bug", "limited", "unknown-model"):
        server.ask("POST", "/v1/chat/completions", json_body={"model": model, **body})
    server.ask("POST", "/v1/chat/completions", json_body={"model": "good", **body, "temperature": canary})
    for kind in ("text/x", "application/json"):
        server.ask("POST", "/v1/chat/completions", body=f'{{"{canary}'.encode(), headers={"Content-Type": kind})
    server.ask("GET", f"/v1/nothing?token={server.key}", key=None)
    server.ask("GET", f"/v1/nothing?token={server.token}", key=None)
    server.ask("GET", "/v1/models", key="osk_live_canary-in-the-prompt")

    log = server.logs.getvalue()
    assert "/v1/chat/completions" in log
    assert canary not in log
    assert server.key not in log
    assert server.token not in log


def post(server, body: bytes) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    head = (
        f"POST {server.path}/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    link.sendall(head.encode() + body)
    return link


def read_until(link: socket.socket, text: bytes) -> bytes:
    """What came, up to this text or the end."""
    seen = b""
    while text not in seen:
        try:
            piece = link.recv(65536)
        except ConnectionResetError:
            return seen
        if not piece:
            return seen
        seen += piece
    return seen


def wait_for(true, seconds: float = 10.0) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it never came true"
        time.sleep(0.002)


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
