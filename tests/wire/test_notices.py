"""What is read of a request and has no effect is told to whoever asked; under strict parameters it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from osaurus_nb.errors import RequestError, Warned
from osaurus_nb.request import ChatRequest
from osaurus_nb.wire import anthropic_messages as anthropic
from osaurus_nb.wire import google_generate as google
from osaurus_nb.wire import openai_chat as chat
from osaurus_nb.wire import openai_responses as responses

HI = [{"role": "user", "content": "hi"}]
CACHED = {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}


def params(request: ChatRequest) -> list[str | None]:
    return [warning.param for warning in request.warnings]


def asked_chat(**fields: Any) -> ChatRequest:
    return chat.decode_request(json.dumps({"model": "m", "messages": HI, **fields}).encode())


def asked_responses(**fields: Any) -> ChatRequest:
    return responses.decode_request(json.dumps({"model": "m", "input": "hi", **fields}).encode())


def asked_messages(version: str | None = "2026-10-21", betas: str | None = None, **fields: Any) -> ChatRequest:
    body = {"model": "m", "max_tokens": 9, "messages": HI, **fields}
    return anthropic.decode_request(json.dumps(body).encode(), version=version, betas=betas)


def test_a_plain_request_has_nothing_to_tell() -> None:
    """Whoever asks as the vendor's documentation says is not warned of anything."""
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {}, "strict": False}}

    assert asked_chat(**streamed, tools=[tool], user="u", store=False).warnings == ()
    assert asked_responses(stream=True, stream_options={"include_obfuscation": False}).warnings == ()
    assert asked_messages(metadata={"user_id": "u"}).warnings == ()


def test_a_version_that_is_missing_is_told_with_the_one_that_was_taken() -> None:
    """Without the header the older version counts, which allows what the newer one refuses."""
    [warning] = asked_messages(version=None, temperature=0.5).warnings

    assert warning == Warned(
        "version_assumed",
        "No 'anthropic-version' came with the request; it was read as 2023-06-01.",
        "anthropic-version",
    )


def test_betas_that_nobody_here_knows_are_named() -> None:
    """They are not passed on; a name that is no name is not repeated."""
    [warning] = asked_messages(betas="files-2026-01-01, <script>,x").warnings

    assert (warning.code, warning.param) == ("beta_ignored", "anthropic-beta")
    assert warning.message.endswith("files-2026-01-01, …, x.")


def test_stream_options_that_change_nothing_are_told() -> None:
    """Without a stream there is nothing to include usage in; a key that we do not know is named."""
    assert params(asked_chat(stream_options={"include_usage": True})) == ["stream_options"]
    assert params(asked_chat(stream=True, stream_options={"include_obfuscation": True})) == [
        "stream_options.include_obfuscation"
    ]
    assert params(asked_responses(stream=True, stream_options={"include_obfuscation": True})) == ["stream_options"]


def test_keys_inside_a_chat_body_that_go_no_further_are_each_told_once() -> None:
    """Unknown keys at the top go along to the provider; those deeper inside have no place to go."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {}, "x-cost": 1}, "cache_control": {"a": 1}}

    request = asked_chat(messages=[{"role": "user", "content": [CACHED, CACHED]}], tools=[tool], custom=1)

    assert params(request) == ["messages.content.cache_control", "tools.cache_control", "tools.function.x-cost"]
    assert {warning.code for warning in request.warnings} == {"key_ignored"}


def test_a_compaction_of_another_server_s_is_told_and_never_refused() -> None:
    """It goes back to its maker whole, and means nothing to anybody else."""
    items = [{"type": "compaction", "encrypted_content": "gAAAAB"}, *HI]

    request = asked_responses(input=items, strict_params=True)

    assert [(warning.code, warning.param) for warning in request.warnings] == [("foreign_compaction", None)]


def test_the_address_wins_over_the_model_in_a_gemini_body() -> None:
    """Another name in the body is told; the same one in full is not."""
    body = {"contents": [{"parts": [{"text": "hi"}]}]}

    other = google.decode_request(json.dumps({**body, "model": "b"}).encode(), model="a")
    same = google.decode_request(json.dumps({**body, "model": "models/a"}).encode(), model="a")

    assert (other.model, params(other)) == ("a", ["model"])
    assert same.warnings == ()


def test_strict_parameters_make_an_error_of_what_has_no_effect() -> None:
    """As with knobs that a provider does not take: the field is named."""
    with pytest.raises(RequestError) as missing:
        asked_messages(version=None, strict_params=True)
    with pytest.raises(RequestError) as idle:
        asked_chat(stream_options={"include_usage": True}, strict_params=True)

    assert (missing.value.param, idle.value.param) == ("anthropic-version", "stream_options")
