"""Whose question it is, how much it may cost and what it did cost: over HTTP, in every dialect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from osaurus_nb import money
from osaurus_nb.events import TextDelta
from osaurus_nb.gateway.keys import ALL_SCOPES
from osaurus_nb.testing.scripted import says
from tests.server.conftest import Answer, Served
from tests.server.ledger import COST_MICRO, Paid, billed, lines, paid

HI = [{"role": "user", "content": "hi"}]
ANTHROPIC = {"anthropic-version": "2023-06-01"}
#: Each dialect: a path, a body without its cap, headers of its own, and where a refusal says its kind.
CHATS = [
    pytest.param("/v1/chat/completions", {"model": "good", "messages": HI}, {}, "insufficient_quota", id="chat"),
    pytest.param("/v1/completions", {"model": "good", "prompt": "hi"}, {}, "insufficient_quota", id="completions"),
    pytest.param("/v1/responses", {"model": "good", "input": "hi"}, {}, "insufficient_quota", id="responses"),
    pytest.param(
        "/v1/messages", {"model": "good", "messages": HI, "max_tokens": 100}, ANTHROPIC, "billing_error", id="messages"
    ),
    pytest.param(
        "/v1beta/models/good:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
        {},
        "RESOURCE_EXHAUSTED",
        id="gemini",
    ),
    pytest.param("/api/chat", {"model": "good", "messages": HI, "stream": False}, {}, "budget", id="ollama"),
    pytest.param("/api/generate", {"model": "good", "prompt": "hi", "stream": False}, {}, "budget", id="generate"),
]
DIALECTS = [
    *CHATS,
    pytest.param("/v1/embeddings", {"model": "embed", "input": "hi"}, {}, "insufficient_quota", id="embeddings"),
    pytest.param("/api/embed", {"model": "embed", "input": "hi"}, {}, "budget", id="embed"),
    pytest.param(
        "/v1beta/models/embed:embedContent",
        {"content": {"parts": [{"text": "hi"}]}},
        {},
        "RESOURCE_EXHAUSTED",
        id="embedContent",
    ),
    pytest.param(
        "/v1/decisions",
        {"model": "good", "input": "x", "questions": [{"type": "predicate", "name": "q", "instructions": "Is it?"}]},
        {},
        "insufficient_quota",
        id="decisions",
    ),
]


@pytest.fixture
def adapter() -> Paid:
    return paid()


@pytest.fixture
def server(jupyter_dirs: Path, tmp_path: Path, adapter: Paid) -> Iterator[Served]:
    with billed(tmp_path, [adapter]) as served:
        yield served


def post(server: Served, path: str, body: Any, headers: Any = None, **more: Any) -> Answer:
    return server.ask("POST", path, json_body=body, headers=headers, **more)


def test_a_line_says_whose_question_it_was(server: Served) -> None:
    """Session, notebook, cell and run come from headers, the key's id from the key that was used."""
    plain, key = server.service.keys.issue("mine", scopes=ALL_SCOPES, expires_in=None)
    headers = {
        "X-Osaurus-Session": "s1",
        "X-Osaurus-Notebook": "work/%C3%A4.ipynb",
        "X-Osaurus-Cell": "c1",
        "X-Osaurus-Run": "r1",
    }

    post(server, "/v1/chat/completions", {"model": "good", "messages": HI}, headers, key=plain)

    [line] = lines(server)
    assert line["origin"] == {"session": "s1", "notebook": "work/ä.ipynb", "cell": "c1", "run": "r1", "key": key.id}
    assert line["cost"]["micro"] == COST_MICRO
    assert (line["kind"], line["outcome"], line["request_id"] != "") == ("settle", "rendered", True)


def test_a_header_is_no_place_for_a_prompt(server: Served) -> None:
    """Whatever is no id becomes a digest: what stands in a header cannot make the ledger hold content."""
    post(server, "/v1/chat/completions", {"model": "good", "messages": HI}, {"X-Osaurus-Cell": "why, oh why? " * 50})

    [line] = lines(server)
    assert line["origin"]["cell"].startswith("sha256:")


def test_who_comes_with_a_login_is_counted_too(server: Served) -> None:
    """Jupyter's own users have no key of ours: their lines say who they are."""
    post(server, "/v1/chat/completions", {"model": "good", "messages": HI}, key=server.token)

    [line] = lines(server)
    assert line["origin"]["key"] == "login"


@pytest.mark.parametrize(("path", "body", "headers", "kind"), DIALECTS[len(CHATS) :])
def test_vectors_and_decisions_say_what_they_cost(
    server: Served, path: str, body: dict[str, Any], headers: dict[str, str], kind: str
) -> None:
    """In a header, and where the body has room in the key `osaurus`: the same as in the ledger."""
    answer = post(server, path, body, headers)

    micro = sum(line["cost"]["micro"] for line in lines(server))
    assert answer.headers["x-osaurus-cost"] == money.exact(micro)
    assert answer.headers["x-osaurus-cost-source"].startswith("list")
    assert answer.json["osaurus"]["cost"]["micro"] == micro > 0


@pytest.mark.parametrize(("path", "body", "headers", "kind"), DIALECTS)
@pytest.mark.parametrize("how", ["body", "header", "budget"])
def test_what_would_cost_too_much_is_refused_in_the_callers_dialect(
    server: Served, path: str, body: dict[str, Any], headers: dict[str, str], kind: str, how: str
) -> None:
    """A 402 before anything is asked, with the figures; programs are told not to try it again."""
    caps = {"header": {"X-Osaurus-Max-Cost": "$0.000001"}, "budget": {"X-Osaurus-Budget": "b=0.000001"}}
    said = {"max_cost": 0.000001} if how == "body" else {}

    answer = post(server, path, body | said, headers | caps.get(how, {}))

    assert answer.status == 402
    assert kind in answer.body.decode()
    assert "could cost $" in answer.body.decode()
    assert answer.headers["x-should-retry"] == "false"
    assert not lines(server)


@pytest.mark.parametrize(("path", "body", "headers", "kind"), CHATS)
def test_what_it_cost_stands_in_a_header(
    server: Served, path: str, body: dict[str, Any], headers: dict[str, str], kind: str
) -> None:
    """US dollars to the last millionth, on every answer in one piece, and whose price that is."""
    answer = post(server, path, body, headers)

    [line] = lines(server)
    assert answer.status == 200
    assert round(float(answer.headers["x-osaurus-cost"]) * 1e6) == line["cost"]["micro"] > 0
    assert answer.headers["x-osaurus-cost-source"].startswith("list")


def test_what_a_stream_cost_stands_in_its_last_frame(server: Served) -> None:
    """Headers are gone when it is known: the key `osaurus` has it."""
    answer = post(server, "/v1/chat/completions", {"model": "good", "messages": HI, "stream": True})

    frames = [json.loads(row[6:]) for row in answer.body.decode().splitlines() if row.startswith("data: {")]
    [told] = [frame["osaurus"]["cost"] for frame in frames if "cost" in frame.get("osaurus", {})]
    assert told == {"micro": COST_MICRO, "source": "list", "estimated": False}


def test_a_budget_is_one_for_all_who_name_it(server: Served) -> None:
    """Questions under one id share what it allows, until there is none left; another id has its own."""
    body = {"model": "good", "messages": HI, "max_tokens": 10}
    limit = 0.006

    def ask(id: str) -> int:
        status = post(server, "/v1/chat/completions", body, {"X-Osaurus-Budget": f"{id}={limit}"}).status
        lines(server)  # what it cost is written down
        return status

    statuses = [ask("tuesday") for _ in range(10)]

    assert statuses == sorted(statuses)
    assert {*statuses} == {200, 402}
    assert statuses.count(200) * COST_MICRO <= limit * 1e6
    assert ask("wednesday") == 200


def test_the_smaller_of_two_caps_holds(server: Served) -> None:
    """A proxy may put a header on whatever a caller's body allows, and a caller may ask for less than that."""
    body = {"model": "good", "messages": HI}

    less = post(server, "/v1/chat/completions", body | {"max_cost": 0.000001}, {"X-Osaurus-Max-Cost": "1"})
    more = post(server, "/v1/chat/completions", body | {"max_cost": 1}, {"X-Osaurus-Max-Cost": "0.000001"})
    both = post(server, "/v1/chat/completions", body | {"max_cost": 1}, {"X-Osaurus-Max-Cost": "1"})

    assert (less.status, more.status, both.status) == (402, 402, 200)


@pytest.mark.parametrize(("path", "body", "headers", "kind"), DIALECTS)
@pytest.mark.parametrize(
    "bad", [{"X-Osaurus-Budget": "a b=1"}, {"X-Osaurus-Budget": "a=-1"}, {"X-Osaurus-Max-Cost": "much"}]
)
def test_a_cap_that_cannot_be_read_is_refused(
    server: Served, path: str, body: dict[str, Any], headers: dict[str, str], kind: str, bad: dict[str, str]
) -> None:
    """A 400 that names the header: a cap that is passed over is worse than none."""
    answer = post(server, path, body, headers | bad)

    assert answer.status == 400
    assert next(iter(bad)) in answer.body.decode()


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/decisions"])
def test_an_odd_cap_in_a_body_of_no_chat_is_refused(server: Served, path: str) -> None:
    """Vectors and decisions take the key `max_cost` too, and no other thing for an amount."""
    body = next(row.values[1] for row in DIALECTS if row.values[0] == path)
    assert isinstance(body, dict)

    answer = post(server, path, body | {"max_cost": [1]})

    assert answer.status == 400
    assert answer.json["error"]["param"] == "max_cost"


def test_a_provider_never_sees_our_cap(server: Served, adapter: Paid) -> None:
    """`max_cost` is ours: it goes no further, as `fallbacks` do not."""
    post(server, "/v1/embeddings", {"model": "embed", "input": "hi", "max_cost": 1, "user": "me"})

    [asked] = adapter.embedded
    assert asked.extra == {"user": "me"}


def test_who_leaves_pays_for_what_was_written(tmp_path: Path, jupyter_dirs: Path) -> None:
    """A stream whose client is gone has its end in the ledger: cancelled, with what it cost by an estimate."""
    slow = Paid({"good": [[TextDelta("Hello"), 30.0, *says("there")]]})
    body = json.dumps({"model": "good", "messages": HI, "stream": True})

    with billed(tmp_path, [slow]) as served:
        connection = HTTPConnection("127.0.0.1", served.port, timeout=10)
        head = {"Authorization": f"Bearer {served.key}", "Content-Type": "application/json"}
        connection.request("POST", f"{served.path}/v1/chat/completions", body, head)
        assert connection.getresponse().read1(65536)
        connection.close()
        [line] = lines(served)

    assert (line["kind"], line["outcome"], line["cost"]["estimated"]) == ("settle", "cancelled", True)
    assert line["cost"]["micro"] > 0


def test_a_server_that_stops_writes_what_it_owes(tmp_path: Path, jupyter_dirs: Path) -> None:
    """The end of a call that was just answered is in the file before the server is gone."""
    with billed(tmp_path, [paid()], vault="5a" * 32) as served:
        post(served, "/v1/chat/completions", {"model": "good", "messages": HI})

    with billed(tmp_path, [paid()], vault="5a" * 32) as served:
        [line] = served.ask("GET", "/admin/ledger").json["data"]

    assert (line["kind"], line["cost"]["micro"]) == ("settle", COST_MICRO)
