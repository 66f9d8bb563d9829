"""What the Router is asked: the rules that Chat Completions does not have, and bytes that stay the same."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from osaurus_nb.errors import Unsupported
from osaurus_nb.messages import Media, Message, Text, ToolCall, ToolResult, assistant, image, system, tool_result, user
from osaurus_nb.models import ModelCard
from osaurus_nb.request import ChatRequest, Sampling
from osaurus_nb.wire.osaurus_router import encode_request, freeze

CARD = ModelCard("venice/model-b", "osaurus")
CALL = ToolCall("call_1", "weather", "{}")


def ask(*messages: Message, **fields: Any) -> ChatRequest:
    return ChatRequest("osaurus/venice/model-b", messages, **fields)


def body(*messages: Message, **fields: Any) -> dict[str, Any]:
    return encode_request(ask(*messages, **fields), CARD).body


def test_a_cap_of_our_own_where_none_was_asked_for() -> None:
    """Without `max_tokens` it is 16384, with one it is that, and the balance is not clamped to."""
    default, asked = body(user("hi")), body(user("hi"), sampling=Sampling(max_output_tokens=7))

    assert (default["max_tokens"], asked["max_tokens"]) == (16_384, 7)
    assert default["clamp_to_balance"] is False
    assert default["stream"] is True


def test_a_caller_may_clamp_to_the_balance_himself() -> None:
    """What a caller says in so many words is not overridden."""
    assert body(user("hi"), extra={"clamp_to_balance": True})["clamp_to_balance"] is True


def test_results_of_one_call_are_merged_within_a_run_only() -> None:
    """Two results for one call become one, in order; a later run stays apart, and other calls are untouched."""
    other = ToolCall("call_2", "time", "{}")
    turns = [assistant(CALL, other), tool_result(CALL, "a"), tool_result(other, "b"), tool_result(CALL, "c")]
    sent = body(user("hi"), *turns, user("and?"), assistant(CALL), tool_result(CALL, "d"))["messages"]

    results = [(turn["tool_call_id"], turn["content"]) for turn in sent if turn["role"] == "tool"]
    assert results == [("call_1", "a\nc"), ("call_2", "b"), ("call_1", "d")]


def test_the_same_result_twice_is_one() -> None:
    """A repeated result is not told twice."""
    sent = body(user("hi"), assistant(CALL), tool_result(CALL, "a"), tool_result(CALL, "a"))["messages"]

    assert [turn["content"] for turn in sent if turn["role"] == "tool"] == ["a"]


def test_results_with_pictures_merge_as_parts() -> None:
    """Nothing of a result is lost when one is text and the other is not."""
    picture = Message("tool", (ToolResult("call_1", (image(b"\x89PNG\r\n\x1a\n"),)),))
    sent = body(user("hi"), assistant(CALL), tool_result(CALL, "a"), picture)["messages"]

    assert [part["type"] for part in sent[-1]["content"]] == ["text", "image_url"]


def test_an_unfinished_turn_at_the_end_is_left_out_and_told() -> None:
    """A prefill goes; turns with calls stay, and so does one that is all there is."""
    encoded = encode_request(ask(user("hi"), assistant("Well"), assistant(",")), CARD)
    kept = body(user("hi"), assistant("Calling", CALL))["messages"]

    assert [turn["role"] for turn in encoded.body["messages"]] == ["user"]
    assert [warning.code for warning in encoded.warnings] == ["prefill_dropped"]
    assert [turn["role"] for turn in kept] == ["user", "assistant"]
    assert len(body(assistant("alone"))["messages"]) == 1


def test_the_assistants_words_are_always_a_string() -> None:
    """Also beside calls, where there are none, and where they came in parts."""
    sent = body(user("hi"), assistant(CALL), tool_result(CALL, "x"), assistant("a", "b"), user("go"))["messages"]

    assert [turn["content"] for turn in sent if turn["role"] == "assistant"] == ["", "ab"]


def test_what_cannot_be_a_string_is_refused() -> None:
    """A picture in a turn of the assistant is an error before anything is sent, not a loss."""
    with pytest.raises(Unsupported, match="only text"):
        body(assistant(Text("see"), Media("image", "image/png", b"x")), user("go"))


def test_the_users_parts_and_the_system_stay_as_they_are() -> None:
    """Nothing is moved into another prompt."""
    sent = body(system("be brief"), user("look", image(b"\x89PNG\r\n\x1a\n")))["messages"]

    assert sent[0] == {"role": "system", "content": "be brief"}
    assert [part["type"] for part in sent[1]["content"]] == ["text", "image_url"]


def test_bytes_and_key_are_the_same_each_time() -> None:
    """Whoever encodes the same step again sends the same bytes under the same key."""
    one, two = (freeze(body(user("hi")), run="run", step="step") for _ in range(2))

    assert one == two
    assert one.key.startswith("run:step:")
    assert json.loads(one.content)["idempotency_key"] == one.key


@pytest.mark.parametrize("change", [{"messages": (user("ho"),)}, {"sampling": Sampling(temperature=0.5)}])
def test_another_question_has_another_key(change: dict[str, Any]) -> None:
    """One key never stands for two bodies."""
    first = ask(user("hi"))
    keys = {
        freeze(encode_request(each, CARD).body, run="r", step="s").key for each in (first, replace(first, **change))
    }

    assert len(keys) == 2


def test_each_candidate_has_a_key_of_its_own() -> None:
    """Two models of the Router in one step are two charges."""
    keys = {
        freeze(encode_request(ask(user("hi")), replace(CARD, id=id)).body, run="r", step="s").key for id in ("a", "b")
    }

    assert len(keys) == 2


def test_a_callers_own_key_is_kept_over_other_bodies() -> None:
    """It is his promise that the body is the same; the Router refuses another one. In the body it counts as well."""
    given = [freeze(body(user(said)), run="r", step=said, given="mine") for said in ("hi", "ho")]
    inside = freeze(body(user("hi"), extra={"idempotency_key": "mine"}), run="r", step="s")

    assert given[0].key == given[1].key == inside.key
    assert given[0].key.startswith("mine:")
    assert given[0].content != given[1].content


def test_a_key_and_what_is_sent_are_not_in_its_repr() -> None:
    """A log that shows it shows no prompt."""
    assert "hush" not in repr(freeze(body(user("hush")), run="r", step="s"))
