"""`Client.embed`: texts in, vectors out, by a model that was named."""

from __future__ import annotations

import numpy
import pytest

from osaurus_nb.client import AsyncClient, Client
from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says
from osaurus_nb.testing.vectors import vector


@pytest.fixture
def adapter() -> ScriptedAdapter:
    return ScriptedAdapter({"chats": [says("Hello")]}, embeds=["vectors"])


@pytest.fixture
def client(adapter: ScriptedAdapter):
    with Client(backend=Runtime([adapter])) as made:
        yield made


def test_one_text_or_many(client):
    """A string is one text; the answer is a sequence of vectors, in order."""
    one = client.embed("a whale", model="vectors")
    many = client.embed(["a whale", "a fish"], model="vectors", dimensions=3)

    assert list(one) == [vector("a whale")]
    assert [many[0], many[1]] == [vector("a whale", 3), vector("a fish", 3)]
    assert len(many) == 2
    assert (many.provider, many.model, many.usage.input_tokens) == ("scripted", "vectors", 4)


def test_an_answer_is_a_matrix_to_numpy(client):
    """Without a word from us."""
    matrix = numpy.array(client.embed(["a", "b", "c"], model="vectors"))

    assert matrix.shape == (3, 8)
    assert numpy.allclose(numpy.linalg.norm(matrix, axis=1), 1)


def test_an_answer_does_not_show_its_numbers(client):
    """A cell that ends with it shows how many, and how long."""
    assert repr(client.embed(["a", "b"], model="vectors")) == "Embeddings(scripted/vectors, 2 x 8)"


def test_without_a_model_those_that_can_are_named(client):
    """There is no default: vectors of two models do not compare."""
    with pytest.raises(RequestError, match=r"Say which model shall embed, one of 'scripted/vectors'\.") as refused:
        client.embed("x")

    assert "chats" not in str(refused.value)


def test_a_model_that_makes_none_says_so(client):
    """As the caller's error, by its name."""
    with pytest.raises(Unsupported, match="scripted/chats"):
        client.embed("x", model="chats")


@pytest.mark.parametrize(
    ("texts", "dimensions", "param"),
    [([], None, "texts"), ([""], None, "texts[0]"), (["x", None], None, "texts[1]"), ("x", 0, "dimensions")],
)
def test_what_has_no_vector_is_refused_before_anybody_is_asked(client, adapter, texts, dimensions, param):
    """By its place; a missing value of a table among the texts is no text."""
    with pytest.raises(RequestError) as refused:
        client.embed(texts, model="vectors", dimensions=dimensions)

    assert refused.value.param == param
    assert adapter.embedded == []


@pytest.mark.anyio
async def test_the_async_client_does_the_same(adapter):
    """The same call, awaited; what is extra goes along."""
    async with AsyncClient(backend=Runtime([adapter])) as client:
        answer = await client.embed("x", model="vectors", extra={"user": "me"})

    assert answer.vectors == (vector("x"),)
    assert adapter.embedded[0].extra == {"user": "me"}
