"""`Client.ledger`: lines, sums and budgets that show themselves."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from importlib import import_module

import pytest

import osaurus_nb as osaurus
from osaurus_nb.accounts import query
from osaurus_nb.client import AsyncClient, Client
from osaurus_nb.errors import RequestError
from osaurus_nb.spending import BudgetState, Cap, Cost
from tests.client.books import BooksOf, Kept, line, local, orphan


@pytest.fixture
def kept():
    return BooksOf([line(5), line(4, cost=Cost(None)), local(3), orphan(2)])


@pytest.fixture
def ledger(kept):
    return Client(backend=Kept(kept)).ledger


def test_lines_come_newest_first_as_the_ledger_has_them(ledger, kept):
    """Nothing is added or lost on the way."""
    found = ledger.entries()

    assert list(found) == kept.kept
    assert (len(found), found[0].seq, [entry.seq for entry in found[1:3]]) == (4, 5, [4, 3])


def test_filters_reach_the_ledger(ledger, kept):
    """Each is a field of its question; what is stored as a digest is asked for by that."""
    ledger.entries(last="7d", model="gpt-5-mini", notebook="why\ndid she leave?", limit=5)
    asked = kept.asked[-1]

    assert (asked.model, asked.limit) == ("gpt-5-mini", 5)
    assert asked.notebook.startswith("sha256:")
    assert asked.since is not None


@pytest.mark.parametrize(("last", "seconds"), [("30m", 1800), ("24h", 86400), (" 7 d ", 604800), ("2w", 1209600)])
def test_a_span_ends_now(last, seconds):
    """`last` is counted back from this moment; an earlier `since` does not widen it."""
    assert query({"last": last}, now=5e6).since == 5e6 - seconds
    assert query({"last": last, "since": 0}, now=5e6).since == 5e6 - seconds
    assert query({"last": last, "since": 5e6 - 1}, now=5e6).since == 5e6 - 1


def test_today_begins_at_midnight_here():
    """Local midnight, as budgets count days."""
    noon = datetime(2026, 11, 21, 12, 30).astimezone()

    since = query({"last": "today"}, now=noon.timestamp()).since

    assert datetime.fromtimestamp(since).astimezone() == noon.replace(hour=0, minute=0)


def test_today_begins_at_midnight_where_the_clock_was_moved(monkeypatch):
    """Berlin, on the day that has 25 hours."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        since = query({"last": "today"}, now=datetime(2026, 10, 25, 12, tzinfo=UTC).timestamp()).since
    finally:
        monkeypatch.undo()
        time.tzset()

    assert datetime.fromtimestamp(since, UTC) == datetime(2026, 10, 24, 22, tzinfo=UTC)


def test_times_may_be_dates():
    """A datetime is as good as Unix seconds."""
    assert query({"until": datetime(2026, 11, 21, tzinfo=UTC)}).until == 1795219200.0


@pytest.mark.parametrize(
    ("call", "param"),
    [
        (lambda ledger: ledger.entries(modle="x"), "modle"),
        (lambda ledger: ledger.entries(last="yesterday"), "last"),
        (lambda ledger: ledger.sum("mood"), "by"),
    ],
)
def test_what_is_no_filter_is_refused(ledger, call, param):
    """The message names what there is."""
    with pytest.raises(RequestError) as caught:
        call(ledger)

    assert caught.value.param == param


def test_lines_show_themselves_in_words(ledger):
    """Cost, seconds and what came, and an orphan is explained; free, unknown and estimated are told apart."""
    shown = repr(ledger.entries())

    assert "openai/gpt-5-mini" in shown
    assert "$0.0012" in shown
    assert "tiny" in shown
    assert "free" in shown
    assert "up to $0.02" in shown
    assert "orphan: charged perhaps, and nobody saw the answer" in shown


def test_an_estimate_says_so():
    """It is never shown as if a provider had said it."""
    client = Client(backend=Kept(BooksOf([line(1, cost=Cost(1234, "table", estimated=True))])))

    assert "about $0.0012" in repr(client.ledger.entries())
    assert "about $0.0012" in repr(client.ledger.sum("model"))


def test_names_from_outside_are_shown_as_text():
    """Neither HTML nor what drives a terminal passes."""
    client = Client(backend=Kept(BooksOf([line(1, model="<img src=x onerror=alert(1)>\x1b[2J")])))
    shown = client.ledger.entries()._repr_mimebundle_()

    assert "<img" not in shown["text/html"]
    assert "\x1b" not in shown["text/plain"]


def test_long_lists_are_shown_in_part(ledger, kept):
    """All lines are in the list, and it says how many are not shown."""
    kept.kept = [line(seq) for seq in range(80)]
    found = ledger.entries()

    assert len(found) == 80
    assert len(found.records()) == 80
    assert "and 30 more" in repr(found)


def test_sums_say_what_they_do_not_know(ledger):
    """A sum over a line without a price is no whole sum, and local seconds are counted too."""
    sums = ledger.sum("model")
    found = {row[0]: row for row in sums.rows}

    assert found["gpt-5-mini"] == ("gpt-5-mini", "2", "2,400", "68", "$0.0012 and ?", "3.0")
    assert found["tiny"][4:] == ("free", "1.5")
    assert sums.total.calls == 3
    assert "together: 3 calls, $0.0012 and ?, 4.5 s" in repr(sums)


def test_records_have_all_that_is_known(ledger):
    """Plain values under plain names, for pandas and others."""
    first, *_, last = ledger.entries().records()

    assert (first["cost_micro"], first["cost_usd"], first["cost_source"]) == (1234, 0.001234, "table")
    assert (first["notebook"], first["cell"], first["run"]) == ("/lab/a.ipynb", "cell-1", "run-1")
    assert first["at"].tzinfo is not None
    assert last["orphan"]
    assert ledger.sum("cell").records()[0]["cell"] == "cell-1"


def test_without_pandas_it_says_what_to_install(ledger, monkeypatch):
    """And what gives the same without it."""
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(ImportError, match=r"pip install pandas.*records\(\)"):
        ledger.entries().to_pandas()


def test_orphans_are_asked_for_alone(ledger):
    """And a step that was surely not charged is struck."""
    assert [entry.seq for entry in ledger.orphans()] == [2]
    assert ledger.void("step2") == 1
    assert list(ledger.orphans()) == []
    assert "no such line" in repr(ledger.orphans())


def test_budgets_are_named_in_words(ledger, kept):
    """Limit, spent, set aside and left; what is left is never shown as more than it is."""
    kept.caps = [
        BudgetState(Cap("day:2026-11-21", 5_000_000), 1_234_567, 10_000),
        BudgetState(Cap("provider:openai@2026-11", 9_999), 0, 0),
    ]

    day, provider = ledger.budgets().rows

    assert day == ("today", "$5.00", "$1.23", "$0.01", "$3.75")
    assert provider[0] == "openai, this month"


def test_no_budget_is_said():
    """An empty list is a sentence."""
    assert repr(Client(backend=Kept(BooksOf())).ledger.budgets()) == "No budget holds here."


@pytest.mark.anyio
async def test_the_async_client_has_the_same(kept):
    """Beside a running loop with `await`, and the sync one there too."""
    backend = Kept(kept)

    assert len(await AsyncClient(backend=backend).ledger.entries()) == 4
    assert len(Client(backend=backend).ledger.entries()) == 4


def test_the_front_door_asks_with_the_users_own_settings(tmp_path, monkeypatch):
    """`osaurus.ledger` is ready where nothing was ever spent, whatever of it was loaded before."""
    for name in ("OSAURUS_URL", "OSAURUS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OSAURUS_HOME", str(tmp_path))
    monkeypatch.setenv("OSAURUS_ROUTER", "off")
    for room in ("limits", "exporting", "verifying"):
        import_module(f"osaurus_nb.ledger.{room}")

    assert len(osaurus.ledger.entries()) == len(osaurus.ledger.sum("day", last="7d")) == 0
    assert len(osaurus.ledger.orphans()) == len(osaurus.ledger.budgets()) == 0
    assert osaurus.ledger.void("none") == 0
    assert callable(osaurus.ledger.export)
    assert callable(osaurus.ledger.verify)
    assert {"entries", "sum", "verify"} <= set(dir(osaurus.ledger))
