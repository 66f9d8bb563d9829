"""`ledger`, `usage` and `budget`, as a terminal and a cell have them."""

from __future__ import annotations

import argparse
import json
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from osaurus_nb import origin
from osaurus_nb.client import Client
from osaurus_nb.commands.grammar import perform
from osaurus_nb.commands.person import Terminal
from osaurus_nb.commands.table import COMMANDS
from osaurus_nb.errors import ConfigError, LedgerUnreadable
from osaurus_nb.ledger.chain import link
from osaurus_nb.ledger.exporting import export
from osaurus_nb.origin import Run
from osaurus_nb.spending import BudgetState, Cap, Cost, Origin
from tests.client.books import BooksOf, Kept, line, local, orphan


class Reader(Terminal):
    """Somebody at a terminal whose ledger is the given one."""

    def __init__(self, books: BooksOf) -> None:
        super().__init__({})
        self._client = Client(backend=Kept(books))

    @contextmanager
    def books(self):
        yield self._client.ledger


@pytest.fixture
def kept():
    return BooksOf([line(4), line(3, cost=Cost(None)), local(2)])


@pytest.fixture
def tell(home, kept):
    """What a command says, of these books."""

    def told(words):
        name, *rest = words.split()
        parser = argparse.ArgumentParser(name, allow_abbrev=False)
        COMMANDS[name].configure(parser)
        return perform(parser.parse_args(rest), Reader(kept))

    return told


def billing(home):
    return json.loads((home / "billing" / "settings.json").read_text())


def test_the_ledger_lists_the_newest_lines(tell):
    """Each with its model, tokens, cost, seconds and what came."""
    told = tell("ledger")

    assert told.head[1:7] == ("model", "in", "out", "cost", "seconds", "what came")
    assert [row[1:7] for row in told.rows] == [
        ("openai/gpt-5-mini", "1,200", "34", "$0.0012", "1.5", "answer"),
        ("openai/gpt-5-mini", "1,200", "34", "?", "1.5", "answer"),
        ("tiny", "1,200", "34", "free", "1.5", "answer"),
    ]


def test_filters_and_sums(tell, kept):
    """`--by` sums what the filters leave, and tells it all together below."""
    told = tell("ledger --by model --last 7d --provider openai")
    by, asked = next(said for said in reversed(kept.asked) if isinstance(said, tuple))

    assert (by, asked.provider) == ("model", "openai")
    assert time.time() - 8 * 86400 < asked.since < time.time() - 6 * 86400
    assert told.lines == ["The ledger has no such line."]

    told = tell("ledger --by model")
    assert told.rows[-1][:2] == ("together", "3")
    assert told.rows[-1][4] == "$0.0012 and ?"


def test_orphans_are_explained(tell, kept):
    """What they are, that they count, and what to do about them; with `--orphans` they are listed with their steps."""
    assert tell("ledger").notes == []
    kept.kept.append(orphan(9))

    note, listed = tell("ledger").notes[0], tell("ledger --orphans")

    assert "charged perhaps, and nobody saw the answer, for the process ended in the middle" in note
    assert "`osaurus-nb ledger --orphans`" in note
    assert "`osaurus-nb ledger void STEP`" in note
    assert listed.rows[0][1:4] == ("openai/gpt-5-mini", "$0.02", "step9")


def test_an_orphan_that_was_not_charged_is_struck(tell, kept):
    """And a step without an open line is not."""
    kept.kept.append(orphan(9))

    assert "1 line" in tell("ledger void step9").lines[0]
    with pytest.raises(ConfigError, match="no open line"):
        tell("ledger void step9")


def test_the_ledger_tells_how_it_does(tell, kept):
    """Where it is, and what happened to its file, here and below every list."""
    kept.notices = ("The ledger was damaged and is set aside.",)

    assert "encrypted, in /home/ann" in tell("ledger status").lines[0]
    assert tell("ledger status").notes == kept.notices
    assert tell("ledger").notes == [*kept.notices]
    assert tell("usage").notes == kept.notices


def test_an_export_is_verified_with_one_command(run, tmp_path):
    """Whole, or which line is not; it takes the file alone."""
    first = line(1)
    chained = [line(1, chain=link("", first))]
    file = tmp_path / "ledger.jsonl"
    file.write_bytes(export(chained, at=datetime.now(UTC), app_version="0.1.0"))
    whole = run(f"ledger verify {file}")
    file.write_bytes(file.read_bytes().replace(b"1200", b"1201"))

    altered, missing = run(f"ledger verify {file}"), run(f"ledger verify {tmp_path / 'none'}")

    assert whole.code == 0
    assert altered.code == missing.code == 1
    assert "cannot be read" in missing.err


def test_usage_in_a_terminal_goes_by_days(tell, kept):
    """Where there is neither notebook nor cell."""
    now = time.time()
    kept.kept = [line(1, at=now), local(2, at=now), line(3, at=now - 3 * 86400)]

    rows = {row[0]: row[1:] for row in tell("usage").rows}

    assert list(rows) == ["today", "last 7 days", "last 30 days"]
    assert rows["today"] == ("2", "2,400", "68", "$0.0012", "1.5")
    assert rows["last 7 days"][0] == "3"


def test_usage_in_a_notebook_goes_by_what_runs(tell, kept):
    """The session, and the last execution of a cell that asked anything."""
    here, now = origin.current(), time.time()
    mine = [Origin(here.session, here.notebook, "c", run) for run in ("run-2", "run-1")]
    kept.kept = [
        line(1, at=now, origin=mine[0]),
        local(2, at=now, origin=mine[0]),
        line(3, at=now, origin=mine[1]),
        line(4, at=now),
    ]

    def finder():
        return Run("run-3", "d")

    origin.process().add(finder)
    rows = {row[0]: row[1:] for row in tell("usage").rows}
    origin.process().remove(finder)

    assert rows["today"][0] == "4"
    assert rows["this session"][0] == "3"
    assert rows["last run of a cell"] == ("2", "2,400", "68", "$0.0012", "1.5")


@pytest.mark.parametrize("amount", ["5", "$5", "5.00", "5USD"])
def test_a_budget_is_set_in_dollars(tell, home, amount):
    """However they are written; `off` lifts it."""
    said = tell(f"budget day {amount}")
    kept = billing(home)["budgets"]["day"]
    tell("budget day off")

    assert said.lines == ["No more than $5.00 is spent for a day. What could cost more is not asked."]
    assert kept == "5"
    assert "day" not in billing(home).get("budgets", {})


def test_all_kinds_of_budgets_are_set_listed_and_lifted(tell, home, kept, run):
    """With what is spent of each, where it can be told from here."""
    run("providers add lab --url http://127.0.0.1:9/v1")
    for words in ("notebook 2", "cell 0.50", "request 0.10", "key ab12 7", "provider lab 3"):
        tell(f"budget {words}")
    kept.caps = [BudgetState(Cap("provider:lab@2026-11", 3_000_000), 1_250_000, 10_000)]

    rows = {row[0]: row[1:] for row in tell("budget").rows}
    tell("budget off")

    assert rows["one run of a cell"] == ("$0.50", "", "", "")
    assert rows["one question"][0] == "$0.10"
    assert rows["notebook"][0] == "$2.00"
    assert rows["key ab12, a month"][0] == "$7.00"
    assert rows["provider lab, a month"] == ("$3.00", "$1.25", "$0.01", "$1.74")
    assert tell("budget").rows == []
    assert "There is no budget" in tell("budget").lines[0]


def test_a_budget_for_nobody_is_refused(tell):
    """A slip in a provider's name would be a budget that never holds."""
    with pytest.raises(ConfigError):
        tell("budget provider nobody 3")


@pytest.mark.parametrize("words", ["budget day lots", "budget day -1", "budget day", "budget week 3"])
def test_what_is_no_amount_is_told(run, words):
    """A wrong word ends with how it is written."""
    said = run(words)

    assert said.code == 2
    assert said.out == ""


def test_a_price_of_ones_own_is_kept(tell, home):
    """For models that no table knows; it takes both parts, and `off` forgets it."""
    said = tell("budget price lab/big 2.50 10 --cache-read 0.25")
    listed = tell("budget").lines
    with pytest.raises(ConfigError, match="two parts"):
        tell("budget price lab/big 3")
    kept = billing(home)["prices"]
    tell("budget price lab/big off")

    assert "$2.5 in, $10 out, $0.25 read from cache" in said.lines[0]
    assert any("lab/big" in text for text in listed)
    assert kept["lab/big"]["input"] == "2.5"
    assert "prices" not in billing(home)


def test_a_faulty_file_is_told_and_not_written_over(tell, home):
    """Whoever edited it by hand loses nothing."""
    (home / "billing").mkdir()
    (home / "billing" / "settings.json").write_text('{"budgets": {"day": "lots"}}')

    notes = tell("budget").notes
    with pytest.raises(ConfigError):
        tell("budget day 5")

    assert any("budgets.day" in note for note in notes)
    assert billing(home) == {"budgets": {"day": "lots"}}


def test_budgets_are_listed_without_a_readable_ledger(tell, kept):
    """Limits are known without it; that it cannot be read is said."""
    tell("budget day 5")

    async def unreadable(origin):
        raise LedgerUnreadable("The ledger is locked.")

    kept.budgets = unreadable

    assert tell("budget").rows == [("day", "$5.00", "", "", "")]
    assert "The ledger is locked." in tell("budget").notes
