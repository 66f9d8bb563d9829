"""`osaurus.embed` and `osaurus.search`: vectors for rows, and what is near."""

from __future__ import annotations

import pytest

import osaurus_nb as osaurus
from osaurus_nb.client import Client
from osaurus_nb.errors import OsaurusError, RequestError
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter
from tests.dataframe.frames import Frame


@pytest.fixture
def adapter() -> ScriptedAdapter:
    return ScriptedAdapter({}, embeds=["vectors"])


@pytest.fixture
def client(adapter: ScriptedAdapter) -> Client:
    return Client(backend=Runtime([adapter]))


def test_each_row_has_its_vector_in_its_place(adapter: ScriptedAdapter, client: Client) -> None:
    """Rows go out in batches and come back in order; one without a text is an error and no vector."""
    rows = [*(f"row {at}" for at in range(150)), None]

    found = osaurus.embed(rows, model="scripted/vectors", client=client)
    alone = client.embed("row 149", model="scripted/vectors")

    assert [len(request.inputs) for request in adapter.embedded] == [64, 64, 22, 1]
    assert found[149] == alone[0]
    assert found[150] is None
    assert list(found.errors) == [150]


def test_the_nearest_row_is_found(client: Client) -> None:
    """A text that is a row is nearest to that row, as near as can be."""
    frame = Frame({"text": ["the sea", "a mountain", "a tax form"]})

    found = osaurus.embed(frame, column="text", model="scripted/vectors", client=client)
    hits = osaurus.search("a mountain", found, count=2, client=client)

    assert (hits[0].at, hits[0].text) == (1, "a mountain")
    assert hits[0].score == pytest.approx(1.0)
    assert len(hits) == 2


def test_a_frame_without_a_column_is_refused(client: Client) -> None:
    """Which column is meant is never guessed."""
    with pytest.raises(RequestError, match="Say which column: text"):
        osaurus.embed(Frame({"text": ["a"]}), model="scripted/vectors", client=client)


def test_a_model_that_makes_none_is_data_too(client: Client) -> None:
    """A call that fails has its error at each of its rows."""
    found = osaurus.embed(["a", "b"], model="nothing-of-the-kind", client=client)

    assert list(found) == [None, None]
    assert all(isinstance(error, OsaurusError) for error in found.errors.values())
