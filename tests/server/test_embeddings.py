"""Vectors over HTTP: the vendors' own SDKs, every dialect towards every provider, refusals in the caller's words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from osaurus_nb.assembly import embedded
from osaurus_nb.client import Client
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.errors import ModelNotFound, RequestError, Unsupported
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says
from osaurus_nb.testing.vectors import vector

genai = pytest.importorskip("google.genai")
ollama = pytest.importorskip("ollama")

TEXTS = ["a whale", "a small fish \u2028 ☔"]
WANTED = [vector(text) for text in TEXTS]
SHORT = [vector(text, 4) for text in TEXTS]


@pytest.fixture
def adapter() -> ScriptedAdapter:
    return ScriptedAdapter({"good": [says("Hello")]}, embeds=["vectors", "org/name:latest"])


@pytest.fixture
def openai(server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as made:
        yield made


def google(server) -> Any:
    return genai.Client(api_key=server.key, http_options={"base_url": server.url})


def ollama_client(server) -> Any:
    return ollama.Client(host=server.url, headers={"Authorization": f"Bearer {server.key}"})


def test_openai_reads_packed_vectors_and_plain_ones(openai):
    """Its SDK asks for base64 unless told otherwise; both say the same, with the tokens counted."""
    packed = openai.embeddings.create(model="vectors", input=TEXTS)
    plain = openai.embeddings.create(model="vectors", input=TEXTS, encoding_format="float")

    assert [row.embedding for row in packed.data] == [row.embedding for row in plain.data] == WANTED
    assert [row.index for row in plain.data] == [0, 1]
    assert packed.model == "vectors"
    assert packed.usage.prompt_tokens == packed.usage.total_tokens == 6


def test_openai_reads_plain_vectors_strictly(server):
    """The SDK checks the answer against its own types; packed vectors it would refuse from anybody."""
    with OpenAI(base_url=f"{server.url}/v1", api_key=server.key, _strict_response_validation=True) as strict:
        answer = strict.embeddings.create(model="vectors", input=TEXTS, encoding_format="float")

    assert [row.embedding for row in answer.data] == WANTED


def test_openai_asks_for_one_text_and_fewer_dimensions(openai, adapter):
    """A single string is one text, and `dimensions` arrives."""
    answer = openai.embeddings.create(model="org/name:latest", input=TEXTS[0], dimensions=4)

    [row] = answer.data
    assert row.embedding == SHORT[0]
    assert adapter.embedded[0].dimensions == 4


def test_google_asks_in_batches(server, adapter):
    """Its SDK sends a batch, also for one text, with each setting said of every text."""
    client = google(server)

    many = client.models.embed_content(
        model="vectors", contents=TEXTS, config={"output_dimensionality": 4, "task_type": "RETRIEVAL_QUERY"}
    )
    one = client.models.embed_content(model="org/name:latest", contents=TEXTS[0])

    assert [row.values for row in many.embeddings] == SHORT
    assert [row.values for row in one.embeddings] == WANTED[:1]
    assert adapter.embedded[0].provider_metadata["google"]["taskType"] == ["RETRIEVAL_QUERY"] * 2


def test_ollama_asks_on_both_paths(server):
    """The newer path gives a list with its counts and times, the older one vector."""
    client = ollama_client(server)

    many = client.embed(model="vectors", input=TEXTS, dimensions=4, truncate=False, keep_alive="5m")
    one = client.embed(model="vectors", input=TEXTS[0])
    old = client.embeddings(model="vectors", prompt=TEXTS[0])

    assert [list(row) for row in many.embeddings] == SHORT
    assert many.prompt_eval_count == 6
    assert many.total_duration > 0
    assert [list(row) for row in one.embeddings] == WANTED[:1]
    assert list(old.embedding) == WANTED[0]


def test_the_older_gemini_path_takes_one_text(server):
    """`embedContent` gives one vector, below either version."""
    body = {"content": {"parts": [{"text": TEXTS[0]}]}}

    for version in ("v1", "v1beta"):
        answer = server.ask("POST", f"/{version}/models/vectors:embedContent", json_body=body)

        assert answer.json["embedding"]["values"] == WANTED[0]


def test_headers_say_who_gave_the_vectors(server):
    """As with an answer to a chat: provider, model, attempts and an id."""
    answer = server.ask("POST", "/embeddings", json_body={"model": "vectors", "input": "x"})

    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["x-osaurus-provider"] == "scripted"
    assert answer.headers["x-osaurus-upstream-model"] == "vectors"
    assert answer.headers["x-osaurus-request-id"]
    assert "x-osaurus-warnings" not in answer.headers


def test_openai_errors_are_its_own(openai):
    """A model without embeddings is a 400, an unknown one a 404, token ids are refused by name."""
    with pytest.raises(BadRequestError) as unable:
        openai.embeddings.create(model="good", input="x")
    with pytest.raises(NotFoundError) as unknown:
        openai.embeddings.create(model="vektors", input="x")
    with pytest.raises(BadRequestError) as ids:
        openai.embeddings.create(model="vectors", input=[1, 2, 3])

    assert unable.value.code == "unsupported_feature"
    assert unable.value.param == "model"
    assert "scripted/vectors" in unknown.value.body["message"]
    assert ids.value.param == "input"


def test_google_errors_are_its_own(server):
    """A status of the vendor's, with the field at fault."""
    client = google(server)

    with pytest.raises(genai.errors.ClientError) as unable:
        client.models.embed_content(model="good", contents="x")
    with pytest.raises(genai.errors.ClientError) as unknown:
        client.models.embed_content(model="nobody", contents="x")
    with pytest.raises(genai.errors.ClientError) as empty:
        client.models.embed_content(model="vectors", contents=["x", ""])

    assert (unable.value.code, unable.value.status) == (400, "INVALID_ARGUMENT")
    assert (unknown.value.code, unknown.value.status) == (404, "NOT_FOUND")
    assert "requests[1].content" in empty.value.message


def test_ollama_errors_are_its_own(server):
    """One sentence under `error`."""
    client = ollama_client(server)

    with pytest.raises(ollama.ResponseError) as unable:
        client.embed(model="good", input="x")
    with pytest.raises(ollama.ResponseError) as unknown:
        client.embeddings(model="nobody", prompt="x")

    assert unable.value.status_code == 400
    assert "embeddings" in unable.value.error
    assert unknown.value.status_code == 404


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "vectors"}, "input"),
        ({"model": "vectors", "input": []}, "input"),
        ({"model": "vectors", "input": ""}, "input"),
        ({"model": "vectors", "input": ["x", ""]}, "input[1]"),
        ({"model": "vectors", "input": ["x", 1]}, "input[1]"),
        ({"model": "vectors", "input": {"text": "x"}}, "input"),
        ({"model": "vectors", "input": ["x"] * 2049}, "input"),
        ({"model": "vectors", "input": "x", "dimensions": 0}, "dimensions"),
        ({"model": "vectors", "input": "x", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "x"}, "model"),
    ],
)
def test_a_bad_body_is_refused_by_its_field(server, body, param):
    """Never a 500, never a guess, never the text itself."""
    answer = server.ask("POST", "/v1/embeddings", json_body=body)

    assert answer.status == 400
    assert answer.json["error"]["param"] == param


@pytest.fixture
def chained(serve, adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A server whose providers are one other server of ours, asked in each of the dialects."""
    with serve(backend=lambda: Runtime([adapter])) as behind:
        monkeypatch.setenv("BEHIND_KEY", behind.key)
        providers = ProviderFile(Paths(tmp_path))
        for format, base in (("openai", "/v1"), ("gemini", "/v1beta"), ("ollama", ""), ("anthropic", "/v1")):
            providers.add(format, behind.url + base, format=format, key_env="BEHIND_KEY")
        settings = replace(Settings.from_env(), paths=Paths(tmp_path), url=None, key=None)
        with serve(backend=lambda: embedded(settings)) as server:
            yield server


def ask_openai(server, model: str) -> list[list[float]]:
    with OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as client:
        answer = client.embeddings.create(model=model, input=TEXTS, dimensions=4)
    assert answer.usage.prompt_tokens == 6
    return [row.embedding for row in answer.data]


def ask_google(server, model: str) -> list[list[float]]:
    client = google(server)  # it closes with its last name
    answer = client.models.embed_content(model=model, contents=TEXTS, config={"output_dimensionality": 4})
    assert answer.usage_metadata.prompt_token_count == 6
    return [row.values for row in answer.embeddings]


def ask_ollama(server, model: str) -> list[list[float]]:
    answer = ollama_client(server).embed(model=model, input=TEXTS, dimensions=4)
    assert answer.prompt_eval_count == 6
    return [list(row) for row in answer.embeddings]


@pytest.mark.parametrize("ask", [ask_openai, ask_google, ask_ollama])
@pytest.mark.parametrize("provider", ["openai", "gemini", "ollama"])
def test_every_caller_reaches_every_provider(chained, ask, provider):
    """The same numbers, order, dimensions and count of tokens, through two servers and two dialects."""
    assert ask(chained, f"{provider}/vectors") == SHORT


@pytest.mark.parametrize(
    ("provider", "told"),
    [("openai", True), ("ollama", True), ("gemini", False)],
)
def test_a_word_of_google_reaches_google_or_is_told(chained, adapter, provider, told):
    """`taskType` means something to one vendor; elsewhere a header says that it was left out."""
    row = {"content": {"parts": [{"text": "x"}]}, "taskType": "RETRIEVAL_QUERY", "title": "T"}

    answer = chained.ask("POST", f"/v1beta/models/{provider}/vectors:batchEmbedContents", json_body={"requests": [row]})

    assert answer.status == 200
    warnings = answer.headers.get("x-osaurus-warnings", "")
    assert ("param=taskType" in warnings, "param=title" in warnings) == (told, told)
    [asked] = adapter.embedded
    kept = (asked.provider_metadata or {}).get("google", {})
    assert (kept.get("taskType"), kept.get("title")) == ((None, None) if told else (["RETRIEVAL_QUERY"], ["T"]))


def test_a_provider_without_embeddings_is_a_400(chained):
    """Its dialect has none, and the error says so."""
    answer = chained.ask("POST", "/v1/embeddings", json_body={"model": "anthropic/vectors", "input": "x"})

    assert answer.status == 400
    assert answer.json["error"]["code"] == "unsupported_feature"


def test_a_refusal_travels_back(chained):
    """What the provider's model cannot do is said in the caller's dialect, with the provider's name."""
    answer = chained.ask("POST", "/v1/embeddings", json_body={"model": "ollama/good", "input": "x"})

    assert answer.status == 400
    assert "ollama" in json.dumps(answer.json)


def test_more_texts_than_google_takes_at_once(chained, adapter):
    """They go in several batches and come back as one list, in order."""
    texts = [f"text {number}" for number in range(230)]

    with OpenAI(base_url=f"{chained.url}/v1", api_key=chained.key, max_retries=0) as client:
        answer = client.embeddings.create(model="gemini/vectors", input=texts)

    assert [row.embedding for row in answer.data] == [vector(text) for text in texts]
    assert [len(request.inputs) for request in adapter.embedded] == [100, 100, 30]
    assert answer.usage.prompt_tokens == 460


def test_the_client_embeds_through_a_server(chained):
    """Connected mode: vectors, who gave them, and what was left out."""
    with Client(url=chained.url, key=chained.key) as client:
        answer = client.embed(TEXTS, model="gemini/vectors", dimensions=4, extra={"user": "me"})

    assert list(answer) == SHORT
    assert (answer.provider, answer.model) == ("gemini", "vectors")
    assert answer.usage.input_tokens == 6
    assert [warning.param for warning in answer.warnings] == ["user"]


def test_the_client_meets_the_same_errors_through_a_server(server):
    """What the server refuses is the same class here."""
    with Client(url=server.url, key=server.key) as client:
        with pytest.raises(Unsupported):
            client.embed("x", model="good")
        with pytest.raises(ModelNotFound, match="scripted/vectors"):
            client.embed("x", model="vektors")
        with pytest.raises(RequestError, match=r"'scripted/vectors', 'scripted/org/name:latest'"):
            client.embed("x")
