"""What becomes of a question in the ledger, whoever answers it and however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import pytest

from osaurus_nb import events as ev
from osaurus_nb.catalog.prices import listed
from osaurus_nb.config.billing import BillingFile
from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import BudgetExceeded, CredentialRejected, TooSlow, Unavailable
from osaurus_nb.ledger.meter import LedgerMeter
from osaurus_nb.ledger.store import LedgerStore
from osaurus_nb.messages import user
from osaurus_nb.models import Charge, ModelCard, Price, Usage
from osaurus_nb.ports import Terms
from osaurus_nb.request import ChatRequest, RouteOptions, Sampling
from osaurus_nb.runtime import Runtime
from osaurus_nb.spending import Cap, Entry, Origin, Query, Tariff
from osaurus_nb.testing.scripted import Script, ScriptedAdapter, says

pytestmark = pytest.mark.anyio

#: A dollar for a million tokens of input, ten for a million of output: 3 and 2 tokens are 23 millionths.
PRICE = Price(Decimal(1), Decimal(10))


class Priced(ScriptedAdapter):
    """Scripted, and not for free."""

    async def models(self) -> Sequence[ModelCard]:
        return [replace(card, price=PRICE, max_output_tokens=50_000) for card in await super().models()]

    def tariff(self, card: ModelCard) -> Tariff:
        return listed(PRICE)


@dataclass
class Till:
    """A runtime with one priced provider, and its ledger."""

    runtime: Runtime
    ledger: LedgerMeter
    billing: BillingFile
    adapters: dict[str, ScriptedAdapter]

    async def ask(self, model: str = "paid/m", *, terms: Terms | None = None, **said: object) -> list[ev.Event]:
        route, sampling = said.pop("route", RouteOptions()), Sampling(**said)  # type: ignore[arg-type]
        request = ChatRequest(model, (user("How much is it?"),), route=route, sampling=sampling)  # type: ignore[arg-type]
        return [event async for event in self.runtime.stream(request, terms or Terms())]

    async def lines(self, query: Query | None = None) -> Sequence[Entry]:
        await self.ledger._store.flush()
        return await self.ledger.entries(query or Query())


@pytest.fixture
async def till(tmp_path: Path) -> AsyncIterator[Till]:
    adapters = {
        "paid": Priced({"m": [says("a", "b")]}, provider="paid"),
        "other": Priced({"m": [says("a")]}, provider="other"),
        "local": ScriptedAdapter({"home": [says("a")]}, provider="local"),
    }
    billing = BillingFile(Paths(tmp_path))
    ledger = LedgerMeter(LedgerStore(Paths(tmp_path), None), billing)
    runtime = Runtime(adapters.values(), ledger=ledger)
    yield Till(runtime, ledger, billing, adapters)
    await runtime.aclose()


def scripts(till: Till, provider: str, *answers: Script) -> None:
    till.adapters[provider]._scripts["m"] = list(answers)


async def test_an_answer_is_one_line_with_its_price(till: Till) -> None:
    """Who was asked, who answered, what it used, what that cost by whose price, and how it ended."""
    origin = Origin("s1", "work.ipynb", "c1", "r1", "k1")

    events = await till.ask(terms=Terms(origin=origin))

    [line] = await till.lines()
    assert (line.kind, line.provider, line.model, line.asked, line.answered) == ("settle", "paid", "m", "paid/m", "m")
    assert (line.usage, line.token_source) == (Usage(input_tokens=3, output_tokens=2), "provider")
    assert (line.cost.micro, line.cost.source) == (23, "list")
    assert (line.outcome, line.finish_reason, line.origin) == ("rendered", "stop", origin)
    assert [event.cost.micro for event in events if isinstance(event, ev.CostReported)] == [23]


async def test_an_answer_of_this_machine_costs_nothing(till: Till) -> None:
    """It has its line, with its time, and no price."""
    await till.ask("home")

    [line] = await till.lines()
    assert (line.kind, line.provider, line.cost.micro, line.cost.source) == ("settle", "local", 0, "free")
    assert line.duration_ms is not None


async def test_a_failed_candidate_has_a_line_of_its_own(till: Till) -> None:
    """Both are shown, and a refusal cost nothing: its open line is struck."""
    scripts(till, "paid", [CredentialRejected("no", provider="paid", upstream_status=401)])

    await till.ask(route=RouteOptions(fallbacks=("other/m",)))

    after, before = await till.lines()
    assert (before.kind, before.provider, before.outcome, before.cost.micro) == ("void", "paid", "error", 0)
    assert (after.kind, after.provider, after.attempt, after.fallbacks) == ("settle", "other", 2, 1)
    assert before.step == after.step


async def test_what_may_have_been_charged_is_an_estimate(till: Till) -> None:
    """A provider that took the question and never ended may have taken money: so much, about."""
    scripts(till, "paid", [TooSlow("late", provider="paid")])

    await till.ask()

    [line] = await till.lines()
    assert (line.kind, line.outcome, line.token_source) == ("settle", "error", "estimate")
    assert line.cost.estimated
    assert line.cost.micro


async def test_a_cancelled_answer_settles_what_was_used(till: Till) -> None:
    """Who stops reading pays for what was written, about, and no more."""
    scripts(till, "paid", [ev.TextDelta("x" * 40), 30.0, *says("late")])
    request = ChatRequest("paid/m", (user("How much is it?"),))

    async with aclosing(till.runtime.stream(request)) as stream:
        async for event in stream:
            if isinstance(event, ev.TextDelta):
                break

    [line] = await till.lines()
    assert (line.kind, line.outcome, line.usage.output_tokens) == ("settle", "cancelled", 10)
    assert line.cost.estimated


async def test_what_the_provider_says_it_took_goes_before_any_price(till: Till) -> None:
    """Its own figure, under its own id."""
    charge = Charge(4321, "req-7")
    scripts(till, "paid", [ev.TextDelta("a"), ev.UsageReported(Usage(input_tokens=3), charge), ev.Finished("stop")])

    await till.ask()

    [line] = await till.lines()
    assert (line.cost.micro, line.cost.source, line.request_id) == (4321, "provider", "req-7")


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ([ev.ToolCallStarted("1", "f"), ev.PartEnded(), ev.Finished("tool_calls")], "tool_only"),
        ([ev.ReasoningDelta("hm"), ev.Finished("length")], "reasoning_only"),
        ([ev.Finished("stop")], "empty"),
        ([ev.TextDelta(" \n"), ev.Finished("stop")], "empty"),
        ([ev.Relayed(b"hm", 3, token=True), ev.Finished("stop")], "reasoning_only"),
        ([ev.Relayed(b"hello", 2, token=True, visible=True), ev.Finished("stop")], "rendered"),
        ([ev.TextDelta("a"), Unavailable("gone", provider="paid")], "error"),
    ],
)
async def test_the_outcome_is_what_a_reader_saw(till: Till, script: Script, outcome: str) -> None:
    """Not what the provider called it."""
    scripts(till, "paid", script)

    await till.ask()

    [line] = await till.lines()
    assert line.outcome == outcome


async def test_a_cap_refuses_before_anything_is_sent(till: Till) -> None:
    """With what would be needed and what is left; and nothing is written down that never was."""
    events = await till.ask(max_output_tokens=1000, terms=Terms(caps=(Cap("budget:b", 5000),)))

    failed = events[-1]
    assert isinstance(failed, ev.Failed)
    assert isinstance(failed.error, BudgetExceeded)
    assert "could cost $0.01, and the budget" in str(failed.error)
    assert "$0.0050 left of $0.0050" in str(failed.error)
    assert till.adapters["paid"].requests == []
    assert await till.lines() == []


async def test_a_refusal_shows_figures_that_differ(till: Till) -> None:
    """What is needed and what is left are never the same figure, for then nobody would understand it."""
    events = await till.ask(max_output_tokens=1000, terms=Terms(caps=(Cap("budget:b", 10_001),)))

    failed = events[-1]
    assert isinstance(failed, ev.Failed)
    assert "$0.010001 left of $0.010001" in str(failed.error)


async def test_a_cap_leaves_as_much_room_as_it_pays_for(till: Till) -> None:
    """A question without a limit gets one, so that a cap holds without refusing what would have been short."""
    events = await till.ask(terms=Terms(caps=(Cap("budget:b", 5000),)))

    [request] = till.adapters["paid"].requests
    assert request.sampling.max_output_tokens is not None
    assert 256 <= request.sampling.max_output_tokens < 500
    assert "budget_limits_output" in [event.code for event in events if isinstance(event, ev.Warned)]


async def test_the_reserve_is_given_back(till: Till) -> None:
    """After the answer only what it cost is gone, so that the next question fits."""
    capped = Terms(caps=(Cap("budget:b", 10_300),))

    for _ in range(5):
        events = await till.ask(max_output_tokens=1000, terms=capped)
        assert isinstance(events[-1], ev.Finished)
        await till.ledger._store.flush()

    assert await till.ledger._store.spent(["budget:b"]) == [(5 * 23, 0)]


async def test_fifty_at_once_never_exceed_a_cap(till: Till) -> None:
    """However many ask in parallel: what is not paid for is not sent."""
    scripts(till, "paid", [0.02, *says("a", "b")])
    capped = Terms(caps=(Cap("budget:b", 100_000),))  # ten times the most that one can cost

    answers = await asyncio.gather(*(till.ask(max_output_tokens=900, terms=capped) for _ in range(50)))

    refused = [events[-1] for events in answers if isinstance(events[-1], ev.Failed)]
    assert len(till.adapters["paid"].requests) + len(refused) == 50
    assert 10 <= len(till.adapters["paid"].requests) <= 11
    assert all(isinstance(failed.error, BudgetExceeded) for failed in refused)


async def test_a_price_that_nobody_knows_fits_under_no_cap(till: Till) -> None:
    """A cap that could not be held is not promised."""
    unknown = ScriptedAdapter({"m": [says("a")]}, provider="unknown")
    runtime = Runtime([unknown], ledger=till.ledger)
    request = ChatRequest("unknown/m", (user("How much is it?"),))

    capped = [event async for event in runtime.stream(request, Terms(caps=(Cap("budget:b", 10**9),)))]
    free = [event async for event in runtime.stream(request)]

    assert isinstance(capped[-1], ev.Failed)
    assert "not known" in str(capped[-1].error)
    assert isinstance(free[-1], ev.Finished)
    [line] = await till.lines(Query(provider="unknown"))
    assert line.cost.micro is None


async def test_the_users_own_caps_hold_for_all(till: Till) -> None:
    """A day's budget in the settings is looked at without being asked for, and told with what is left."""
    till.billing.edit(lambda settings: replace(settings, day=30))

    first = await till.ask(max_output_tokens=1)
    second = await till.ask(max_output_tokens=1)

    assert isinstance(first[-1], ev.Finished)
    assert isinstance(second[-1], ev.Failed)
    [state] = await till.ledger.budgets()
    assert (state.cap.limit_micro, state.spent_micro, state.left_micro) == (30, 23, 7)


async def test_a_dear_candidate_gives_way_to_a_cheap_one(till: Till) -> None:
    """Among the caller's own fallbacks the first that fits under the cap answers, and it is said."""
    route = RouteOptions(fallbacks=("home",))

    answer = ev.fold(await till.ask(max_output_tokens=1000, route=route, terms=Terms(caps=(Cap("budget:b", 10),))))

    assert (answer.text, answer.asked) == ("a", "paid/m")
    assert isinstance(answer.attempts[1], ev.AttemptFailed)
