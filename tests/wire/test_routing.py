"""Our own keys for routing, in a body of any dialect."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from osaurus_nb.errors import RequestError
from osaurus_nb.models import ModelCard
from osaurus_nb.request import ChatRequest, RouteOptions, Sent
from osaurus_nb.routes import MODES, Requirements
from osaurus_nb.wire import (
    _relay,
    _routing,
    anthropic_messages,
    google_generate,
    ollama_chat,
    openai_chat,
    openai_completions,
    openai_responses,
)

MESSAGES = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
Decode = Callable[[bytes], ChatRequest]
#: Each dialect: what reads a body, and the smallest body.
DIALECTS: Mapping[str, tuple[Decode, Mapping[str, Any]]] = {
    "chat": (openai_chat.decode_request, MESSAGES),
    "completions": (openai_completions.decode_request, {"model": "m", "prompt": "hi"}),
    "responses": (openai_responses.decode_request, {"model": "m", "input": "hi"}),
    "messages": (anthropic_messages.decode_request, {**MESSAGES, "max_tokens": 9}),
    "gemini": (google_generate.decode_request, {"model": "m", "contents": [{"parts": [{"text": "hi"}]}]}),
    "ollama": (ollama_chat.decode_request, MESSAGES),
}
EVERYTHING = {
    "route": "best",
    "profile": "osaurus/frontier",
    "requirements": {"tools": True, "minContext": 32000, "max_price": 2.5, "denyProviders": ["x*"]},
    "requiresVision": True,
    "requiresTools": False,
    "fallbacks": ["other"],
    "deadline_ms": 1500,
    "max_cost": "0.50",
    "budget_micro": 400_000,
    "turn_key": "chat 7",
    "resume": "marked",
    "debug": True,
    "strict_params": False,
}
MEANT = RouteOptions(
    mode="best",
    profile="osaurus/frontier",
    requirements=Requirements(tools=True, vision=True, min_context=32000, max_price=2.5, deny_providers=("x*",)),
    resume="marked",
    turn="chat 7",
    explain=True,
    fallbacks=("other",),
    deadline=1.5,
    max_cost_micro=400_000,
)


def read(dialect: str, **said: Any) -> ChatRequest:
    decode, body = DIALECTS[dialect]
    return decode(json.dumps({**body, **said}).encode())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_reads_the_same_keys(dialect: str):
    """Whatever a caller speaks, he routes with the same words, and no provider sees one of them."""
    request = read(dialect, **EVERYTHING)

    assert request.route == MEANT
    assert not request.extra


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("key", ["thinking", "reasoning"])
@pytest.mark.parametrize(("said", "meant"), [("off", "none"), ("low", "low"), ("max", "max")])
def test_effort_has_two_more_names(dialect: str, key: str, said: str, meant: str):
    """`thinking: "off"` means off in every dialect; in the one whose own key that is, its own form counts."""
    own = (dialect, key) in [("messages", "thinking"), ("responses", "reasoning")]

    for form in () if own else (said, {"effort": said}, {"level": said}):
        request = read(dialect, **{key: form})

        assert request.reasoning_effort == meant
        assert key not in request.extra


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("said", "field", "named"),
    [
        ({"route": "cheapest"}, "route", MODES),
        ({"routeMode": 3}, "routeMode", MODES),
        ({"resume": "yes"}, "resume", ("off", "marked")),
        ({"requirements": {"telepathy": True}}, "requirements.telepathy", ("tools", "min_context", "allow_models")),
        ({"requirements": {"vision": "yes"}}, "requirements.vision", ("true or false",)),
        ({"requirements": {"minContext": 1.5}}, "requirements.minContext", ("whole number",)),
        ({"requirements": {"allow_models": "a"}}, "requirements.allow_models", ("array",)),
        ({"requirements": [1]}, "requirements", ("object",)),
        ({"requiresTelepathy": True}, "requiresTelepathy", ("requiresVision", "requiresLongContext")),
        ({"requiresVision": 1}, "requiresVision", ("true or false",)),
        ({"profile": ""}, "profile", ("name",)),
        ({"profile": "a", "routerProfile": "b"}, "routerProfile", ("profile",)),
        ({"turn_key": 7}, "turn_key", ("name",)),
        ({"deadline_ms": 0}, "deadline_ms", ("86400000",)),
        ({"fallbacks": {"a": 1}}, "fallbacks", ("array of model names",)),
        ({"budget_micro": 0.5}, "budget_micro", ("millionths",)),
        ({"private": "yes"}, "private", ("true or false",)),
        ({"debug": 1}, "debug", ("true or false",)),
        ({"strict_params": "no"}, "strict_params", ("true or false",)),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(
    dialect: str, said: Mapping[str, Any], field: str, named: tuple[str, ...]
):
    """The error names the field, and the values that there are."""
    with pytest.raises(RequestError) as refused:
        read(dialect, **said)

    assert refused.value.param == field
    assert all(word in str(refused.value) for word in named)


@pytest.mark.parametrize("said", ["local_only", "private"])
def test_what_must_stay_here_stays_here(said: str):
    """Whatever mode is named beside it."""
    assert read("chat", **{said: True, "route": "best"}).route.mode == "local-strict"
    assert read("chat", **{said: False, "route": "best"}).route.mode == "best"


def test_an_effort_that_says_two_things_is_refused():
    """Two keys that differ are a slip, and neither is dropped in silence."""
    with pytest.raises(RequestError) as refused:
        read("chat", reasoning_effort="high", thinking="low")

    assert refused.value.param == "thinking"


@pytest.mark.parametrize(
    "theirs",
    [{"reasoning": {"max_tokens": 5}}, {"thinking": {"type": "enabled"}}, {"debug": {"echo_upstream_body": True}}],
)
def test_what_other_vendors_mean_by_these_names_goes_on_to_them(theirs: dict[str, Any]):
    """Their objects are theirs."""
    request = read("chat", **theirs)

    assert request.extra == theirs
    assert request.reasoning_effort is None
    assert not request.route.explain


def test_no_provider_gets_one_of_our_keys_in_words_that_are_relayed():
    """They are taken out of the caller's body, all else stays."""
    said = {key: value for key, value in EVERYTHING.items() if key not in ("debug", "resume")}
    body = {**MESSAGES, **said, "unheard": 1}
    head = openai_chat.read_head(json.dumps(body).encode())

    assert head is not None
    assert head[0].route == _routing.read(said)
    passed = _relay.unchanged(Sent("openai", body, lambda: head[0]), ModelCard("m", "somebody"), {})
    assert passed == {**MESSAGES, "unheard": 1}


@pytest.mark.parametrize(
    "said",
    [{"thinking": "low"}, {"reasoning": {"effort": "low"}}, {"debug": True}, {"resume": "marked"}, {"route": "no"}],
)
def test_what_the_provider_cannot_be_told_in_the_callers_words_is_translated(said: dict[str, Any]):
    """Our words for effort become the provider's, and an answer with more than the provider says is ours to write."""
    assert openai_chat.read_head(json.dumps({**MESSAGES, **said}).encode()) is None


def test_a_dialects_own_effort_is_relayed():
    """`reasoning` is Responses' own key, `thinking` that of Messages."""
    responses = {"model": "m", "input": "hi", "store": False, "reasoning": {"effort": "low"}}
    messages = {**MESSAGES, "max_tokens": 9, "thinking": {"type": "adaptive"}}

    assert openai_responses.read_head(json.dumps(responses).encode()) is not None
    assert anthropic_messages.read_head(json.dumps(messages).encode()) is not None


def test_what_is_written_is_read_as_the_same():
    """Nothing of the options is lost between our own client and server."""
    assert _routing.read(_routing.write(MEANT)) == MEANT
    assert _routing.write(RouteOptions()) == {}
