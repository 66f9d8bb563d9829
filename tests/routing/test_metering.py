"""Every candidate is metered while it is asked, and the stream says what the step cost."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

import pytest

from osaurus_nb import events as ev
from osaurus_nb.errors import BudgetExceeded, Cancelled, OsaurusError, RateLimited
from osaurus_nb.messages import user
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.ports import Account, Bid, Step, Timeouts
from osaurus_nb.request import ChatRequest, Sampling
from osaurus_nb.routing import engine
from osaurus_nb.routing.plan import Candidate, chain
from osaurus_nb.spending import Cost
from osaurus_nb.testing.scripted import Script, ScriptedAdapter, says

pytestmark = pytest.mark.anyio

BROKEN = RateLimited("slow down", provider="scripted")


class Till:
    """A meter that takes one micro-dollar for each event and remembers how each call ended."""

    def __init__(self, *, refused: Sequence[str] = (), room: int | None = None) -> None:
        self.refused, self.room = refused, room
        self.bids: list[Bid] = []
        self.ended: list[OsaurusError | None] = []

    async def open(self, bid: Bid) -> Account:
        self.bids.append(bid)
        if bid.card.id in self.refused:
            raise BudgetExceeded("too dear")
        return Counting(self)


class Counting:
    def __init__(self, till: Till) -> None:
        self._till, self._seen, self.room = till, 0, till.room

    def saw(self, event: ev.Event) -> None:
        self._seen += 1

    def used(self, usage: Usage) -> None: ...

    def cost(self) -> Cost:
        return Cost(self._seen, "list")

    def close(self, error: OsaurusError | None = None) -> None:
        self._till.ended.append(error)

    def void(self) -> None: ...


def candidate(model: str, script: Script) -> Candidate:
    return Candidate(ModelCard(model, "scripted"), ScriptedAdapter({model: [script]}))


async def run(candidates: Sequence[Candidate], till: Till, request: ChatRequest | None = None) -> list[ev.Event]:
    request = request or ChatRequest("scripted/first", (user("How much?"),))
    step = Step("s", "r", request.model, 0.0)
    stream = engine.run(chain(request.model, candidates), request, step, timeouts=Timeouts(), meter=till)
    return [event async for event in stream]


async def test_the_cost_is_told_before_the_end() -> None:
    """Once, right before the finish, so that whoever stops reading there knows it."""
    till = Till()

    events = await run([candidate("first", says("a", "b"))], till)

    assert [type(event) for event in events[-2:]] == [ev.CostReported, ev.Finished]
    assert sum(isinstance(event, ev.CostReported) for event in events) == 1
    assert till.ended == [None]


async def test_several_answers_have_one_cost() -> None:
    """Of a question with n answers, what all of them cost is told with the first that ends."""
    twice = [ev.TextDelta("a"), ev.TextDelta("b", choice=1), ev.Finished("stop"), ev.Finished("stop", choice=1)]

    events = await run([candidate("first", twice)], Till())

    assert sum(isinstance(event, ev.CostReported) for event in events) == 1


async def test_a_failed_candidate_is_paid_too() -> None:
    """The cost of a step is that of all who were asked, and each has its own account."""
    till = Till()

    events = await run([candidate("first", [BROKEN]), candidate("second", says("good"))], till)

    told = [event.cost for event in events if isinstance(event, ev.CostReported)]
    assert [bid.number for bid in till.bids] == [1, 2]
    assert till.ended == [BROKEN, None]
    assert told == [Cost(1 + 5, "list")]  # the broken one had begun


async def test_an_empty_candidate_is_in_the_sum() -> None:
    """One that finished without a word is replaced, and what it took is not forgotten."""
    events = await run([candidate("first", says()), candidate("second", says("good"))], Till())

    told = [event.cost.micro for event in events if isinstance(event, ev.CostReported)]
    assert told == [4 + 5]


async def test_who_leaves_early_has_cancelled() -> None:
    """A reader who goes in the middle ends the account as cancelled."""
    till = Till()
    chosen = candidate("first", says("a", "b", "c"))
    request = ChatRequest("scripted/first", (user("How much?"),))

    stream = engine.run(chain("x", [chosen]), request, Step("s", "r", "x", 0.0), timeouts=Timeouts(), meter=till)
    async with aclosing(stream):
        async for event in stream:
            if isinstance(event, ev.TextDelta):
                break

    assert [type(error) for error in till.ended] == [Cancelled]


async def test_what_is_too_dear_is_not_asked() -> None:
    """A budget that a candidate exceeds passes the question on to a cheaper one, visibly."""
    dear, cheap = candidate("first", says("dear")), candidate("second", says("cheap"))

    answer = ev.fold(await run([dear, cheap], Till(refused=["first"])))

    assert answer.text == "cheap"
    assert isinstance(dear.adapter, ScriptedAdapter)
    assert dear.adapter.requests == []
    assert [type(attempt) for attempt in answer.attempts] == [ev.AttemptStarted, ev.AttemptFailed, ev.AttemptStarted]


async def test_a_step_ends_when_nobody_is_cheap_enough() -> None:
    """The last one's refusal is the step's."""
    events = await run([candidate("first", says("dear"))], Till(refused=["first"]))

    assert isinstance(events[-1], ev.Failed)
    assert isinstance(events[-1].error, BudgetExceeded)


async def test_a_budget_limits_an_answer_without_a_limit() -> None:
    """Where a cap leaves room for so many tokens, no more are asked for, and the caller is told."""
    chosen = candidate("first", says("short"))

    events = await run([chosen], Till(room=300))

    assert isinstance(chosen.adapter, ScriptedAdapter)
    assert chosen.adapter.requests[0].sampling.max_output_tokens == 300
    assert [event.code for event in events if isinstance(event, ev.Warned)] == ["budget_limits_output"]


async def test_several_answers_share_the_room() -> None:
    """The limit is each answer's, the room is for all together; and a bid tells the limit of all."""
    chosen, till = candidate("first", says("short")), Till(room=300)
    request = ChatRequest("scripted/first", (user("How much?"),), sampling=Sampling(n=3))

    await run([chosen], till, request)

    assert isinstance(chosen.adapter, ScriptedAdapter)
    assert chosen.adapter.requests[0].sampling.max_output_tokens == 100
    assert till.bids[0].size()[1] is None
