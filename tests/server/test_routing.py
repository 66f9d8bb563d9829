"""Routing over HTTP: asked for in any dialect, explained in headers and on demand, and whole in connected mode."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic
from openai import BadRequestError, OpenAI

from osaurus_nb.client import AsyncClient
from osaurus_nb.decisions import DecisionRequest, Predicate
from osaurus_nb.embeddings import EmbeddingRequest
from osaurus_nb.errors import LocalOnly, NoEligibleModel
from osaurus_nb.messages import user
from osaurus_nb.ports import PLAIN, Terms
from osaurus_nb.providers.gateway import Gateway
from osaurus_nb.request import ChatRequest, RouteOptions
from osaurus_nb.routes import MODES, Requirements
from osaurus_nb.routing.choosing import Chooser
from osaurus_nb.routing.health import Health
from osaurus_nb.routing.profiles import Profiles
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says
from tests.server.conftest import Answer, Served, serving

MESSAGES = [{"role": "user", "content": "Refactor this Python function."}]
BODIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": MESSAGES}),
    "completions": ("/v1/completions", {"prompt": "Refactor this Python function."}),
    "responses": ("/v1/responses", {"input": "Refactor this Python function."}),
    "messages": ("/v1/messages", {"messages": MESSAGES, "max_tokens": 50}),
    "gemini": (
        "/v1beta/models/osaurus/auto:generateContent",
        {"contents": [{"parts": [{"text": "Refactor this Python function."}]}]},
    ),
    "ollama": ("/api/chat", {"messages": MESSAGES, "stream": False}),
}
HEADERS = {"messages": {"anthropic-version": "2023-06-01"}, "gemini": {"x-goog-api-client": "test"}}


@pytest.fixture
def adapter() -> ScriptedAdapter:
    return ScriptedAdapter({"a": [says("Hello")], "b": [says("Hello")]}, embeds=["e"], provider="lab")


def runtime(adapter: ScriptedAdapter) -> Runtime:
    return Runtime([adapter], chooser=Chooser(Health(), Profiles()))


@pytest.fixture
def server(jupyter_dirs: Path, adapter: ScriptedAdapter) -> Iterator[Served]:
    with serving(lambda: runtime(adapter), jupyter_dirs) as served:
        yield served


@pytest.fixture
async def gateway(server: Served) -> AsyncIterator[Gateway]:
    async with aclosing(Gateway(server.url, server.key)) as made:
        yield made


def ask(server: Served, dialect: str, headers: Mapping[str, str] = {}, **said: Any) -> Answer:
    path, body = BODIES[dialect]
    sent = {"model": "osaurus/auto", **body, **said}
    return server.ask("POST", path, json_body=sent, headers={**HEADERS.get(dialect, {}), **headers})


@pytest.mark.parametrize("dialect", BODIES)
def test_the_headers_say_how_and_why(server: Served, dialect: str):
    """In every dialect: the mode, whose choice it was, what was seen in the question, and who was asked."""
    answer = ask(server, dialect, route="best")

    assert answer.status == 200, answer.body
    assert answer.headers["x-osaurus-route-mode"] == "best"
    assert answer.headers["x-osaurus-profile"] == "auto"
    assert answer.headers["x-osaurus-intent"] in ("refactor", "code")
    assert answer.headers["x-osaurus-complexity"] in ("low", "medium", "high")
    assert answer.headers["x-osaurus-attempts"] == "1"
    assert answer.headers["x-osaurus-endpoint-class"] == "cloud"
    assert answer.headers["x-osaurus-upstream-model"] in ("a", "b")


@pytest.mark.parametrize("dialect", BODIES)
def test_the_body_says_why_only_when_asked(server: Served, dialect: str):
    """`debug` puts the explanation under `osaurus.route`; without it the body is as long as it was."""
    plain, asked = ask(server, dialect), ask(server, dialect, debug=True)

    assert "route" not in plain.json.get("osaurus", {})
    route = asked.json["osaurus"]["route"]
    assert (route["asked"], route["profile"], route["chain"]) == ("osaurus/auto", "auto", 2)
    assert route["ranked"][0]["terms"]


@pytest.mark.parametrize("dialect", BODIES)
def test_an_explanation_asks_nobody(server: Served, adapter: ScriptedAdapter, dialect: str):
    """The body of any dialect, at one path: the decision and no call."""
    said = ask(server, dialect, routeMode="fast")
    asked = len(adapter.requests)
    _, body = BODIES[dialect]
    sent = {"model": "osaurus/auto", **body, "routeMode": "fast"}

    answer = server.ask("POST", "/v1/route/explain", json_body=sent, headers=HEADERS.get(dialect, {}))

    assert answer.status == 200, answer.body
    assert answer.json["object"] == "route.explanation"
    assert answer.json["route"]["ranked"][0]["model"] == f"lab/{said.headers['x-osaurus-upstream-model']}"
    assert answer.json["route"]["mode"] == answer.headers["x-osaurus-route-mode"] == "fast"
    assert len(adapter.requests) == asked == 1


@pytest.mark.parametrize("dialect", BODIES)
@pytest.mark.parametrize(
    ("said", "field", "named"),
    [({"route": "no"}, "route", MODES), ({"profile": "no"}, "profile", ("frontier", "fusion"))],
)
def test_what_there_is_not_is_a_400(
    server: Served, dialect: str, said: Mapping[str, Any], field: str, named: tuple[str, ...]
):
    """In the caller's own dialect, with the field and the names that exist."""
    answer = ask(server, dialect, **said)

    assert answer.status == 400
    told = json.dumps(answer.json["error"])
    assert all(name in told for name in (field, *named))


@pytest.mark.parametrize(
    ("headers", "said", "mode"),
    [
        ({"X-Route-Mode": "fast"}, {}, "fast"),
        ({"X-Route-Mode": "fast"}, {"route": "best"}, "best"),
        ({}, {}, "balanced"),
    ],
)
def test_a_body_goes_before_a_header_and_that_before_the_profile(
    server: Served, headers: dict[str, str], said: dict[str, str], mode: str
):
    """Whoever is nearer to the question."""
    assert ask(server, "chat", headers, **said).headers["x-osaurus-route-mode"] == mode


def test_headers_name_profile_and_turn(server: Served, adapter: ScriptedAdapter):
    """For clients whose body cannot be changed."""
    ask(server, "messages", {"X-Osaurus-Profile": "balanced", "X-Osaurus-Turn": "t%2C1"}, model="claude")

    assert adapter.requests[-1].route.profile == "balanced"
    assert adapter.requests[-1].route.turn == "t,1"


@pytest.mark.parametrize("header", ["X-Route-Mode", "X-Osaurus-Local-Only"])
def test_a_header_that_cannot_be_meant_is_refused(server: Served, adapter: ScriptedAdapter, header: str):
    """By its name: what should keep a question here must not be overheard."""
    answer = ask(server, "chat", {header: "maybe"})

    assert answer.status == 400
    assert answer.json["error"]["param"] == header
    assert not adapter.requests


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": "lab/a", "messages": MESSAGES}),
        ("/v1/embeddings", {"model": "lab/e", "input": "hi"}),
        (
            "/v1/decisions",
            {"model": "lab/a", "input": "hi", "questions": [{"type": "predicate", "instructions": "Spam?"}]},
        ),
        ("/v1/chat/completions/input_tokens", {"model": "lab/a", "messages": MESSAGES}),
    ],
)
@pytest.mark.parametrize(
    ("headers", "said"), [({"X-Osaurus-Local-Only": "1"}, {}), ({}, {"private": True}), ({}, {"local_only": True})]
)
def test_what_must_stay_here_goes_to_no_stranger(
    server: Served,
    adapter: ScriptedAdapter,
    path: str,
    body: dict[str, Any],
    headers: dict[str, str],
    said: dict[str, Any],
):
    """By a header or by a key of the body, for chats, vectors, decisions and counts alike: 403."""
    answer = server.ask("POST", path, json_body={**body, **said}, headers=headers)

    assert answer.status == 403
    assert answer.json["error"]["code"] == "local_only"
    assert (adapter.requests, adapter.embedded) == ([], [])


def test_profiles_stand_in_every_list_of_models(server: Served):
    """So that every client's picker offers them."""
    openai = server.ask("GET", "/v1/models").json["data"]
    anthropic = server.ask("GET", "/v1/models", headers=HEADERS["messages"]).json["data"]
    gemini = server.ask("GET", "/v1beta/models", headers=HEADERS["gemini"]).json["models"]
    ollama = server.ask("GET", "/api/tags").json["models"]

    assert "osaurus/auto" in {row["id"] for row in openai}
    assert "osaurus/auto" in {row["id"] for row in anthropic}
    assert "models/osaurus/auto" in {row["name"] for row in gemini}
    assert any(row["name"].startswith("osaurus/auto") for row in ollama)
    assert server.ask("GET", "/v1/models/osaurus/auto").status == 200


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/v1/messages/count_tokens", {"messages": MESSAGES}, {"anthropic-version": "2023-06-01"}),
        ("/v1/chat/completions/input_tokens", {"messages": MESSAGES}, {}),
        ("/v1/responses/input_tokens", {"input": "hi"}, {}),
    ],
)
def test_tokens_are_counted_for_a_profile_too(server: Served, path: str, body: dict[str, Any], headers: dict[str, str]):
    """Coding tools count before they ask: by whom the profile would choose."""
    answer = server.ask("POST", path, json_body={"model": "osaurus/auto", **body}, headers=headers)

    assert answer.status == 200, answer.body
    assert answer.json["input_tokens"] > 0


def test_openais_sdk_routes_by_extra_body(client: OpenAI, adapter: ScriptedAdapter):
    """The keys fit where the vendor's SDK lets one write."""
    ours = {"route": "fast", "thinking": "off", "requirements": {"denyModels": ["lab/a"]}, "debug": True}
    told = client.chat.completions.create(model="osaurus/auto", messages=MESSAGES, extra_body=ours)
    with client.chat.completions.create(model="auto", messages=MESSAGES, stream=True, extra_body=ours) as stream:
        chunks = list(stream)

    assert told.model_extra is not None
    assert told.model_extra["osaurus"]["route"]["ranked"][0]["model"] == "lab/b"
    assert chunks[0].model_extra["osaurus"]["route"]["mode"] == "fast"
    assert adapter.requests[-1].reasoning_effort == "none"
    with pytest.raises(BadRequestError) as refused:
        client.chat.completions.create(model="osaurus/auto", messages=MESSAGES, extra_body={"route": "no"})
    assert refused.value.param == "route"


def test_anthropics_sdk_routes_by_extra_body(server: Served):
    """And where the other vendor's SDK does."""
    with Anthropic(base_url=server.url, api_key=server.key, max_retries=0) as sdk:
        made = sdk.messages.with_raw_response.create(
            model="osaurus/auto", max_tokens=50, messages=MESSAGES, extra_body={"route": "best"}
        )

    assert made.headers["x-osaurus-route-mode"] == "best"
    assert made.parse().content[0].text == "Hello"


def test_each_answer_has_its_own_headers(server: Served):
    """Many at a time, each asking for another mode: none is told of another's."""
    found: dict[int, str] = {}

    def one(at: int) -> None:
        answer = ask(server, "chat", route=MODES[at % 3])
        found[at] = answer.headers["x-osaurus-route-mode"]

    threads = [threading.Thread(target=one, args=(at,)) for at in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert found == {at: MODES[at % 3] for at in range(24)}


async def exhausted(gateway: Gateway, request: ChatRequest, terms: Terms = PLAIN) -> None:
    async with aclosing(gateway.stream(request, terms)) as events:
        async for _ in events:
            pass


@pytest.mark.anyio
async def test_connected_mode_loses_nothing(gateway: Gateway, adapter: ScriptedAdapter):
    """All that a client says of the route reaches the server's models, and the reasons come back."""
    route = RouteOptions(
        mode="best",
        profile="auto",
        requirements=Requirements(deny_models=("lab/a",)),
        resume="marked",
        turn="t1",
        deadline=9.0,
        max_cost_micro=5_000_000,
    )
    asked = ChatRequest("osaurus/auto", (user("hi"),), route=route, reasoning_effort="low")

    reply = await AsyncClient(backend=gateway).chat(
        "hi", profile="auto", mode="best", requirements={"deny_models": ["lab/a"]}, turn="t1"
    )
    explained = await gateway.explain(asked)
    await exhausted(gateway, asked)

    got = adapter.requests[-1]
    for name in ("mode", "profile", "requirements", "resume", "turn", "max_cost_micro"):
        assert getattr(got.route, name) == getattr(route, name)
    assert got.reasoning_effort == "low"
    assert reply.route is not None
    assert [row.model for row in reply.route.chosen] == [row.model for row in explained.chosen] == ["lab/b"]
    assert [(row.model, row.code) for row in reply.route.rejected] == [
        (row.model, row.code) for row in explained.rejected
    ]
    assert reply.route.chosen[0].terms
    assert reply.footer.startswith("lab: b · by osaurus/auto")


@pytest.mark.anyio
async def test_connected_mode_stays_where_it_must(gateway: Gateway, adapter: ScriptedAdapter):
    """What must not leave the user's machines does not leave the server's either."""
    held = Terms(local_only=True)
    decision = DecisionRequest("lab/a", (), (Predicate("spam", "Spam?"),), {})

    with pytest.raises(LocalOnly):
        await gateway.embed(EmbeddingRequest("lab/e", ("hi",)), held)
    with pytest.raises(LocalOnly):
        await gateway.decide(decision, held)
    with pytest.raises((LocalOnly, NoEligibleModel)):
        await exhausted(gateway, ChatRequest("osaurus/auto", (user("hi"),)), held)
    assert (adapter.requests, adapter.embedded) == ([], [])
