"""`osaurus.status()`: what stands where, in values and for a person."""

from __future__ import annotations

import pytest

import osaurus_nb as osaurus
from osaurus_nb.client import Client
from osaurus_nb.errors import OsaurusError, Unreachable
from osaurus_nb.models import BreakerStatus, SourceStatus, Worker
from osaurus_nb.overview import Overview
from osaurus_nb.runtime import Runtime
from osaurus_nb.spending import BudgetState, Cap, LedgerStatus
from osaurus_nb.testing.scripted import ScriptedAdapter, says

GONE = Unreachable("not there", provider="lab")


class Gone(ScriptedAdapter):
    """Listed its models once."""

    listed = False

    async def models(self):
        if self.listed:
            raise GONE
        self.listed = True
        return await super().models()


@pytest.fixture
def client():
    lab = Gone({"m": [[GONE]], "n": [says("n")]}, provider="lab")
    return Client(backend=Runtime([lab, ScriptedAdapter({"m": [says("spare")]}, provider="spare")]))


def test_a_provider_that_is_left_alone_is_told_with_why_and_for_how_long(client):
    """After five failures in a row its breaker is open, longer where not even its list comes; others go on."""
    client.models()
    for _ in range(5):
        with pytest.raises(OsaurusError):
            client.chat("hi", model="lab/m")

    overview = osaurus.status(client)

    lab, spare = overview.sources
    assert lab.breaker.state == "open"
    assert 30 < lab.breaker.retry_in <= 90
    assert lab.state == "error"
    assert lab.breaker.last == "endpoint_unreachable"
    assert spare.breaker == BreakerStatus()
    assert not overview.well
    assert "not for 90 s: endpoint_unreachable" in repr(overview)


def test_without_a_client_the_users_own_settings_are_looked_at(monkeypatch, tmp_path):
    """It works at once, and tells where the ledger is."""
    monkeypatch.setenv("OSAURUS_HOME", str(tmp_path))
    monkeypatch.delenv("OSAURUS_URL", raising=False)

    overview = osaurus.status()

    assert overview.sources[0].provider == "local"
    assert overview.ledger is not None
    assert f"ledger: {overview.ledger.state}" in repr(overview)


def test_what_is_in_memory_and_what_runs_out_is_said():
    """A worker with its memory and its restarts, a budget near its end, and not one that has plenty."""
    day, hour = BudgetState(Cap("day:2026-11-21", 1_000_000), 900_000, 0), BudgetState(Cap("key:k", 1_000_000), 0, 0)
    worker = Worker("smollm2", memory_bytes=300_000_000, running=2, restarts=1)

    overview = Overview((), (worker,), LedgerStatus("encrypted", "x", 12, 0, ("It was restored.",)), (day, hour))

    assert overview.ending == (day,)
    assert repr(overview).splitlines()[1:] == [
        "smollm2: 300 MB in memory, 2 under way, started anew 1 times",
        "ledger: encrypted, 12 lines",
        "ledger: It was restored.",
        "budget of today: $0.10 left of $1.00",
    ]


def test_nothing_in_it_can_run():
    """What a provider says of itself is text."""
    overview = Overview((SourceStatus("<script>", 0, "<img onerror=x>", state="error"),))

    html = overview._repr_mimebundle_()["text/html"]

    assert "<script" not in html
    assert "<img" not in html
