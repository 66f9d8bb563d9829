"""Whatever a stranger sends, in every dialect: a request, or a RequestError that repeats nothing of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osaurus_nb.errors import RequestError
from osaurus_nb.wire import anthropic_messages as anthropic
from osaurus_nb.wire import google_generate as google
from osaurus_nb.wire import ollama_chat as ollama
from osaurus_nb.wire import openai_chat as chat
from osaurus_nb.wire import openai_completions as completions
from osaurus_nb.wire import openai_responses as responses
from osaurus_nb.wire.decisions import google as google_decisions
from osaurus_nb.wire.decisions import openai as openai_decisions
from osaurus_nb.wire.decisions import systemone
from osaurus_nb.wire.embeddings import google as google_vectors
from osaurus_nb.wire.embeddings import ollama as ollama_vectors
from osaurus_nb.wire.embeddings import openai as openai_vectors

Decode = Callable[[bytes], object]

#: Stands in every value, and in no message.
SECRET = "s3cr3t"
PNG = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
_CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}

BODIES: dict[str, tuple[Decode, dict[str, Any]]] = {
    "chat": (
        chat.decode_request,
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "be brief"},
                {
                    "role": "user",
                    "name": "ann",
                    "content": [
                        {"type": "text", "text": "hi"},
                        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
                        {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
                        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PNG}"}},
                    ],
                },
                {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [_CALL]},
                {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}},
            "stream": True,
            "stream_options": {"include_usage": True},
            "stop": ["x"],
            "temperature": 0.5,
            "max_tokens": 9,
            "logit_bias": {"1": 2.0},
            "deadline_ms": 5000,
            "fallbacks": ["n"],
        },
    ),
    "responses": (
        responses.decode_request,
        {
            "model": "m",
            "instructions": "be brief",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
                {"type": "reasoning", "id": "r", "summary": [{"text": "hm"}], "encrypted_content": "x"},
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
                {"type": "compaction", "encrypted_content": "osaurus1.e30="},
                {"type": "message", "role": "assistant", "content": "so", "phase": "final_answer"},
            ],
            "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}],
            "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
            "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}, "verbosity": "low"},
            "reasoning": {"effort": "low", "summary": "auto"},
            "include": ["message.output_text.logprobs"],
            "metadata": {"a": "b"},
            "max_output_tokens": 9,
        },
    ),
    "anthropic": (
        partial(anthropic.decode_request, version="2023-06-01"),
        {
            "model": "m",
            "max_tokens": 2000,
            "system": [{"type": "text", "text": "be brief"}],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                        {"type": "document", "title": "t", "source": {"type": "text", "data": "words"}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "x"},
                        {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
                    ],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "sunny"}]},
            ],
            "tools": [{"name": "f", "input_schema": SCHEMA}],
            "tool_choice": {"type": "tool", "name": "f"},
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
            "metadata": {"user_id": "u"},
            "stop_sequences": ["x"],
        },
    ),
    "google": (
        partial(google.decode_request, model="m"),
        {
            "systemInstruction": {"parts": [{"text": "be brief"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "hi"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]},
                {"role": "model", "parts": [{"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}}]},
                {"role": "user", "parts": [{"functionResponse": {"id": "c1", "name": "f", "response": {"output": 1}}}]},
                {"role": "model", "parts": [{"text": "so", "thought": True, "thoughtSignature": "eA=="}]},
            ],
            "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "minItems": "1"}}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
            "generationConfig": {
                "responseMimeType": "application/json",
                "responseSchema": {"type": "STRING", "nullable": True},
                "thinkingConfig": {"thinkingBudget": 10, "includeThoughts": True},
                "topK": 4.0,
                "candidateCount": 1,
            },
            "safetySettings": [{"category": "c"}],
        },
    ),
    "ollama": (
        ollama.decode_request,
        {
            "model": "m",
            "messages": [
                {"role": "user", "content": "hi", "images": [PNG]},
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}],
                },
                {"role": "tool", "tool_name": "f", "content": "sunny"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
            "format": SCHEMA,
            "think": "low",
            "keep_alive": "5m",
            "options": {"num_predict": 3, "stop": ["x"], "temperature": 0.1},
        },
    ),
    "ollama generate": (
        ollama.decode_generate,
        {"model": "m", "prompt": "hi", "system": "be brief", "images": [PNG], "format": "json", "think": True},
    ),
    "anthropic count": (
        anthropic.decode_count,
        {"model": "m", "system": "s", "messages": [{"role": "user", "content": "hi"}]},
    ),
    "google count": (
        partial(google.decode_count, model="m"),
        {"generateContentRequest": {"model": "m", "contents": [{"parts": [{"text": "hi"}]}]}},
    ),
    "completions": (
        completions.decode_request,
        {"model": "m", "prompt": "hi", "max_tokens": 5, "stop": "x", "logprobs": 2, "deadline_ms": 9, "stream": True},
    ),
    "embeddings": (
        openai_vectors.decode_request,
        {"model": "m", "input": ["hi"], "dimensions": 8, "encoding_format": "base64"},
    ),
    "google embeddings": (
        partial(google_vectors.decode_request, model="m"),
        {"requests": [{"model": "m", "content": {"parts": [{"text": "hi"}]}, "outputDimensionality": 8}]},
    ),
    "ollama embeddings": (
        ollama_vectors.decode_request,
        {"model": "m", "input": ["hi"], "truncate": True, "dimensions": 8, "keep_alive": 5, "options": {"num_ctx": 9}},
    ),
    "decisions": (
        openai_decisions.decode_request,
        {
            "model": "m",
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
            "questions": [
                {"type": "predicate", "name": "a", "instructions": "is it?"},
                {"type": "choice", "instructions": "which?", "choices": [{"value": "x"}, {"value": True}]},
                {"type": "score", "instructions": "how?", "levels": [{"label": "low"}, {"label": "high"}]},
            ],
        },
    ),
    "systemone": (
        systemone.decode_request,
        {
            "model": "m",
            "state": {"a": 1},
            "questions": {"b": {"type": "choice", "instructions": "which?", "criteria": {"x": None, "y": "why"}}},
        },
    ),
    "google decisions": (
        google_decisions.decode_request,
        {
            "model": "m",
            "input": "hi",
            "questions": {"b": {"type": "choice", "instructions": "which?", "criteria": {"x": None, "y": "why"}}},
        },
    ),
}
DIALECTS = pytest.mark.parametrize("dialect", BODIES)


def answered(decode: Decode, body: bytes) -> RequestError | None:
    """What was refused, if it was. Anything else that is raised fails the test."""
    try:
        decode(body)
    except RequestError as error:
        return error
    return None


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every value inside this one."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(found for key, child in inner for found in places(child, (*path, key)))]


def changed(body: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    made = copy.deepcopy(body)
    target: Any = made
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return made


_WORDS = st.sampled_from([SECRET, f"data:image/png;base64,{SECRET}!", f"osaurus1.{SECRET}", f"https://{SECRET}", ""])
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**300, max_value=10**400),
    st.floats(allow_nan=False, allow_infinity=False),
    _WORDS,
    st.text(max_size=5).map(lambda text: SECRET + text),
)
_KEYS = st.sampled_from(["type", "text", "role", "content", "name", "id", "parts", "data", "url", "input", "x-y"])
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=3)),
    max_leaves=6,
)


@DIALECTS
def test_the_bodies_that_are_changed_below_are_good(dialect: str) -> None:
    """Each body is taken as it stands, so that the changes below reach every field."""
    decode, body = BODIES[dialect]

    assert answered(decode, json.dumps(body).encode()) is None


@DIALECTS
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_value_anywhere_is_taken_or_refused_without_being_repeated(dialect: str, data: st.DataObject) -> None:
    """A value of any kind in any place makes a request or a RequestError that does not quote it."""
    decode, body = BODIES[dialect]
    for _ in range(data.draw(st.integers(1, 2))):
        body = changed(body, data.draw(st.sampled_from(places(body))), data.draw(_VALUES))

    error = answered(decode, json.dumps(body).encode())

    assert error is None or SECRET not in f"{error.message} {error.param}"


@DIALECTS
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_bytes_that_were_damaged_are_refused_without_being_repeated(dialect: str, data: st.DataObject) -> None:
    """Bytes put into a body, cut out of it or cut off are a fault with a place, not a crash."""
    decode, body = BODIES[dialect]
    content = json.dumps({**body, "user": SECRET}).encode()
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.one_of(st.just(start), st.just(len(content)), st.integers(start, min(start + 9, len(content)))))
    odd = st.sampled_from([b"\xff", b"\x00", b"\\ud800", b"NaN", b"-Infinity", b"1e999", b"[" * 300, b'"', b"9" * 5000])
    content = content[:start] + data.draw(st.one_of(st.binary(max_size=4), odd)) + content[end:]

    error = answered(decode, content)

    assert error is None or SECRET not in f"{error.message} {error.param}"


HEADS = {"chat": chat.read_head, "responses": responses.read_head, "anthropic": anthropic.read_head}


@pytest.mark.parametrize("dialect", HEADS)
@settings(max_examples=60, deadline=None)
@given(value=_VALUES, key=st.sampled_from(["model", "stream", "fallbacks", "deadline_ms", "store", "strict_params"]))
def test_a_head_is_read_or_left_to_those_who_read_all(dialect: str, value: Any, key: str) -> None:
    """The quick look at a body that may be handed on gives up on what is odd, and never fails."""
    body = {**BODIES[dialect][1], "store": False, key: value}

    head = HEADS[dialect](json.dumps(body).encode())

    assert head is None or isinstance(head[0].model, str)
