"""Faults on purpose through the server: for who may run it, and said to everybody who sees the answer."""

from __future__ import annotations

import pytest

import osaurus_nb as osaurus
from osaurus_nb.client import Client
from osaurus_nb.errors import NobodyAnswered, OsaurusError
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says


@pytest.fixture
def runtime():
    words = says(*(f"w{number} " for number in range(9)))
    return Runtime(
        [ScriptedAdapter({"m": [words]}, provider="lab"), ScriptedAdapter({"m": [says("spare")]}, provider="spare")]
    )


@pytest.fixture
def server(serve, runtime):
    with serve(backend=lambda: runtime) as served:
        yield served


def test_a_block_in_a_notebook_reaches_the_server(server, runtime):
    """With `with osaurus.chaos(...)` in a kernel, the server's providers fail, for that kernel alone."""
    with Client(url=server.url, key=server.key) as client:
        with osaurus.chaos("10 % of lab garbled", "lab down"):
            reply = client.chat("hi", model="lab/m", fallbacks=["spare/m"])
        plain = client.chat("hi", model="lab/m")

    assert reply.text == "spare"
    assert [warning.code for warning in reply.warnings] == ["chaos"]
    assert "10 % of lab garbled; lab down" in reply.warnings[0].message
    assert plain.text.startswith("w0")
    assert plain.warnings == ()


def test_an_answer_breaks_off_as_in_earnest(server):
    """In the middle, with what had come."""
    chaos = osaurus.chaos("provider down after 3 tokens")

    with Client(url=server.url, key=server.key) as client, chaos, pytest.raises(OsaurusError) as cut:
        client.chat("hi", model="lab/m")

    assert cut.value.reply.text == "w0 w1 w2 "


def test_breakers_of_a_block_are_one_over_many_requests(server, runtime):
    """The block's id goes along, so that its failures add up; the server's own record stays clean."""
    with Client(url=server.url, key=server.key) as client, osaurus.chaos("everything down"):
        for _ in range(8):
            with pytest.raises(OsaurusError) as failed:
                client.chat("hi", model="lab/m", fallbacks=["spare/m"])

    assert isinstance(failed.value, NobodyAnswered)
    assert "left alone" in str(failed.value)
    assert runtime.health.conditions() == []


def test_a_plain_key_makes_no_faults(server):
    """Only a key with the scope admin does; others are told which one it takes."""
    plain, _ = server.service.keys.issue("tool", expires_in=None)

    answer = server.ask(
        "POST",
        "/v1/chat/completions",
        json_body={"model": "lab/m", "messages": [{"role": "user", "content": "hi"}]},
        headers={"X-Osaurus-Chaos": "lab down"},
        key=plain,
    )

    assert answer.status == 403
    assert "admin" in answer.json["error"]["message"]


def test_a_program_writes_them_in_a_header(server):
    """In the same words, in any dialect; a warning stands in the headers of the answer."""
    answer = server.chat("spare/m", headers={"X-Osaurus-Chaos": "lab down"})
    struck = server.chat("lab/m", headers={"X-Osaurus-Chaos": "lab overloaded"})
    wrong = server.chat("lab/m", headers={"X-Osaurus-Chaos": "lab explodes"})

    assert answer.status == 200
    assert answer.headers["x-osaurus-warnings"] == "chaos"
    assert struck.status == 503
    assert wrong.status == 400
    assert "lab explodes" in wrong.json["error"]["message"]
