"""Gemini's stream as one JSON array, for callers who do not ask for server-sent events."""

from __future__ import annotations

import json
import threading
import time
from http.client import HTTPConnection, IncompleteRead
from typing import Any

import pytest

from osaurus_nb.assembly import ConfiguredSources
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.errors import RateLimited, Unavailable
from osaurus_nb.events import Finished, PartEnded, TextDelta, ToolCallDelta, ToolCallStarted
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says

BODY: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]}
CALL = [
    ToolCallStarted("call_1", "weather"),
    ToolCallDelta('{"city": "Paris"}'),
    PartEnded(),
    Finished("tool_calls"),
]


@pytest.fixture
def adapter() -> ScriptedAdapter:
    return ScriptedAdapter(
        {
            "good": [says("Hello", " there\u2028", "."), says("Hello", " there\u2028", ".")],
            "tools": [CALL],
            "nothing": [[Finished("length")]],
            "pauses": [[0.35, *says("one", "two"), 0.35]],
            "limited": [[RateLimited("Too many.", provider="scripted")]],
            "cut": [[TextDelta("half"), 0.35, Unavailable("It failed.", provider="scripted")]],
            "slow": [[TextDelta("first"), *[item for _ in range(400) for item in (0.05, TextDelta(" more"))]]],
        }
    )


def stream(server: Any, model: str, *, version: str = "v1beta", query: str = "") -> Any:
    return server.ask("POST", f"/{version}/models/{model}:streamGenerateContent{query}", json_body=BODY)


def text(rows: list[dict[str, Any]]) -> str:
    parts = [part for row in rows for candidate in row["candidates"] for part in candidate["content"]["parts"]]
    return "".join(part.get("text", "") for part in parts)


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize("query", ["", "?alt=json"])
def test_a_stream_is_one_array(server, version, query):
    """Without `alt=sse` the pieces are the rows of an array that any JSON parser reads."""
    answer = stream(server, "good", version=version, query=query)

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-osaurus-provider"] == "scripted"
    assert text(answer.json) == "Hello there\u2028."
    assert len(answer.json) == 4
    assert answer.json[-1]["candidates"][0]["finishReason"] == "STOP"
    assert answer.json[-1]["usageMetadata"]["totalTokenCount"] == 6


def test_the_rows_are_those_of_the_events(server):
    """Both forms say the same."""
    array = stream(server, "tools").json
    events = stream(server, "tools", query="?alt=sse")

    frames = [json.loads(line[6:]) for line in events.body.split(b"\n") if line.startswith(b"data: ")]
    assert events.headers["content-type"] == "text/event-stream"
    for row in (*array, *frames):
        row.pop("responseId")
        row.pop("osaurus", None)
    assert array == frames
    assert array[0]["candidates"][0]["content"]["parts"][0]["functionCall"]["args"] == {"city": "Paris"}


def test_an_answer_without_a_word_is_an_array_too(server):
    """Why it is empty stands in its only row."""
    [row] = stream(server, "nothing").json

    assert row["candidates"][0]["finishReason"] == "MAX_TOKENS"


def test_a_silence_is_broken_by_white_space(serve):
    """Before the first row and between rows, so that the whole stays JSON."""
    with serve(ping_after=0.1) as server:
        answer = stream(server, "pauses")

    assert answer.body.startswith(b"\n\n")
    assert text(answer.json) == "onetwo"


def test_a_provider_of_the_same_dialect_answers_in_an_array_too(serve, server, tmp_path):
    """Its own stream is of events, whose bytes are not handed on here: the caller wants an array."""
    ProviderFile(Paths(tmp_path)).add("peer", f"{server.url}/v1beta", format="gemini", key_env="PEER_KEY")
    sources = ConfiguredSources(Settings(Paths(tmp_path)), {"PEER_KEY": server.key})

    with serve(backend=lambda: Runtime(sources)) as front:
        answer = stream(front, "peer/good")

    assert answer.headers["content-type"] == "application/json"
    assert text(answer.json) == "Hello there\u2028."


def test_a_fault_before_the_first_word_is_a_status(server):
    """It is an error object, not an array with one."""
    answer = stream(server, "limited")

    assert (answer.status, answer.json["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")


def test_a_late_fault_is_the_last_row(serve):
    """The array is whole, its answer is not, and its last row says why. Nothing invents a finish."""
    with serve(ping_after=0.1) as server:
        rows = stream(server, "cut").json

    assert text(rows[:-1]) == "half"
    assert "finishReason" not in json.dumps(rows)
    assert rows[-1]["error"]["code"] == 502


def test_a_stream_that_is_broken_off_has_no_end(serve, adapter):
    """When the server stops, the array stays open: no parser takes it for a whole answer."""
    got: list[bytes] = []

    def ask(server: Any) -> None:
        link = HTTPConnection("127.0.0.1", server.port, timeout=20)
        headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
        link.request("POST", f"{server.path}/v1/models/slow:streamGenerateContent", json.dumps(BODY), headers)
        try:
            got.append(link.getresponse().read())
        except IncompleteRead as exc:
            got.append(exc.partial)
        link.close()

    with serve() as server:
        thread = threading.Thread(target=ask, args=(server,))
        thread.start()
        until = time.monotonic() + 10
        while not adapter.requests and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.2)
    thread.join(10)

    assert adapter.closed == 1
    assert got[0].startswith(b"[{")
    with pytest.raises(ValueError, match="Expecting|Unterminated"):
        json.loads(got[0])
