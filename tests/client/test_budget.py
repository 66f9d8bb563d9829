"""`with osaurus.budget(...)`, `max_cost=` and what a reply cost."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest

import osaurus_nb as osaurus
from osaurus_nb.client import AsyncClient, Client
from osaurus_nb.errors import BudgetExceeded, RequestError
from osaurus_nb.events import CostReported, Failed, Finished, PartEnded, TextDelta, ToolCallDelta, ToolCallStarted
from osaurus_nb.runtime import Runtime
from osaurus_nb.spending import FREE, UNKNOWN, Cost
from osaurus_nb.testing.scripted import ScriptedAdapter, says

CENT = Cost(10_000, "table")


class Priced(Runtime):
    """Says of each answer what it cost, and keeps the terms under which it was asked."""

    def __init__(self, *answers, cost=CENT):
        super().__init__([ScriptedAdapter({"echo": list(answers) or [says("Hello.")]}, embeds=["vectors"])])
        self.cost, self.terms = cost, []

    async def stream(self, request, terms):
        self.terms.append(terms)
        async for event in super().stream(request, terms):
            if isinstance(event, Finished | Failed):
                yield CostReported(self.cost)
            yield event

    async def decide(self, request, terms):
        self.terms.append(terms)
        return await super().decide(request, terms)

    def limits(self):
        """Of the last question."""
        return [cap.limit_micro for cap in self.terms[-1].caps]


@pytest.fixture
def backend():
    return Priced()


@pytest.fixture
def client(backend):
    return Client(backend=backend, model="scripted/echo")


CALL = [ToolCallStarted("1", "now"), ToolCallDelta("{}"), PartEnded(), Finished("tool_calls")]


def now() -> str:
    """The time."""
    return "noon"


def test_calls_inside_a_budget_carry_its_cap(client, backend):
    """And those before and after it do not."""
    client.chat("before")
    with osaurus.budget("$0.50"):
        client.chat("inside")
        inside = backend.terms[-1].caps
    client.chat("after")

    assert [len(terms.caps) for terms in backend.terms] == [0, 1, 0]
    assert inside[0].limit_micro == 500_000
    assert inside[0].scope.startswith("budget:")


def test_nested_budgets_all_hold(client, backend):
    """The inner one does not lift the outer one."""
    with osaurus.budget("$0.50") as outer, osaurus.budget(0.1) as inner:
        client.chat("hi")

    assert backend.limits() == [500_000, 100_000]
    assert outer.spent == inner.spent == Decimal("0.01")


def test_a_budget_knows_what_is_left(client):
    """By the calls inside it that ended, in this process."""
    with osaurus.budget("$0.015") as b:
        client.chat("one")
        after_one = (b.spent, b.left)
        client.chat("two")

    assert after_one == (Decimal("0.01"), Decimal("0.005"))
    assert (b.limit, b.spent, b.left) == (Decimal("0.015"), Decimal("0.02"), 0)
    assert repr(b) == "<Budget $0.02 of $0.015 spent>"


def test_a_budget_goes_on_when_it_is_entered_again(client, backend):
    """Several cells can share one."""
    b = osaurus.budget("$1")
    for _ in range(2):
        with b:
            client.chat("hi")

    assert backend.terms[0].caps == backend.terms[1].caps
    assert b.spent == Decimal("0.02")


def test_a_budget_inside_itself_holds_to_its_own_end(client, backend):
    """A function that enters the block of its caller neither lifts it nor counts twice."""
    with osaurus.budget("$1") as b:
        with b:
            client.chat("hi")
        client.chat("hi")

    assert [len(terms.caps) for terms in backend.terms] == [1, 1]
    assert b.spent == Decimal("0.02")


def test_a_budget_ends_with_an_error_too(client, backend):
    """Whatever leaves the block leaves the budget."""
    with pytest.raises(ZeroDivisionError), osaurus.budget("$1"):
        raise ZeroDivisionError
    client.chat("hi")

    assert backend.limits() == []


@pytest.mark.anyio
async def test_tasks_are_covered_and_others_are_not(backend):
    """Tasks that the block starts are inside; one that was started before it is not."""
    client = AsyncClient(backend=backend, model="scripted/echo")
    begin = asyncio.Event()

    async def late():
        await begin.wait()
        return await client.chat("outside")

    outside = asyncio.create_task(late())
    async with osaurus.budget("$1") as b:
        await asyncio.gather(*(client.chat("inside") for _ in range(3)))
        await asyncio.to_thread(Client(backend=backend, model="scripted/echo").chat, "in a thread")
        begin.set()
        await outside

    assert sorted(len(terms.caps) for terms in backend.terms) == [0, 1, 1, 1, 1]
    assert b.spent == Decimal("0.04")


def test_a_thread_is_covered_in_a_copy_of_the_context(client, backend):
    """As every context variable; its documentation says how."""
    with osaurus.budget("$1") as b, ThreadPoolExecutor(1) as pool:
        pool.submit(contextvars.copy_context().run, client.chat, "hi").result()

    assert b.spent == Decimal("0.01")


def test_a_thread_that_is_outside_is_told_once(client, backend):
    """A plain pool does not hand the block on: nothing is refused, and the first answer says how to enter it."""
    with osaurus.budget("$1") as b, ThreadPoolExecutor(1) as pool:
        replies = list(pool.map(client.chat, ["one", "two"]))
    alone = client.chat("three")

    codes = [[warning.code for warning in reply.warnings] for reply in (*replies, alone)]
    assert codes == [["outside_budget"], [], []]
    assert b.spent == 0


def test_a_thread_may_enter_the_block_itself(client, backend):
    """As its documentation says: each call of each thread is then under it."""

    def ask(text):
        with b:
            return client.chat(text)

    with osaurus.budget("$1") as b, ThreadPoolExecutor(2) as pool:
        replies = list(pool.map(ask, ["one", "two", "three"]))

    assert [reply.warnings for reply in replies] == [()] * 3
    assert b.spent == Decimal("0.03")


def test_decisions_are_under_the_budget_too(client, backend):
    """Whatever is asked, it is the same money."""
    with osaurus.budget("$1"):
        client.decide("text", {"spam": "Is it spam?"})

    assert backend.limits() == [1_000_000]


def test_what_vectors_and_decisions_cost_is_counted():
    """As far as whoever answers says it: a budget's figures leave nothing out."""

    class Metered(Priced):
        async def embed(self, request, terms):
            return replace(await super().embed(request, terms), cost=self.cost)

        async def decide(self, request, terms):
            return replace(await super().decide(request, terms), cost=self.cost)

    backend = Metered()
    client = Client(backend=backend, model="scripted/echo")

    with osaurus.budget("$1") as b:
        client.decide("text", {"spam": "Is it spam?"})
        client.embed("text", model="scripted/vectors")

    assert b.spent == Decimal("0.02")


@pytest.mark.parametrize("amount", ["$0.05", "0.05", 0.05, Decimal("0.05")])
def test_max_cost_caps_one_question(client, backend, amount):
    """However the amount is written; the next question has a cap of its own."""
    client.chat("hi", max_cost=amount)
    client.chat("hi", max_cost=amount)

    first, second = (terms.caps for terms in backend.terms)
    assert [cap.limit_micro for cap in (*first, *second)] == [50_000, 50_000]
    assert first[0].scope != second[0].scope


def test_max_cost_holds_for_all_rounds_together():
    """Tools cannot make a question dearer than was said: each round is under the same cap."""
    backend = Priced(CALL, says("It is noon."))
    client = Client(backend=backend, model="scripted/echo")

    reply = client.chat("When?", tools=[now], max_cost="$0.05")

    assert len(backend.terms) == 2
    assert backend.terms[0] == backend.terms[1]
    assert reply.cost == Cost(20_000, "table")


@pytest.mark.parametrize("amount", ["a lot", "-1", float("nan"), True])
def test_what_is_no_amount_is_refused_before_anything_is_asked(client, backend, amount):
    """The option is named."""
    with pytest.raises(RequestError) as caught:
        client.chat("hi", max_cost=amount)
    with pytest.raises(RequestError):
        osaurus.budget(amount)

    assert caught.value.param == "max_cost"
    assert backend.terms == []


@pytest.mark.parametrize(
    ("cost", "shown"),
    [
        (Cost(1234, "provider"), "$0.0012"),
        (Cost(1234, "table", estimated=True), "about $0.0012"),
        (UNKNOWN, "?"),
        (FREE, "free"),
        (Cost(0, "provider"), "$0.00"),
    ],
)
def test_the_footer_says_what_it_cost(cost, shown):
    """Free on this machine, about where it is estimated, and `?` where nobody knows."""
    reply = Client(backend=Priced(cost=cost), model="scripted/echo").chat("hi")

    assert reply.cost == cost
    assert shown in reply.footer.split(" · ")


def test_without_a_meter_the_footer_says_nothing_of_cost():
    """Not even that it was free."""
    reply = Client(backend=Runtime([ScriptedAdapter({"echo": [says("Hi.")]})]), model="scripted/echo").chat("hi")

    assert reply.cost is None
    assert "$" not in reply.footer
    assert "free" not in reply.footer


def test_what_failed_has_its_cost_too(client):
    """An answer that broke off was paid for all the same."""
    backend = Priced([TextDelta("half "), osaurus.OsaurusError("It broke.")])
    with osaurus.budget("$1") as b, pytest.raises(osaurus.OsaurusError) as caught:
        Client(backend=backend, model="scripted/echo").chat("hi")

    assert caught.value.reply.cost == CENT
    assert b.spent == Decimal("0.01")


def test_a_refusal_is_an_error_of_its_own():
    """It is told apart from what a provider refuses."""
    backend = Priced([BudgetExceeded("'echo' was not asked: it could cost $1.")])

    with pytest.raises(BudgetExceeded, match="was not asked"):
        Client(backend=backend, model="scripted/echo").chat("hi")
