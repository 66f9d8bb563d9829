"""What a fusion costs, and that it never costs more than it may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from osaurus_nb.catalog.prices import listed
from osaurus_nb.client import AsyncClient
from osaurus_nb.config.billing import BillingFile
from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import NoEligibleModel
from osaurus_nb.events import Answer, fold
from osaurus_nb.ledger.meter import LedgerMeter
from osaurus_nb.ledger.store import LedgerStore
from osaurus_nb.messages import user
from osaurus_nb.models import ModelCard, Price
from osaurus_nb.ports import Terms
from osaurus_nb.request import ChatRequest, RouteOptions, Sampling
from osaurus_nb.routing.choosing import Chooser
from osaurus_nb.routing.health import Health
from osaurus_nb.routing.profiles import Profiles
from osaurus_nb.runtime import Runtime
from osaurus_nb.spending import Cap, Entry, Overrun, Tariff
from osaurus_nb.testing.scripted import says
from osaurus_nb_widgets.transcript import finished
from tests.fusion.table import Sitting

pytestmark = pytest.mark.anyio

#: A dollar for a million tokens of input, ten for a million of output.
PRICE = Price(Decimal(1), Decimal(10))


class Paid(Sitting):
    """It sits there, and not for free."""

    async def models(self) -> Sequence[ModelCard]:
        return [replace(card, price=PRICE, max_output_tokens=50_000) for card in await super().models()]

    def tariff(self, card: ModelCard) -> Tariff:
        return listed(PRICE)


class Held(NamedTuple):
    """What was set aside for one call, and under which limits."""

    step: str
    reserved: int
    scopes: Mapping[str, int | None]


class Watched(LedgerStore):
    """A store that remembers what was set aside."""

    opened: list[Held]

    async def open(self, entry: Entry, scopes: Mapping[str, int | None] = {}) -> Overrun | None:
        overrun = await super().open(entry, scopes)
        if overrun is None:
            self.opened.append(Held(entry.step, entry.reserved_micro, scopes))
        return overrun


class Till:
    def __init__(self, home: Path, adapters: Sequence[Sitting]) -> None:
        self.adapters = adapters
        self.store = Watched(Paths(home), None)
        self.store.opened = []
        self.ledger = LedgerMeter(self.store, BillingFile(Paths(home)))
        self.runtime = Runtime(adapters, ledger=self.ledger, chooser=Chooser(Health(), Profiles()))

    async def ask(self, terms: Terms | None = None, **route: Any) -> Answer:
        question, sampling = (user("How much is it?"),), Sampling(max_output_tokens=route.pop("most", None))
        request = ChatRequest("osaurus/fusion", question, route=RouteOptions(**route), sampling=sampling)
        return fold([event async for event in self.runtime.stream(request, terms or Terms())])


@pytest.fixture
async def till(tmp_path: Path) -> AsyncIterator[Till]:
    made = Till(
        tmp_path,
        [
            Paid("one", says("It is one of them.")),
            Paid("two", says("Perhaps another one, who knows it.")),
            Paid("three", says("None of those that were named.")),
        ],
    )
    yield made
    await made.runtime.aclose()


async def lines(till: Till) -> Sequence[Any]:
    await till.ledger._store.flush()
    return await till.ledger.entries()


async def test_every_call_is_a_line_of_its_own_and_the_answer_tells_the_sum(till: Till):
    """Three panelists, the findings and the answer; the cost of the answer is that of all five."""
    answer = await till.ask()

    settled = [entry for entry in await lines(till) if entry.kind == "settle"]
    marks = sorted(entry.step.partition("-")[2] for entry in settled)
    assert marks == ["", "findings", "p1", "p2", "p3"]
    assert {entry.profile for entry in settled} == {"fusion"}
    assert answer.cost is not None
    assert answer.cost.micro == sum(entry.cost.micro for entry in settled)
    assert answer.panel is not None
    assert sum(one.cost_micro or 0 for one in answer.panel.panelists) < answer.cost.micro


async def test_nothing_of_a_panel_is_written_down(till: Till):
    """No line of the ledger holds a word of an answer."""
    await till.ask()

    assert not any("none of those" in repr(entry).lower() for entry in await lines(till))


async def test_a_cap_holds_for_all_of_it_together(till: Till):
    """What the calls could cost at most is set aside under one cap before they are sent."""
    answer = await till.ask(max_cost_micro=60_000)

    assert answer.error is None
    assert len(till.store.opened) == 5
    [question] = {scope for held in till.store.opened for scope in held.scopes if scope.startswith("request:")}
    assert "-" not in question
    assert all(held.scopes[question] == 60_000 for held in till.store.opened)
    assert all(held.reserved <= 10_000 for held in till.store.opened if "-p" in held.step)


async def test_a_cap_that_is_too_small_asks_nobody(till: Till):
    """It says so, model by model, and nothing was sent."""
    with pytest.raises(NoEligibleModel, match="beyond the caps"):
        await till.ask(max_cost_micro=50)

    assert all(adapter.requests == [] for adapter in till.adapters)


async def test_many_at_once_never_spend_more_than_their_common_budget(till: Till):
    """Eight fusions share one budget; whatever is refused, the sum stays below it."""
    terms = Terms(caps=(Cap("budget:shared", 90_000),))

    await asyncio.gather(*(till.ask(terms, most=400) for _ in range(8)))

    spent, reserved = (await till.ledger._store.spent(["budget:shared"]))[0]
    assert reserved == 0
    assert 0 < spent <= 90_000


async def test_the_reply_shows_each_panelist(till: Till):
    """Answer, cost and agreement of each, folded under the one answer; a model's markup stays text."""
    async with AsyncClient(model="osaurus/fusion", backend=till.runtime) as client:
        reply = await client.chat("How much is it?")

    assert reply.text == "The verdict."
    assert reply.panel is not None
    shown = reply._repr_mimebundle_()["text/html"]
    assert shown.count("<details") == 8
    assert "one/one-70b" in shown
    assert "agreement" in shown
    assert "$0.0001" in shown
    assert "None of those" not in repr(reply.panel)
    saved = finished(1, reply).public()
    assert [row["title"].split(" · ")[0] for row in saved["behind"]][:3] == [one.model for one in reply.panel.panelists]
