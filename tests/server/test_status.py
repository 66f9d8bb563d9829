"""How providers stand, as a connected client and a monitor see it."""

from __future__ import annotations

import json
from itertools import islice

import pytest

from osaurus_nb.client import Client
from osaurus_nb.errors import CredentialRejected
from osaurus_nb.models import ModelCard, Price
from osaurus_nb.providers import gateway
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says


class Fickle(ScriptedAdapter):
    """Its key is refused until it is told otherwise."""

    refused = True

    async def models(self):
        if self.refused:
            raise CredentialRejected("Rejected: sk-canary-1234567890.", provider="fickle", upstream_status=401)
        return [ModelCard("m", "fickle", max_output_tokens=9, price=Price(input=1, output=2))]


@pytest.fixture
def fickle():
    return Fickle({"m": [says("hi")]}, provider="fickle")


@pytest.fixture
def server(serve, fickle):
    with serve(backend=lambda: Runtime([fickle])) as served:
        yield served


@pytest.fixture
def client(server):
    with Client(url=server.url, key=server.key) as asking:
        yield asking


def test_a_connected_client_sees_state_and_diagnosis(client):
    """The same values as in the server: what is wrong, since when, and what to do."""
    [row] = client.status()

    assert (row.provider, row.state, row.models) == ("fickle", "error", 0)
    assert row.diagnosis.bucket == "auth-rejected"
    assert row.error.startswith("401 from fickle: key rejected. ")
    assert row.since > 1e9
    assert "canary" not in repr(row)


def test_the_health_endpoint_tells_the_same(server):
    """As plain JSON, for a monitor."""
    [row] = server.ask("GET", "/health").json["providers"]

    assert row["state"] == "error"
    assert row["diagnosis"]["severity"] == "blocked"
    assert row["retry_at"] is None
    assert "canary" not in json.dumps(row)


def test_a_connected_client_can_watch(client):
    """Each change arrives; while nothing changes nothing does."""
    watching = client.watch()

    told = next(rows for rows in watching if rows[0].state == "error")
    watching.close()

    assert [row.provider for row in told] == ["fickle"]
    assert list(islice(client.watch(), 1)) == [told]


def test_a_client_with_a_plain_key_looks_now_and_then(server, monkeypatch):
    """Who is not let watch is not refused either: the same comes a little later."""
    monkeypatch.setattr(gateway, "WATCH_EVERY", 0.05)
    plain, _ = server.service.keys.issue("tool", expires_in=None)

    with Client(url=server.url, key=plain) as asking:
        [[row]] = islice(asking.watch(), 1)

    assert row.state == "error"


def test_prices_reach_a_connected_client(client, fickle):
    """With all else that is known of a model."""
    fickle.refused = False

    [card] = client.models()

    assert card.max_output_tokens == 9
    assert card.price == Price(input=1, output=2)
