"""What an answer cost, below it; budgets, usage and the ledger in cells."""

from __future__ import annotations

import pytest

from osaurus_nb import notebook
from osaurus_nb.client import Client
from osaurus_nb.errors import BudgetExceeded
from osaurus_nb.events import CostReported, Finished
from osaurus_nb.spending import Cost
from tests.client.books import BooksOf, Kept, line, orphan


class Paid(Kept):
    """Each answer costs a bit; its books are given; `dear` is past every budget."""

    def __init__(self, books):
        super().__init__(books, dear=[BudgetExceeded("'dear' was not asked: it could cost $1.00.")])
        self.terms = []

    async def stream(self, request, terms):
        self.terms.append(terms)
        async for event in super().stream(request, terms):
            if isinstance(event, Finished):
                yield CostReported(Cost(1234, "table"))
            yield event


@pytest.fixture
def books():
    return BooksOf([line(2), orphan(1, model="<script>alert(1)</script>")])


@pytest.fixture
def backend(room, books):
    backend = Paid(books)
    notebook.use(Client(backend=backend, model="scripted/echo"), shell=room.shell)
    return backend


def test_the_cost_stands_below_the_answer(room, backend):
    """In the cell's footer, and in the reply."""
    room.run("%%osaurus\nHi.")

    assert "· $0.0012</div>" in room.shown[-1]["data"]["text/html"]
    assert room.shell.user_ns["_"].cost == Cost(1234, "table")


def test_a_cell_may_say_what_it_may_cost(room, backend):
    """`--max-cost` caps this one question, in a cell and on a line."""
    room.run("%%osaurus --max-cost $0.05\nHi.")
    room.run("%osaurus ask --max-cost 0.10 Hi.")
    room.run("%osaurus ask Hi.")

    assert [[cap.limit_micro for cap in terms.caps] for terms in backend.terms] == [[50_000], [100_000], []]


def test_a_wrong_amount_fails_before_anything_is_asked(room, backend):
    """The message shows how an amount is written."""
    result = room.run("%osaurus ask --max-cost lots Hi.")

    assert "max_cost" in str(result.error_in_exec)
    assert backend.terms == []


def test_a_budget_holds_in_a_cell(room, backend):
    """Magics inside the block are inside the budget."""
    room.run("import osaurus_nb as osaurus\nwith osaurus.budget('$0.50') as b:\n    %osaurus ask Hi.")

    assert [cap.limit_micro for cap in backend.terms[-1].caps] == [500_000]
    assert str(room.shell.user_ns["b"].spent) == "0.001234"


def test_what_is_past_a_budget_fails_in_one_line(room, backend):
    """As every error of ours."""
    error = room.run("%%osaurus -m scripted/dear\nHi.").error_in_exec

    assert isinstance(error, BudgetExceeded)
    assert error._render_traceback_() == ["BudgetExceeded: 'dear' was not asked: it could cost $1.00."]


def test_the_ledger_is_shown_as_a_table(room, backend):
    """Lines, and below them what an orphan is; a name from outside is text."""
    room.run("%osaurus ledger --limit 5")

    shown = "".join(output["data"].get("text/html", "") for output in room.shown)
    assert "$0.0012" in shown
    assert "charged perhaps, and nobody saw the answer" in shown
    assert "`%osaurus ledger --orphans`" in shown
    assert "<script>" not in shown


def test_usage_names_the_last_run(room, backend, books):
    """Also when the cell that asks for it has spent nothing itself."""
    room.run("%osaurus usage")

    assert "last run of a cell" in room.shown[-1]["data"]["text/plain"]


def test_budgets_are_set_in_a_cell(room, backend, tmp_path, monkeypatch):
    """With the same words as in a terminal."""
    monkeypatch.setenv("OSAURUS_HOME", str(tmp_path))
    room.run("%osaurus budget notebook $2")
    room.run("%osaurus budget")

    assert '"notebook": "2"' in (tmp_path / "billing" / "settings.json").read_text()
    assert "$2.00" in room.shown[-1]["data"]["text/plain"]


def test_a_ledger_at_the_end_of_a_cell_shows_itself(room, backend):
    """`client.ledger.sum(...)` is a table with what it all comes to."""
    room.shell.user_ns["books"] = Client(backend=backend).ledger
    data, _ = room.shell.display_formatter.format(room.run("books.sum('cell')").result)

    assert "<table>" in data["text/html"]
    assert "together: 1 call, $0.0012" in data["text/plain"]
