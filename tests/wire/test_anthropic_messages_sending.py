"""Messages requests that we send: what a request means arrives, and what cannot is refused or told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb import request as ask
from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.events import Answer, Choice
from osaurus_nb.messages import Media, Message, Reasoning, Text, ToolCall, ToolResult, system, user
from osaurus_nb.models import ModelCard
from osaurus_nb.wire import anthropic_messages as anthropic

CARD = ModelCard("claude-x", "anthropic", max_output_tokens=50_000)
OLD = {"anthropic-version": "2023-06-01"}


def asked(*messages: Message, **fields: Any) -> ask.ChatRequest:
    return ask.ChatRequest("m", messages or (user("hi"),), **fields)


def sent(request: ask.ChatRequest, card: ModelCard = CARD) -> dict[str, Any]:
    return anthropic.encode_request(request, card).body


def warned(request: ask.ChatRequest, card: ModelCard = CARD) -> list[str | None]:
    return [warning.param for warning in anthropic.encode_request(request, card).warnings]


def again(request: ask.ChatRequest, **fields: Any) -> ask.ChatRequest:
    encoded = anthropic.encode_request(request, CARD)
    version = encoded.headers.get("anthropic-version", "2026-10-21")
    return anthropic.decode_request(json.dumps(encoded.body | fields).encode(), version=version)


def test_the_least_request() -> None:
    """A plain question is one user's turn, streamed, with a limit, under the newer version."""
    encoded = anthropic.encode_request(asked(), CARD)

    assert encoded.body == {
        "model": "claude-x",
        "max_tokens": 50_000,
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
    }
    assert (encoded.warnings, encoded.headers) == ((), {})
    assert sent(asked(), ModelCard("x", "lab"))["max_tokens"] == 4096
    assert anthropic.auth("k") == {"x-api-key": "k", "anthropic-version": "2026-10-21"}
    assert (anthropic.endpoint(CARD), anthropic.models_path()) == ("/messages", "/models?limit=1000")


def test_what_the_system_says_is_lifted_out() -> None:
    """All system and developer messages become the system prompt; one that stood later is told."""
    early = asked(system("one"), Message("developer", (Text("two"),)), user("hi"))
    late = asked(user("hi"), system("now"))

    assert sent(early)["system"] == [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert warned(early) == []
    assert sent(late)["system"] == "now"
    assert [warning.code for warning in anthropic.encode_request(late, CARD).warnings] == ["system_moved"]


def test_tool_results_stand_first_in_one_turn() -> None:
    """Results in a row and the user's words after them are one message."""
    request = asked(
        user("?"),
        Message("assistant", (ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "g", ""))),
        Message("tool", (ToolResult("a", (Text("sun"),)),)),
        Message("tool", (ToolResult("b", (Text("bad"),), is_error=True),)),
        user("and?"),
    )

    assert sent(request)["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "sun"},
                {"type": "tool_result", "tool_use_id": "b", "content": "bad", "is_error": True},
                {"type": "text", "text": "and?"},
            ],
        },
    ]


def test_a_foreign_id_is_spelt_in_letters_that_are_taken() -> None:
    """An id of another provider is spelt out alike for the call and for its result."""
    request = asked(
        Message("assistant", (ToolCall("functions.f:0", "f", "{}"),)),
        Message("tool", (ToolResult("functions.f:0", ()),)),
    )

    call, result = (turn["content"][0] for turn in sent(request)["messages"])

    assert call["id"] == result["tool_use_id"] == "functions_2ef_3a0"


def test_broken_arguments_are_refused() -> None:
    """A call whose arguments are no JSON object cannot be sent, and is named without them."""
    with pytest.raises(RequestError, match="'f' are no JSON object") as caught:
        sent(asked(Message("assistant", (ToolCall("a", "f", '{"x": canary'),))))

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
def test_sampling_asks_for_the_older_version(name: str) -> None:
    """Sampling goes out under the version that takes it, unless the model takes none: then it is told."""
    request = asked(sampling=ask.Sampling(**{name: 1}))
    cool = ModelCard("c", "anthropic", quirks=frozenset({"default_sampling"}))

    assert (sent(request)[name], anthropic.encode_request(request, CARD).headers) == (1, OLD)
    assert (name in sent(request, cool), anthropic.encode_request(request, cool).headers) == (False, {})
    assert warned(request, cool) == [name]


def test_tuning_without_a_place_is_told() -> None:
    """Seeds, penalties, biases and other dialects' own keys are left out with a warning each."""
    sampling = ask.Sampling(seed=1, presence_penalty=1.0, frequency_penalty=1.0, logit_bias={"1": 2.0}, temperature=1.5)
    request = asked(Message("user", (Text("hi"),), name="me"), sampling=sampling, extra={"user": "u", "store": None})

    body = sent(request)

    assert body["temperature"] == 1
    assert not {"seed", "presence_penalty", "frequency_penalty", "logit_bias", "user", "store"} & set(body)
    tuned = ["seed", "presence_penalty", "frequency_penalty", "logit_bias", "temperature"]
    assert warned(request) == ["messages.name", *tuned, "user"]


def test_features_without_a_place_are_refused() -> None:
    """More answers than one, sound, and JSON without a schema are refused before the call."""
    sound = Message("user", (Media("audio", "audio/wav", data=b"x"),))
    for request in (
        asked(sampling=ask.Sampling(n=2)),
        asked(sound),
        asked(response_format=ask.ResponseFormat("json_object")),
    ):
        with pytest.raises(Unsupported):
            sent(request)


def test_a_prefill_is_refused_where_the_model_refuses_it() -> None:
    """A conversation that ends with the assistant goes only to models that continue it."""
    request = asked(user("hi"), Message("assistant", (Text("The"),)))

    assert sent(request)["messages"][-1] == {"role": "assistant", "content": "The"}
    with pytest.raises(Unsupported, match="does not continue"):
        sent(request, ModelCard("c", "anthropic", quirks=frozenset({"no_prefill"})))


@pytest.mark.parametrize(
    ("effort", "quirk", "thinking", "level"),
    [
        ("none", "", {"type": "disabled"}, None),
        ("high", "", {"type": "adaptive"}, "high"),
        ("minimal", "", {"type": "adaptive"}, "low"),
        ("medium", "budget_thinking", {"type": "enabled", "budget_tokens": 8192}, None),
        ("max", "budget_thinking", {"type": "enabled", "budget_tokens": 49_999}, None),
    ],
)
def test_effort_is_said_as_the_model_takes_it(effort: Any, quirk: str, thinking: Any, level: Any) -> None:
    """Newer models think adaptively with an effort, older ones by a budget below the limit."""
    body = sent(
        asked(reasoning_effort=effort), ModelCard("c", "anthropic", max_output_tokens=50_000, quirks=frozenset({quirk}))
    )

    assert (body["thinking"], body.get("output_config", {}).get("effort")) == (thinking, level)


def test_a_forced_call_matters_more_than_thinking() -> None:
    """The API takes no forced choice while it thinks: the tuning gives way, and that is told."""
    request = asked(tools=(ask.Tool("f"),), tool_choice="required", reasoning_effort="high")

    assert "thinking" not in sent(request)
    assert warned(request) == ["reasoning_effort"]


def test_schemas_are_made_to_fit_and_told() -> None:
    """Keywords that are refused leave a tool's schema; an answer's schema is closed, and `oneOf` is `anyOf`."""
    tool = ask.Tool("f", parameters={"properties": {}, "oneOf": [{"required": ["a"]}]})
    shape = {"type": "object", "properties": {"oneOf": {"oneOf": [{"type": "string"}]}}}
    request = asked(tools=(tool,), response_format=ask.ResponseFormat("json_schema", "n", shape))

    body = sent(request)

    assert body["tools"][0]["input_schema"] == {"type": "object", "properties": {}}
    assert body["output_config"]["format"]["schema"] == {
        "type": "object",
        "properties": {"oneOf": {"anyOf": [{"type": "string"}]}},
        "additionalProperties": False,
    }
    assert warned(request) == ["tools", "response_format"]


def test_thinking_goes_back_only_to_who_signed_it() -> None:
    """Signed thinking returns in place; that of another provider is left out and told."""
    mine = Reasoning("hm", {"anthropic": {"signature": "s"}})
    theirs = Reasoning("hum", {"openai": {"encrypted_content": "e"}})

    own = asked(Message("assistant", (mine, Text("so"))))
    foreign = asked(Message("assistant", (theirs, Text("so"))))

    signed = {"type": "thinking", "thinking": "hm", "signature": "s"}
    assert sent(own)["messages"][0]["content"] == [signed, {"type": "text", "text": "so"}]
    assert warned(own) == []
    assert sent(foreign)["messages"][0]["content"] == "so"
    codes = [warning.code for warning in anthropic.encode_request(foreign, CARD).warnings]
    assert codes == ["reasoning_dropped", "opaque_state_dropped"]


ODDITIES = {
    "metadata": {"user_id": "u"},
    "cache_control": {"type": "ephemeral"},
    "service_tier": "auto",
    "thinking": {"type": "enabled", "budget_tokens": 5000, "display": "omitted"},
    "output_config": {"effort": "max", "task_budget": {"tokens": 1}},
    "novelty": [1],
    "fallbacks": [{"model": "other"}],
    "tools": [
        {"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}, "defer_loading": True}
    ],
    "system": [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}},
                {
                    "type": "image",
                    "source": {"type": "url", "url": "https://example.org/a"},
                    "cache_control": {"type": "ephemeral"},
                },
                {
                    "type": "document",
                    "source": {"type": "content", "content": [{"type": "text", "text": "inner"}]},
                    "citations": {"enabled": True},
                },
                {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "see", "citations": [{"type": "char_location", "cited_text": "c"}]},
                {"type": "tool_use", "id": "1", "name": "f", "input": {}, "cache_control": {"type": "ephemeral"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "1",
                    "content": [{"type": "text", "text": "r", "cache_control": {"type": "ephemeral"}}],
                    "cache_control": {"type": "ephemeral"},
                }
            ],
        },
    ],
}


def test_what_only_this_dialect_says_comes_out_as_it_came() -> None:
    """From Anthropic's dialect to Anthropic's, nothing of a rich request is lost or told."""
    body = {"model": "claude-x", "max_tokens": 9000, "stream": True, **ODDITIES}

    encoded = anthropic.encode_request(anthropic.decode_request(json.dumps(body).encode()), CARD)

    assert encoded.body == body
    assert encoded.warnings == ()


NAMES = st.text("abcXYZ_-019", min_size=1, max_size=9)
TEXT = st.text(min_size=1, max_size=30)
STATE = st.none() | st.just({"anthropic": {"cache_control": {"type": "ephemeral"}}})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)
WORDS = st.builds(Text, TEXT, STATE)
PICTURES = st.builds(
    lambda data, state: Media("image", "image/png", data=data, provider_metadata=state), st.binary(), STATE
)
SHOWN = st.lists(WORDS | PICTURES, min_size=1, max_size=3).map(tuple)
CALLS = st.builds(
    lambda id, name, value, state: ToolCall(id, name, json.dumps(value, ensure_ascii=False), state),
    NAMES,
    NAMES,
    st.dictionaries(TEXT, JSON, max_size=3),
    STATE,
)
THOUGHTS = st.builds(lambda text, word: Reasoning(text, {"anthropic": {"signature": word}}), TEXT, TEXT) | st.builds(
    lambda word: Reasoning("", {"anthropic": {"data": word}}), TEXT
)
RESULTS = st.builds(ToolResult, NAMES, SHOWN, st.booleans(), STATE)


def _message(role: Any, parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Message]:
    return st.builds(lambda found: Message(role, tuple(found)), parts)


TURNS = st.lists(
    _message("user", SHOWN)
    | _message("assistant", st.lists(THOUGHTS | WORDS | CALLS, min_size=1, max_size=4))
    | _message("tool", st.builds(lambda result: [result], RESULTS)),
    min_size=1,
    max_size=5,
)
SYSTEM = st.just(()) | _message("system", st.lists(WORDS, min_size=1, max_size=2)).map(lambda message: (message,))
SAMPLING = st.builds(
    ask.Sampling,
    max_output_tokens=st.integers(1, 9999),
    temperature=st.none() | st.floats(0, 1),
    top_k=st.none() | st.integers(0, 9),
    stop=st.lists(TEXT, max_size=3).map(tuple),
)
CHOICES = st.none() | st.sampled_from(["auto", "none", "required"]) | st.builds(ask.NamedTool, NAMES)


@given(SYSTEM, TURNS, SAMPLING, CHOICES)
def test_what_we_send_is_what_we_understand(
    opening: tuple[Message, ...], turns: list[Message], sampling: ask.Sampling, choice: ask.ToolChoice | None
) -> None:
    """Encoding a request and decoding it again gives the same request: nothing is lost on the way."""
    request = asked(*opening, *turns, tool_choice=choice, sampling=sampling, extra={"novelty": 1})

    returned = again(request)

    assert returned.messages == request.messages
    assert (returned.sampling, returned.tool_choice) == (sampling, choice)
    assert returned.extra == request.extra
    assert anthropic.encode_request(request, CARD).warnings == ()


def test_state_of_another_dialect_survives_the_caller() -> None:
    """What we sealed into a signature for a caller opens again when the caller gives it back."""
    state = {"openai": {"encrypted_content": "e", "id": "rs_1"}}
    answer = Message("assistant", (Reasoning("hm", state), Text("so")))
    encoder = anthropic.event_encoder(asked(), id="x", created=1)

    content = encoder.body(Answer("p", "m", (Choice(answer, "stop"),)))["content"]
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "assistant", "content": content}]}

    assert anthropic.decode_request(json.dumps(body).encode()).messages[0] == answer
