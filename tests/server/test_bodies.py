"""What a request may bring: its size, its type and its fields."""

from __future__ import annotations

import contextlib
import socket
import time
from http.client import HTTPConnection

import pytest

QUESTION = [{"role": "user", "content": "Say hello."}]
PATH = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{not json", None),
        (b"[]", None),
        (b'"text"', None),
        (b"", None),
        (b'{"model": "good"}', "messages"),
        (b'{"model": 7, "messages": [{"role": "user", "content": "Hi."}]}', "model"),
        (b'{"model": "good", "messages": "Hi."}', "messages"),
        (b'{"model": "good", "messages": [{"role": "wizard", "content": "Hi."}]}', "messages[0].role"),
        (b'{"model": "good", "messages": [{"role": "user", "content": 5}]}', "messages[0].content"),
        (b'{"model": "good", "messages": [{"role": "user", "content": "Hi."}], "temperature": 9}', "temperature"),
        (b'{"model": "good", "messages": [{"role": "user", "content": "Hi."}], "stream": "yes"}', "stream"),
    ],
)
def test_a_malformed_body_is_a_400_that_names_the_field(server, body, param):
    """The caller learns what is wrong, in OpenAI's shape."""
    answer = server.ask("POST", PATH, body=body, headers={"Content-Type": "application/json"})

    assert answer.status == 400
    assert answer.json["error"]["type"] == "invalid_request_error"
    assert answer.json["error"]["param"] == param


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_another_content_type_is_a_415(server, kind):
    """A form of some page cannot ask a model by somebody's login."""
    answer = server.ask("POST", PATH, body=b"{}", headers={"Content-Type": kind}, key=server.token)

    assert answer.status == 415
    assert answer.json["error"]["code"] == "unsupported_media_type"


def test_whoever_has_a_key_of_ours_may_forget_the_content_type(server):
    """`curl -d '{…}'` says that it sends a form; with a key it is no page that asks."""
    body = b'{"model": "good", "messages": [{"role": "user", "content": "Hi"}]}'

    answer = server.ask("POST", PATH, body=body, headers={"Content-Type": "application/x-www-form-urlencoded"})

    assert answer.status == 200


def test_a_charset_beside_json_is_fine(server):
    """`application/json; charset=utf-8` is JSON."""
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}

    assert server.chat(headers=headers).status == 200


def test_an_unknown_model_is_a_404_with_near_matches(server):
    """A name that is almost right is answered with the names that are."""
    answer = server.chat("scripted-good")

    assert answer.status == 404
    assert answer.json["error"]["code"] == "model_not_found"
    assert "scripted/good" in answer.json["error"]["message"]


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/embeddings", "/v1/models/", "/v2/models", "/%2e%2e/x"])
def test_what_is_not_there_is_json_too(server, path):
    """No page, no redirect."""
    answer = server.ask("GET", path)

    assert answer.status in (404, 405)
    assert answer.json["error"]["type"] == "invalid_request_error"


def test_a_body_over_the_cap_is_a_413(serve):
    """By its announced length before it is read, and by counting where none is announced."""
    with serve(max_body=1000) as server:
        announced = server.ask("POST", PATH, body=b"x" * 1001, headers={"Content-Type": "application/json"})
        chunked = talk(
            server,
            head(server, "Transfer-Encoding: chunked") + b"400\r\n" + b"x" * 0x400 + b"\r\n",
        )
        after = server.chat()

    assert announced.status == 413
    assert announced.json["error"]["code"] == "request_too_large"
    assert chunked.startswith(b"HTTP/1.1 413 ")
    assert b"request_too_large" in chunked
    assert after.status == 200


def test_nothing_is_read_before_the_sender_is_known(server):
    """A refusal comes back at once, however large the body that was announced, and the connection is closed."""
    request = head(server, "Content-Length: 100000000", key="wrong")

    started = time.monotonic()
    answer = talk(server, request)

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"invalid_api_key" in answer
    assert time.monotonic() - started < 2


def test_a_connection_is_reused_unless_the_answer_says_that_it_closes(server):
    """Clients keep connections in a pool: one that is closed without a word breaks their next request."""
    link = HTTPConnection("127.0.0.1", server.port, timeout=10)
    good, bad = {"Authorization": f"Bearer {server.key}"}, {"Authorization": "Bearer wrong"}

    def ask(path: str, headers: dict[str, str]) -> tuple[int, bool]:
        link.request("GET", server.path + path, headers=headers)
        answer = link.getresponse()
        answer.read()
        return answer.status, answer.getheader("Connection") == "close"

    answers = [ask("/v1/models", good), ask("/v1/models/none", good), ask("/v1/models", bad), ask("/v1/models", good)]
    link.close()

    assert answers == [(200, False), (404, False), (401, True), (200, False)]


def test_a_flood_of_bytes_from_a_stranger_is_cut_off(server):
    """Only what the kernel had already taken is lost; the rest is never accepted."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as link:
        link.sendall(head(server, "Content-Length: 500000000", key="wrong"))
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 200_000_000:
                sent += link.send(b"x" * 65536)

    assert sent < 20_000_000


def head(server, *more: str, key: str | None = None) -> bytes:
    lines = [
        f"POST {server.path}{PATH} HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        f"Authorization: Bearer {key or server.key}",
        "Content-Type: application/json",
        *more,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def talk(server, request: bytes) -> bytes:
    """All that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as link:
        link.sendall(request)
        answer = b""
        while piece := link.recv(65536):
            answer += piece
        return answer
