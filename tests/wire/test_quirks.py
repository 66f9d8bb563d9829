"""What a family's oddity does to a request: it goes out as that family takes it, and what was left out is told."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from osaurus_nb import request as ask
from osaurus_nb.catalog.families import quirks
from osaurus_nb.errors import Unsupported
from osaurus_nb.messages import Message, Reasoning, Text, ToolCall, ToolResult, assistant, user
from osaurus_nb.models import ModelCard
from osaurus_nb.wire import Encoded
from osaurus_nb.wire import anthropic_messages as anthropic
from osaurus_nb.wire import google_generate as google
from osaurus_nb.wire import openai_chat as chat
from osaurus_nb.wire import openai_responses as responses

OPENAI = "api.openai.com"
CALL = ToolCall("toolu_01AbCd", "weather", '{"city": "Paris"}')
OTHER = ToolCall("call_7", "weather", '{"city": "Rome"}')
ROUND = (
    user("Where does it rain?"),
    Message("assistant", (Reasoning("Let me ask."), CALL, OTHER)),
    Message("tool", (ToolResult(CALL.id, (Text("rain"),)),)),
    Message("tool", (ToolResult(OTHER.id, (Text("sun"),)),)),
)
TOOL = ask.Tool("weather", "Weather.", {"type": "object", "properties": {"city": {"type": "string"}}})
UNION = ask.Tool("either", "", {"type": "object", "anyOf": [{"required": ["a"]}], "not": {}, "properties": {}})


def card(id: str, host: str = "") -> ModelCard:
    return ModelCard(id, "lab", quirks=quirks(id, host))


def asked(*messages: Message, **fields: Any) -> ask.ChatRequest:
    return ask.ChatRequest("m", messages or (user("hi"),), **fields)


def told(encoded: Encoded) -> dict[str | None, str]:
    """What was warned of: the code, by the field."""
    return {warning.param: warning.code for warning in encoded.warnings}


def test_a_reasoner_that_does_not_think_takes_sampling() -> None:
    """Only thinking forbids it: with the effort `none` temperature goes out."""
    tuned = ask.Sampling(temperature=0.5, max_output_tokens=9)

    calm = chat.encode_request(asked(sampling=tuned, reasoning_effort="none"), card("gpt-5.2"))
    thinking = chat.encode_request(asked(sampling=tuned), card("gpt-5.2"))

    assert calm.body["temperature"] == 0.5
    assert "temperature" not in thinking.body
    assert thinking.body["max_completion_tokens"] == calm.body["max_completion_tokens"] == 9
    assert told(thinking) == {"temperature": "parameter_dropped"}


def test_what_calls_tools_on_responses_alone_is_refused_on_chat() -> None:
    """The error says which format to give the provider; without tools the question goes out."""
    model = card("gpt-6-astra", OPENAI)

    with pytest.raises(Unsupported, match="openResponses") as caught:
        chat.encode_request(asked(tools=(TOOL,)), model)

    assert caught.value.param == "tools"
    assert "tools" not in chat.encode_request(asked(), model).body
    assert responses.encode_request(asked(tools=(TOOL,)), model).body["tools"]


@pytest.mark.parametrize("effort", [None, "high"])
def test_what_calls_tools_only_unthinking_is_told_not_to_think(effort: ask.Effort | None) -> None:
    """With tools its effort is `none`, and the answer says so; without tools it thinks as it was asked to."""
    model = card("gpt-6-luna", OPENAI)

    calling = chat.encode_request(asked(tools=(TOOL,), reasoning_effort=effort), model)
    talking = chat.encode_request(asked(reasoning_effort=effort), model)

    assert calling.body["reasoning_effort"] == "none"
    assert told(calling) == {"reasoning_effort": "parameter_adjusted"}
    assert talking.body.get("reasoning_effort") == effort
    assert told(talking) == {}


@pytest.mark.parametrize("codec", [chat, responses])
def test_what_always_thinks_thinks_as_little_as_it_can(codec: Any) -> None:
    """An effort that it lacks becomes its least one."""
    encoded = codec.encode_request(asked(reasoning_effort="none"), card("gpt-6-astra", OPENAI))

    assert encoded.body.get("reasoning_effort") == "low" or encoded.body["reasoning"]["effort"] == "low"
    assert told(encoded) == {"reasoning_effort": "parameter_adjusted"}


def test_knobs_of_others_are_left_out_and_told() -> None:
    """The vendor refuses them; any other server of the dialect gets them."""
    knobs = ask.Sampling(top_k=5, min_p=0.1, repetition_penalty=1.1)

    there = chat.encode_request(asked(sampling=knobs), card("gpt-4o", OPENAI))
    elsewhere = chat.encode_request(asked(sampling=knobs), card("llama-3", "127.0.0.1"))

    assert not {"top_k", "min_p", "repetition_penalty"} & there.body.keys()
    assert told(there) == dict.fromkeys(("top_k", "min_p", "repetition_penalty"), "parameter_dropped")
    assert elsewhere.body["top_k"] == 5
    assert told(elsewhere) == {}


@pytest.mark.parametrize("codec", [chat, responses])
def test_each_keyword_that_a_schema_may_not_have_at_its_top_is_told_once(codec: Any) -> None:
    """Two tools with the same keyword make one warning."""
    encoded = codec.encode_request(asked(tools=(UNION, UNION)), card("gpt-4o", OPENAI))

    function = encoded.body["tools"][0].get("function", encoded.body["tools"][0])
    assert function["parameters"] == {"type": "object", "properties": {}}
    assert [re.findall(r"no '(\w+)'", warning.message) for warning in encoded.warnings] == [["anyOf"], ["not"]]
    assert told(encoded) == {"tools": "schema_changed"}


MISTRAL = card("mistral-large-latest", "api.mistral.ai")


def test_a_body_for_mistral_holds_no_key_that_it_does_not_know() -> None:
    """It answers 422 to any other: they are left out, each with its name."""
    request = asked(
        Message("developer", (Text("be brief"),)),
        Message("user", (Text("hi"),), name="ann", extra={"cache": True}),
        sampling=ask.Sampling(seed=7, min_p=0.1, logit_bias={"1": 2.0}, top_k=4, max_output_tokens=9),
        extra={"user": "u", "verbosity": "low", "safe_prompt": True, "store": False, "parallel": None},
    )

    encoded = chat.encode_request(request, MISTRAL)

    assert encoded.body == {
        "model": "mistral-large-latest",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        "stream": True,
        "max_tokens": 9,
        "top_k": 4,
        "random_seed": 7,
        "safe_prompt": True,
    }
    lost = ("logit_bias", "messages.cache", "messages.name", "min_p", "user", "verbosity")
    assert told(encoded) == dict.fromkeys(lost, "parameter_dropped")


def test_a_conversation_that_moves_keeps_its_calls_and_results_together() -> None:
    """Ids of any vendor become nine letters and digits, the same for a call and its result and in every turn."""
    encoded = chat.encode_request(asked(*ROUND), MISTRAL)

    _, said, *results = encoded.body["messages"]
    ids = [call["id"] for call in said["tool_calls"]]
    assert all(re.fullmatch("[a-zA-Z0-9]{9}", id) for id in ids)
    assert ids == [result["tool_call_id"] for result in results]
    assert len(set(ids)) == 2
    assert chat.encode_request(asked(*ROUND), MISTRAL).body == encoded.body


def test_mistral_s_own_ids_stay_as_they_are() -> None:
    """A call that it made itself is found under its own id, at other providers too."""
    own = ToolCall("D681PevKs", "weather", "{}")

    here = chat.encode_request(asked(Message("assistant", (own,))), MISTRAL)
    elsewhere = chat.encode_request(asked(Message("assistant", (own,))), card("gpt-4o"))

    ids = [encoded.body["messages"][0]["tool_calls"][0]["id"] for encoded in (here, elsewhere)]
    assert ids == ["D681PevKs", "D681PevKs"]


def test_mistral_gets_no_thoughts_back() -> None:
    """It refuses them, so that they are left out and told."""
    encoded = chat.encode_request(asked(*ROUND), MISTRAL)

    assert "reasoning_content" not in encoded.body["messages"][1]
    assert [warning.code for warning in encoded.warnings] == ["reasoning_dropped"]


DEEPSEEK = card("deepseek-chat", "api.deepseek.com")


def test_deepseek_gets_its_thoughts_back_beside_calls() -> None:
    """Without them the next turn is a 400; where there were none they are empty, and beside words not needed."""
    silent = Message("assistant", (CALL,))
    plain = Message("assistant", (Reasoning("Easy."), Text("Yes.")))

    encoded = chat.encode_request(asked(*ROUND, silent, plain), DEEPSEEK)

    thoughts = [message.get("reasoning_content") for message in encoded.body["messages"]]
    assert thoughts == [None, "Let me ask.", None, None, "", None]


def test_deepseek_is_told_not_to_think_by_its_switch() -> None:
    """It thinks unless told otherwise, and has no effort `none`."""
    encoded = chat.encode_request(asked(reasoning_effort="none"), DEEPSEEK)

    assert encoded.body["thinking"] == {"type": "disabled"}
    assert "reasoning_effort" not in encoded.body


def test_minimax_gets_its_thoughts_back_inside_the_text() -> None:
    """Between tags, as it writes them; tags that are in a text already stay there."""
    turns = (
        Message("assistant", (Reasoning("Let me ask."), Text("One moment."), CALL)),
        assistant("<think>So.</think>Done."),
    )

    encoded = chat.encode_request(asked(user("hi"), *turns), card("MiniMax-M2.1"))

    said = [message["content"] for message in encoded.body["messages"]]
    assert said == ["hi", "<think>\nLet me ask.\n</think>\n\nOne moment.", "<think>So.</think>Done."]
    assert told(encoded) == {}


def test_thoughts_that_nobody_wants_back_are_told() -> None:
    """Any other family gets none, and the answer says so without being refused under strict parameters."""
    encoded = chat.encode_request(asked(*ROUND), card("llama-3"))

    assert told(encoded) == {None: "reasoning_dropped"}


BUDGET = {"thinking": {"type": "enabled", "budget_tokens": 2048}}
ADAPTIVE = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}


def decoded(**fields: Any) -> ask.ChatRequest:
    body = {"model": "m", "max_tokens": 4096, "messages": [{"role": "user", "content": "hi"}], **fields}
    return anthropic.decode_request(json.dumps(body).encode(), version="2026-10-21")


@pytest.mark.parametrize(
    ("model", "sent", "thinking"),
    [
        ("claude-opus-4-5", BUDGET, {"type": "enabled", "budget_tokens": 2048}),
        ("claude-opus-4-5", ADAPTIVE, {"type": "enabled", "budget_tokens": 4095}),
        ("claude-opus-4-6", BUDGET, {"type": "enabled", "budget_tokens": 2048}),
        ("claude-opus-4-6", ADAPTIVE, {"type": "adaptive"}),
        ("claude-opus-4-7", BUDGET, {"type": "adaptive"}),
        ("claude-opus-4-7", ADAPTIVE, {"type": "adaptive"}),
    ],
)
def test_each_claude_thinks_in_its_own_way(model: str, sent: dict[str, Any], thinking: Any) -> None:
    """A kind of thinking that the model does not know becomes the nearest, and the answer says so."""
    encoded = anthropic.encode_request(decoded(**sent), card(model))

    assert encoded.body["thinking"] == thinking
    changed = encoded.body["thinking"] != sent["thinking"]
    assert ("thinking.type" in told(encoded)) == changed


def test_a_prefill_that_is_not_continued_is_refused_by_its_place() -> None:
    """Claude 4.6 ended it; older ones continue the words."""
    request = asked(user("hi"), assistant("{"))

    with pytest.raises(Unsupported, match="end with one of the user") as caught:
        anthropic.encode_request(request, card("us.anthropic.claude-opus-4-6-v1:0"))

    assert caught.value.param == "messages[1]"
    assert anthropic.encode_request(request, card("claude-opus-4-5")).body["messages"][-1]["content"] == "{"


def test_sampling_is_left_out_where_it_is_refused() -> None:
    """From 4.7 on nothing but the default is taken, under any version."""
    encoded = anthropic.encode_request(asked(sampling=ask.Sampling(temperature=0.2, top_k=3)), card("claude-opus-5"))

    assert not {"temperature", "top_k"} & encoded.body.keys()
    assert encoded.headers == {}
    assert told(encoded) == {"temperature": "parameter_dropped", "top_k": "parameter_dropped"}


@pytest.mark.parametrize(
    ("model", "effort", "config"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-flash", "medium", {"thinkingBudget": 8192, "includeThoughts": True}),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-3-pro-preview", "minimal", {"thinkingLevel": "LOW", "includeThoughts": True}),
        ("gemini-3.5-flash", "minimal", {"thinkingLevel": "MINIMAL", "includeThoughts": True}),
    ],
)
def test_each_gemini_thinks_in_its_own_way(model: str, effort: ask.Effort, config: Any) -> None:
    """By a budget or by a level; one that cannot stop thinking thinks as little as it can, and that is told."""
    encoded = google.encode_request(asked(reasoning_effort=effort), card(model))

    assert encoded.body["generationConfig"]["thinkingConfig"] == config
    assert ("reasoning_effort" in told(encoded)) == model.endswith(("-pro", "-pro-preview"))


def test_what_3_6_ended_is_told_or_refused() -> None:
    """Sampling is left out; an answer that was begun and a second candidate are refused."""
    model = card("gemini-3.6-flash")

    encoded = google.encode_request(asked(sampling=ask.Sampling(temperature=0.2, top_p=0.5, seed=1)), model)

    assert encoded.body["generationConfig"] == {"seed": 1}
    assert told(encoded) == {"temperature": "parameter_dropped", "top_p": "parameter_dropped"}
    with pytest.raises(Unsupported, match="end with one of the user"):
        google.encode_request(asked(user("hi"), assistant("{")), model)
    with pytest.raises(Unsupported) as caught:
        google.encode_request(asked(sampling=ask.Sampling(n=2)), model)
    assert caught.value.param == "n"


@pytest.mark.parametrize(("model", "signed"), [("gemini-2.5-pro", False), ("models/gemini-3-pro-preview", True)])
def test_a_call_of_another_s_is_signed_where_it_has_to_be(model: str, signed: bool) -> None:
    """From 3 on the first call of a turn bears a signature, the documented one where there is none."""
    encoded = google.encode_request(asked(*ROUND, tools=(TOOL,)), card(model))

    call = next(part for part in encoded.body["contents"][1]["parts"] if "functionCall" in part)
    assert ("thoughtSignature" in call) == signed


@pytest.mark.parametrize(
    ("model", "key"), [("gemini-2.0-flash", "parameters"), ("gemini-2.5-flash", "parametersJsonSchema")]
)
def test_schemas_are_written_as_the_generation_reads_them(model: str, key: str) -> None:
    """Before 2.5 only as the vendor's subset."""
    encoded = google.encode_request(asked(tools=(TOOL,)), card(model))

    assert key in encoded.body["tools"][0]["functionDeclarations"][0]


@pytest.mark.parametrize("codec", [chat, responses, anthropic, google])
def test_a_tool_is_the_same_prompt_however_its_schema_was_ordered(codec: Any) -> None:
    """Keys are sorted, so that a cached prefix is found; a strict tool is written in its own order."""
    backwards = dict(reversed(TOOL.parameters.items()))
    properties = {"why": {"type": "string"}, "answer": {"type": "string"}}
    strict = ask.Tool("t", parameters={"type": "object", "properties": properties}, strict=True)

    bodies = [
        json.dumps(codec.encode_request(asked(tools=(ask.Tool("t", parameters=schema),)), card("m")).body["tools"])
        for schema in (TOOL.parameters, backwards)
    ]
    kept = json.dumps(codec.encode_request(asked(tools=(strict,)), card("m")).body["tools"])

    assert bodies[0] == bodies[1]
    assert kept.index('"why"') < kept.index('"answer"')
