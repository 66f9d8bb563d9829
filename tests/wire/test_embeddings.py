"""Embeddings in three dialects: what is asked arrives or is told, and only vectors are an answer."""

from __future__ import annotations

import base64
import json
import struct
from itertools import product
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osaurus_nb.embeddings import EmbeddingRequest, Embeddings
from osaurus_nb.errors import BadAnswer, ProviderError, RateLimited, RequestError, Unsupported
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.wire import embeddings
from osaurus_nb.wire.embeddings import google, ollama, openai

CARD = ModelCard("m", "lab")
DIALECTS = [openai, google, ollama]
PAIRS = list(product(DIALECTS, DIALECTS))
REQUEST = EmbeddingRequest("m", ("one", "two"))

texts = st.lists(st.text(min_size=1).filter(lambda text: text.isprintable()), min_size=1, max_size=5).map(tuple)
numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
vectors = st.integers(1, 6).flatmap(
    lambda width: st.lists(st.lists(numbers, min_size=width, max_size=width), min_size=1, max_size=4)
)


def read(codec: ModuleType, body: Any) -> EmbeddingRequest:
    """As a server of the dialect reads it."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    request: EmbeddingRequest = codec.decode_request(sent, model="m") if codec is google else codec.decode_request(sent)
    return request


def through(codec: ModuleType, request: EmbeddingRequest) -> EmbeddingRequest:
    """What a server of this dialect understands of what a client of it sends."""
    return read(codec, codec.encode_request(request, CARD).body)


@pytest.mark.parametrize(("caller", "provider"), PAIRS)
@settings(max_examples=60, deadline=None)
@given(inputs=texts, dimensions=st.none() | st.integers(1, 4096))
def test_texts_and_dimensions_reach_every_provider(caller, provider, inputs, dimensions):
    """Whatever the two dialects."""
    asked = through(caller, EmbeddingRequest("m", inputs, dimensions))

    arrived = through(provider, asked)

    assert (arrived.model, arrived.inputs, arrived.dimensions) == ("m", inputs, dimensions)


@pytest.mark.parametrize(("caller", "provider"), PAIRS)
@settings(max_examples=60, deadline=None)
@given(found=vectors, tokens=st.none() | st.integers(0, 10**6))
def test_vectors_come_back_as_they_were(caller, provider, found, tokens):
    """The same numbers in the same order, behind two dialects; tokens that nobody counted stay unknown or marked."""
    asked = through(caller, EmbeddingRequest("m", tuple("x" * len(found))))
    usage = None if tokens is None else Usage(input_tokens=tokens)

    there = through(provider, asked)
    wire = provider.encode_response(Embeddings("far", "real", tuple(found), usage), there, seconds=0.5)
    answer = provider.decode_response(json.loads(json.dumps(wire)), CARD, asked)
    wire = caller.encode_response(answer, asked, seconds=0.5)
    again = caller.decode_response(json.loads(json.dumps(wire)), CARD, asked)

    assert [list(vector) for vector in again.vectors] == found
    if tokens is None:
        assert again.usage is None or again.usage.estimated
    else:
        assert again.usage == usage


@pytest.mark.parametrize("codec", DIALECTS)
def test_words_of_the_same_dialect_go_along_intact(codec):
    """Keys that we know nothing of too."""
    bodies: dict[ModuleType, dict[str, Any]] = {
        openai: {"model": "m", "input": ["one", "two"], "encoding_format": "float", "user": "me", "novel": [1]},
        ollama: {
            "model": "m",
            "input": ["one", "two"],
            "truncate": False,
            "keep_alive": "5m",
            "options": {"num_ctx": 9},
            "novel": {"a": 1},
        },
        google: {
            "novel": True,
            "requests": [
                {
                    "model": "models/m",
                    "content": {"role": "user", "parts": [{"text": "one"}]},
                    "taskType": "RETRIEVAL_DOCUMENT",
                    "title": "First",
                    "outputDimensionality": 3,
                },
                {
                    "model": "models/m",
                    "content": {"role": "user", "parts": [{"text": "t"}, {"text": "wo"}]},
                    "outputDimensionality": 3,
                    "other": 1,
                },
            ],
        },
    }
    request = read(codec, bodies[codec])

    encoded = codec.encode_request(request, CARD)

    assert encoded.body == bodies[codec]
    assert encoded.warnings == ()
    assert request.inputs == ("one", "two")


@pytest.mark.parametrize(
    ("body", "codec", "told"),
    [
        (
            {"requests": [{"content": {"parts": [{"text": "x"}]}, "taskType": "T", "title": "t"}]},
            openai,
            ["taskType", "title"],
        ),
        (
            {"requests": [{"content": {"parts": [{"text": "x"}]}, "embed_content_config": {"taskType": "T"}}]},
            ollama,
            ["embedContentConfig"],
        ),
        ({"requests": [{"content": {"parts": [{"text": "x"}]}}]}, ollama, []),
    ],
)
def test_words_of_google_are_told_elsewhere(body, codec, told):
    """By their names; a batch without any is not spoken of."""
    request = google.decode_request(json.dumps(body).encode(), model="m")

    warnings = codec.encode_request(request, CARD).warnings

    assert [warning.param for warning in warnings] == told


def test_words_of_ollama_and_openai_are_told_elsewhere():
    """How long to keep a model, and for whom an answer is, mean nothing to the others."""
    kept = read(ollama, {"model": "m", "input": "x", "keep_alive": 5, "truncate": False})
    labelled = read(openai, {"model": "m", "input": "x", "user": "me"})

    assert [w.param for w in openai.encode_request(kept, CARD).warnings] == ["keep_alive"]
    assert [w.param for w in google.encode_request(kept, CARD).warnings] == ["keep_alive", "truncate"]
    assert [w.param for w in google.encode_request(labelled, CARD).warnings] == ["user"]
    assert [w.param for w in ollama.encode_request(labelled, CARD).warnings] == ["user"]
    assert "user" not in ollama.encode_request(labelled, CARD).body


def test_long_texts_are_cut_for_callers_of_ollama_unless_they_say_no():
    """As the vendor does; in the other dialects nobody has said anything."""
    asked = {"model": "m", "input": "x"}

    told = [read(ollama, asked | more).truncate for more in ({}, {"truncate": True}, {"truncate": False})]

    assert told == [True, True, False]
    assert read(openai, asked).truncate is None
    assert "truncate" not in ollama.encode_request(read(ollama, asked), CARD).body


def test_a_word_for_google_may_come_from_any_caller():
    """It is said of every text, where Google reads it."""
    request = read(openai, {"model": "m", "input": ["x", "y"], "taskType": "CLUSTERING"})

    body = google.encode_request(request, CARD).body

    assert [row["taskType"] for row in body["requests"]] == ["CLUSTERING"] * 2
    assert set(body) == {"requests"}


def test_dimensions_are_found_wherever_google_writes_them():
    """In either spelling, beside the text or in its settings."""
    content = {"parts": [{"text": "x"}]}
    rows = [
        {"content": content, "outputDimensionality": 4},
        {"content": content, "output_dimensionality": 4},
        {"content": content, "embedContentConfig": {"outputDimensionality": 4}},
    ]

    request = google.decode_request(json.dumps({"requests": rows}).encode(), model="models/m")

    assert request.dimensions == 4
    assert [row["outputDimensionality"] for row in google.encode_request(request, CARD).body["requests"]] == [4] * 3
    assert openai.encode_request(request, CARD).warnings == ()


TEXT = {"parts": [{"text": "x"}]}


@pytest.mark.parametrize(
    ("codec", "body", "param"),
    [
        (openai, {"input": "x"}, "model"),
        (openai, {"model": "", "input": "x"}, "model"),
        (openai, {"model": "m"}, "input"),
        (openai, {"model": "m", "input": None}, "input"),
        (openai, {"model": "m", "input": True}, "input"),
        (openai, {"model": "m", "input": [True]}, "input[0]"),
        (openai, {"model": "m", "input": []}, "input"),
        (openai, {"model": "m", "input": ["x", ""]}, "input[1]"),
        (openai, {"model": "m", "input": ["x", None]}, "input[1]"),
        (openai, {"model": "m", "input": [1, 2]}, "input"),
        (openai, {"model": "m", "input": [[1], [2]]}, "input"),
        (openai, {"model": "m", "input": ["x"] * 2049}, "input"),
        (openai, {"model": "m", "input": "x", "dimensions": 0}, "dimensions"),
        (openai, {"model": "m", "input": "x", "dimensions": "8"}, "dimensions"),
        (openai, {"model": "m", "input": "x", "encoding_format": "int8"}, "encoding_format"),
        (ollama, {"model": "m"}, "input"),
        (ollama, {"model": "m", "input": {}}, "input"),
        (ollama, {"model": "m", "input": "x", "truncate": "no"}, "truncate"),
        (ollama, {"model": "m", "input": "x", "dimensions": -1}, "dimensions"),
        (ollama, {"model": "m", "input": "x", "options": []}, "options"),
        (ollama, {"model": "m", "input": "x", "keep_alive": []}, "keep_alive"),
        (google, {}, "requests"),
        (google, {"requests": []}, "requests"),
        (google, {"requests": [{}]}, "requests[0].content"),
        (google, {"requests": [{"content": {}}]}, "requests[0].content"),
        (google, {"requests": [{"content": TEXT}] * 101}, "requests"),
        (google, {"requests": [{"content": TEXT, "outputDimensionality": 0}]}, "requests[0].outputDimensionality"),
        (google, {"requests": [{"content": TEXT}, {"content": TEXT, "model": "models/n"}]}, "requests[1].model"),
        (
            google,
            {"requests": [{"content": TEXT}, {"content": TEXT, "outputDimensionality": 2}]},
            "requests[1].outputDimensionality",
        ),
        (
            google,
            {"requests": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}}]},
            "requests[0].content.parts[0].inlineData",
        ),
    ],
)
def test_a_bad_body_is_refused_by_its_field(codec, body, param):
    """With the caller's own spelling, and without what it holds."""
    with pytest.raises(RequestError) as refused:
        read(codec, body)

    assert refused.value.param == param


def test_one_text_of_google_and_a_prompt_of_ollama_are_refused_by_their_fields():
    """The paths for one text have fields of their own."""
    with pytest.raises(RequestError) as empty:
        google.decode_request(b'{"content": {"parts": []}}', model="m", batch=False)
    with pytest.raises(RequestError) as missing:
        ollama.decode_legacy(b'{"model": "m"}')
    with pytest.raises(RequestError) as blank:
        ollama.decode_legacy(b'{"model": "m", "prompt": ""}')

    assert [error.value.param for error in (empty, missing, blank)] == ["content", "prompt", "prompt"]


@pytest.mark.parametrize("codec", DIALECTS)
@settings(max_examples=60, deadline=None)
@given(
    body=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["model", "input", "requests", "content", "parts", "text", "dimensions", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode())
)
def test_no_body_is_a_fault_of_ours(codec, body):
    """It is read or refused as the caller's."""
    try:
        request = read(codec, body)
    except RequestError:
        return

    assert all(request.inputs)


@pytest.mark.parametrize("codec", DIALECTS)
@settings(max_examples=60, deadline=None)
@given(
    payload=st.dictionaries(
        st.sampled_from(
            ["data", "embeddings", "embedding", "usage", "usageMetadata", "model", "error", "prompt_eval_count"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["index", "embedding", "values", "prompt_tokens", "promptTokenCount", "message"]),
                    inner,
                    max_size=3,
                )
            ),
            max_leaves=10,
        ),
    )
)
def test_no_answer_of_a_provider_is_a_fault_of_ours(codec, payload):
    """It is one vector for each text, or theirs to explain."""
    try:
        answer = codec.decode_response(payload, CARD, REQUEST)
    except ProviderError:
        return

    assert len(answer.vectors) == 2
    assert len({len(vector) for vector in answer.vectors}) == 1


def packed(*values: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def test_openai_rows_are_read_by_their_index():
    """In whatever order and form they come."""
    rows = [{"index": 1, "embedding": [3, 4]}, {"index": 0, "embedding": packed(1, 2)}]

    answer = openai.decode_response({"data": rows, "model": "real"}, CARD, REQUEST)

    assert answer.vectors == ([1.0, 2.0], [3.0, 4.0])
    assert (answer.provider, answer.model, answer.usage) == ("lab", "real", None)


def rows(*vectors: Any) -> dict[str, Any]:
    return {"data": [{"embedding": vector} for vector in vectors]}


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"data": []},
        {"data": [{}, {}]},
        {"data": "xy"},
        rows([1.0]),
        rows([1.0], [1.0], [1.0]),
        rows([1.0], [1.0, 2.0]),
        rows([], []),
        rows([1.0], [float("nan")]),
        rows([1.0], [float("inf")]),
        rows([1.0], [1e300]),
        rows([1.0], ["1.0"]),
        rows([1.0], [10**400]),
        rows([1.0], "AAAA"),
        rows([1.0], "no base64"),
        rows([1.0], None),
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"embedding": [1.0]}]},
    ],
)
def test_what_is_not_one_vector_for_each_text_is_no_answer(payload):
    """Too few, too many, uneven, not finite, not numbers, in no order."""
    with pytest.raises(BadAnswer):
        openai.decode_response(payload, CARD, REQUEST)


@pytest.mark.parametrize("codec", DIALECTS)
def test_an_error_inside_an_answer_is_raised_as_what_it_is(codec):
    """Some send it with a status of success."""
    with pytest.raises(RateLimited):
        codec.decode_response({"error": {"message": "slow down", "code": "rate_limit"}}, CARD, REQUEST)


@pytest.mark.parametrize(
    ("codec", "payload"),
    [
        (openai, rows([1.0, 2.0], [1.0, 2.0])),
        (google, {"embeddings": [{"values": [1.0, 2.0]}] * 2}),
        (ollama, {"embeddings": [[1.0, 2.0]] * 2}),
    ],
)
def test_a_model_that_shortens_nothing_is_found_out(codec, payload):
    """Vectors of another length than was asked for are refused, not handed on."""
    asked = EmbeddingRequest("m", ("one", "two"), dimensions=1)

    with pytest.raises(Unsupported) as refused:
        codec.decode_response(payload, CARD, asked)

    assert refused.value.param == "dimensions"


def test_paths_name_the_model_where_the_vendor_does():
    """Ids with odd characters are quoted, tuned models have their own folder."""
    assert openai.endpoint(CARD) == "/embeddings"
    assert ollama.endpoint(CARD) == "/api/embed"
    assert google.endpoint(CARD) == "/models/m:batchEmbedContents"
    assert google.endpoint(ModelCard("tunedModels/a b", "lab")) == "/tunedModels/a%20b:batchEmbedContents"


def test_formats_are_found_by_the_names_of_the_settings():
    """A dialect without embeddings says so, as the caller's error."""
    assert embeddings.load("gemini", "lab") is google

    with pytest.raises(Unsupported) as refused:
        embeddings.load("anthropic", "claude")

    assert (refused.value.param, "claude" in str(refused.value)) == ("model", True)


def test_pieces_come_back_as_one_answer():
    """In order, with each warning once; tokens only where every piece was counted."""
    pieces = list(embeddings.parts(EmbeddingRequest("m", tuple("abcde")), 2))
    counted = [Embeddings("p", "m", tuple([float(ord(text))] for text in piece.inputs), Usage(2)) for piece in pieces]
    uncounted = [*counted[:2], Embeddings("p", "m", ([1.0],))]

    assert [piece.inputs for piece in pieces] == [("a", "b"), ("c", "d"), ("e",)]
    assert embeddings.joined(counted).vectors == ([97.0], [98.0], [99.0], [100.0], [101.0])
    assert embeddings.joined(counted).usage == Usage(6)
    assert embeddings.joined(uncounted).usage is None
