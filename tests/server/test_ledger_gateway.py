"""A connected kernel: its questions are counted at the server, under its budgets, and it reads the books there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from osaurus_nb.decisions import DecisionRequest, Decisions, Predicate
from osaurus_nb.embeddings import EmbeddingRequest, Embeddings
from osaurus_nb.errors import BudgetExceeded, Forbidden, LedgerUnreadable, Unsupported
from osaurus_nb.events import Answer, Failed, Fold
from osaurus_nb.gateway.keys import PLAIN_SCOPES
from osaurus_nb.messages import Text, user
from osaurus_nb.ports import PLAIN, Terms
from osaurus_nb.providers.gateway import Gateway
from osaurus_nb.request import ChatRequest, Delivery, RouteOptions
from osaurus_nb.spending import Cap, Cost, Origin, Query
from osaurus_nb.testing.scripted import ScriptedAdapter
from osaurus_nb.wire.embeddings import openai
from tests.server.conftest import Served
from tests.server.ledger import COST_MICRO, Paid, billed, lines, paid

pytestmark = pytest.mark.anyio

HELLO = ChatRequest("good", (user("hi"),))
STREAMED = replace(HELLO, delivery=Delivery(stream=True, include_usage=True))
ORIGIN = Origin("s1", "Übung 1.ipynb", "c1", "r1")


@pytest.fixture
def adapter() -> ScriptedAdapter:
    return paid()


@pytest.fixture
def server(jupyter_dirs: Path, tmp_path: Path, adapter: Paid) -> Iterator[Served]:
    with billed(tmp_path, [adapter]) as served:
        yield served


@pytest.fixture
async def gateway(server: Served) -> AsyncIterator[Gateway]:
    async with aclosing(Gateway(server.url, server.key)) as made:
        yield made


async def whole(gateway: Gateway, request: ChatRequest = HELLO, terms: Terms = PLAIN) -> Answer:
    fold = Fold()
    async with aclosing(gateway.stream(request, terms)) as events:
        async for event in events:
            if isinstance(event, Failed):
                raise event.error
            fold.add(event)
    return fold.answer()


@pytest.mark.parametrize("request_", [HELLO, STREAMED], ids=["whole", "streamed"])
async def test_an_answer_says_what_it_cost(gateway: Gateway, request_: ChatRequest) -> None:
    """As the server says it, whether the answer came in one piece or not."""
    answer = await whole(gateway, request_)

    assert answer.cost == Cost(COST_MICRO, "list")


async def test_a_line_says_which_cell_asked(server: Served, gateway: Gateway) -> None:
    """The kernel knows its notebook and its cell; the server knows its key."""
    await whole(gateway, terms=Terms(origin=ORIGIN))

    lines(server)
    [entry] = await gateway.books.entries()
    assert replace(entry.origin, key=None) == ORIGIN
    assert entry.origin.key
    assert (entry.cost, entry.model, entry.outcome) == (Cost(COST_MICRO, "list"), "good", "rendered")


@pytest.mark.parametrize(
    ("route", "terms"),
    [
        (RouteOptions(max_cost_micro=1), PLAIN),
        (RouteOptions(), Terms(caps=(Cap("budget:b", 10**9), Cap("budget:c", 1)))),
    ],
    ids=["max_cost", "budget"],
)
@pytest.mark.parametrize("request_", [HELLO, STREAMED], ids=["whole", "streamed"])
async def test_a_cap_holds_at_the_server(
    gateway: Gateway, request_: ChatRequest, route: RouteOptions, terms: Terms
) -> None:
    """Each of several budgets holds; what does not fit is refused there and raised here as what it is."""
    with pytest.raises(BudgetExceeded, match=r"could cost \$"):
        await whole(gateway, replace(request_, route=route), terms)

    assert not await gateway.books.entries()


async def test_vectors_and_decisions_are_under_the_same_caps(gateway: Gateway) -> None:
    """Whatever costs money is refused where there is none."""
    none = Terms(caps=(Cap("budget:b", 1),))

    with pytest.raises(BudgetExceeded):
        await gateway.embed(EmbeddingRequest("embed", ("a text",)), none)
    with pytest.raises(BudgetExceeded):
        await gateway.decide(DecisionRequest("good", "x", (Predicate("q", "Is it?"),)), none)


@pytest.mark.parametrize("what", ["vectors", "decisions", "many vectors"])
async def test_vectors_and_decisions_say_what_they_cost(server: Served, gateway: Gateway, what: str) -> None:
    """As the ledger over there has it, all questions and all parts of one request together."""
    if what == "decisions":
        asked = DecisionRequest("good", (Text("x"),), (Predicate("q", "Is it?"), Predicate("r", "Is it not?")))
        answer: Embeddings | Decisions = await gateway.decide(asked)
    else:
        texts = ("a text",) * (1 if what == "vectors" else openai.MAX_TEXTS + 1)
        answer = await gateway.embed(EmbeddingRequest("embed", texts))

    entries = [line for line in lines(server) if line["kind"] == "settle"]
    assert answer.cost is not None
    assert answer.cost.micro == sum(line["cost"]["micro"] for line in entries) > 0


async def test_a_questions_own_cap_says_so(gateway: Gateway) -> None:
    """The refusal does not speak of a budget around the call where there is none."""
    with pytest.raises(BudgetExceeded, match="the budget of this question has"):
        await whole(gateway, HELLO, Terms(caps=(Cap("question:q", 1),)))


async def test_a_cap_of_another_kind_is_not_lost_on_the_way(server: Served, gateway: Gateway) -> None:
    """A server holds budgets for its callers; what it cannot hold is refused before anything is asked."""
    with pytest.raises(Unsupported):
        await whole(gateway, terms=Terms(caps=(Cap("notebook:a", 1),)))

    assert not lines(server)


async def test_the_books_are_the_servers(server: Served, gateway: Gateway) -> None:
    """Lines, sums, budgets and how the ledger does: as if it were in this process."""
    for name in ("a", "b", "b"):
        await whole(gateway, terms=Terms(origin=Origin(notebook=name)))
    server.ask("PUT", "/admin/ledger/budgets/notebook", json_body={"limit": 1})
    lines(server)
    books = gateway.books

    sums = {total.key: total.cost_micro for total in await books.totals("notebook")}
    [state] = [row for row in await books.budgets(Origin(notebook="b")) if row.cap.scope == "notebook:b"]
    entries = await books.entries(Query(notebook="b", limit=5000))
    status = await books.status()

    assert sums == {"a": COST_MICRO, "b": 2 * COST_MICRO}
    assert (state.cap.limit_micro, state.spent_micro, state.left_micro) == (
        10**6,
        2 * COST_MICRO,
        10**6 - 2 * COST_MICRO,
    )
    assert [entry.origin.notebook for entry in entries] == ["b", "b"]
    assert [entry.seq for entry in entries] == sorted((entry.seq for entry in entries), reverse=True)
    assert (status.state, isinstance(status.notices, tuple)) == ("memory", True)
    assert await books.void(entries[0].step) == 0


async def test_long_pages_are_asked_for_in_several(
    server: Served, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page here may be longer than one of the server's: no line is missing, and none comes twice."""
    for _ in range(5):
        await whole(gateway)
    lines(server)
    monkeypatch.setattr("osaurus_nb.wire.ledger.LONGEST_PAGE", 2)

    entries = await gateway.books.entries(Query(limit=4))

    assert len({entry.seq for entry in entries}) == 4


async def test_who_may_not_see_the_books_is_told(server: Served) -> None:
    """A key without the scope `admin` is refused as such."""
    key = server.service.keys.issue("a colleague", scopes=PLAIN_SCOPES, expires_in=None)[0]

    async with aclosing(Gateway(server.url, key)) as gateway:
        with pytest.raises(Forbidden):
            await gateway.books.status()


async def test_a_server_that_is_gone_has_unreadable_books() -> None:
    """One kind of error, wherever the ledger is: what was spent cannot be told now."""
    async with aclosing(Gateway("http://127.0.0.1:9/osaurus", None)) as gateway:
        with pytest.raises(LedgerUnreadable, match="cannot be asked"):
            await gateway.books.entries()
