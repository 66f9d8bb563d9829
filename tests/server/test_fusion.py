"""Fusion over HTTP: by name and by marker, in three dialects, for OpenAI's own SDK and for ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from openai import OpenAI

from osaurus_nb.client import Client
from osaurus_nb.routing.choosing import Chooser
from osaurus_nb.routing.health import Health
from osaurus_nb.routing.profiles import Profiles
from osaurus_nb.runtime import Runtime
from tests.fusion.table import Sitting, three
from tests.server.conftest import Served

QUESTION = [{"role": "user", "content": "How high is the mountain?"}]
MARKER = {"type": "osaurus:fusion"}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
def panel() -> tuple[Sitting, ...]:
    return three()


@pytest.fixture
def server(serve: Callable[..., AbstractContextManager[Served]], panel: tuple[Sitting, ...]) -> Iterator[Served]:
    with serve(backend=lambda: Runtime(panel, chooser=Chooser(Health(), Profiles()))) as served:
        yield served


def roles(panel: tuple[Sitting, ...]) -> list[str]:
    return sorted(role for one in panel for role in one.roles)


FUSED = ["answers", "answers", "answers", "finds", "judges"]


def test_the_openai_sdk_asks_the_profile(client: OpenAI, panel: tuple[Sitting, ...]):
    """`osaurus/fusion` is a model like any other; what the panel said is under `osaurus.panel`."""
    answer = client.chat.completions.create(model="osaurus/fusion", messages=QUESTION)

    assert answer.choices[0].message.content == "The verdict."
    assert roles(panel) == FUSED
    said = answer.model_extra["osaurus"]["panel"]
    assert [one["outcome"] for one in said["panelists"]] == ["answered"] * 3
    assert said["analysis"]["consensus"] == ["a sentence of consensus"]
    assert answer.usage.completion_tokens == 6


@pytest.mark.parametrize("marker", ["osaurus:fusion", "sage-router:fusion", "openrouter:fusion"])
def test_the_openai_sdk_asks_by_marker(client: OpenAI, panel: tuple[Sitting, ...], marker: str):
    """The tool is ours and reaches no model; `required` asks for it in any case, and streams."""
    stream = client.chat.completions.create(
        model="one/one-70b",
        messages=QUESTION,
        stream=True,
        extra_body={"tools": [{"type": marker}], "tool_choice": "required"},
    )

    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)

    assert text == "The verdict."
    assert roles(panel) == FUSED
    assert all(request.tools == () for one in panel for request in one.requests)


@pytest.mark.parametrize(
    ("choice", "fused"),
    [
        ("none", False),
        ("auto", False),
        (None, False),
        ({"type": "function", "function": {"name": "weather"}}, False),
        ({"type": "function", "function": {"name": "osaurus:fusion"}}, True),
        ({"type": "osaurus:fusion"}, True),
    ],
)
def test_the_tool_choice_says_how_the_marker_is_meant(server: Served, panel: tuple[Sitting, ...], choice, fused):
    """Named: always. `none`, or another one by name: never. `auto`: not for so plain a question."""
    body = {"tools": [MARKER, WEATHER], **({"tool_choice": choice} if choice else {})}
    answer = server.chat("one/one-70b", **body)

    assert answer.status == 200, answer.body
    assert (roles(panel) == FUSED) == fused
    assert all(tool.name == "weather" for one in panel for request in one.requests for tool in request.tools)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"input": "How high?", "tools": [MARKER], "tool_choice": "required"}),
        (
            "/v1/responses",
            {
                "input": "How high?",
                "tools": [MARKER],
                "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [MARKER]},
            },
        ),
        ("/v1/messages", {"messages": QUESTION, "max_tokens": 99, "tools": [MARKER], "tool_choice": {"type": "any"}}),
        (
            "/v1/messages",
            {
                "messages": QUESTION,
                "max_tokens": 99,
                "tools": [MARKER],
                "tool_choice": {"type": "tool", "name": "osaurus:fusion"},
            },
        ),
    ],
)
def test_other_dialects_have_the_marker_too(server: Served, panel: tuple[Sitting, ...], path: str, body):
    """Responses and Messages, each with its own way to say that a tool has to be called."""
    answer = server.ask("POST", path, json_body={"model": "one/one-70b", **body})

    assert answer.status == 200, answer.body
    assert b"verdict." in answer.body
    assert roles(panel) == FUSED


def test_a_header_tells_of_the_panel(server: Served):
    """How many sat there and how many answered; no header where nobody did."""
    assert server.chat("osaurus/fusion").headers["x-osaurus-fusion"] == "panel=3; answered=3"
    assert "x-osaurus-fusion" not in server.chat("one/one-70b").headers


def test_options_of_the_marker_are_refused(server: Served):
    """They would be lost without a word: a profile says who sits there."""
    answer = server.chat("one/one-70b", tools=[{**MARKER, "parameters": {"model": "x"}}])

    assert answer.status == 400
    assert answer.json["error"]["param"] == "tools[0].parameters"


def test_a_panel_within_a_panel_is_refused(server: Served, panel: tuple[Sitting, ...]):
    """By a header; what is no number there counts as one."""
    for said in ("1", "many"):
        answer = server.chat("osaurus/fusion", headers={"X-Osaurus-Fusion-Depth": said})

        assert answer.status == 400
    assert roles(panel) == []


def test_our_client_has_the_panel_over_http(server: Served, panel: tuple[Sitting, ...]):
    """Each answer, its agreement and the findings come as they are in this process."""
    with Client(url=server.url, key=server.key) as client:
        reply = client.chat("How high is the mountain?", model="osaurus/fusion")

    assert reply.panel is not None
    assert {one.text for one in reply.panel.panelists} >= {"It is quite high."}
    assert all(one.agreement is not None for one in reply.panel.panelists)
    assert reply.panel.analysis is not None
    assert roles(panel) == FUSED


def test_no_word_of_the_panel_is_logged(server: Served):
    """Nor of the findings."""
    server.chat("osaurus/fusion")

    assert "quite high" not in server.logs.getvalue()
    assert "a sentence of" not in server.logs.getvalue()
