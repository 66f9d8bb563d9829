"""`route replay`, as a terminal and a cell have it."""

from __future__ import annotations

import argparse
import json
import time
from contextlib import contextmanager
from decimal import Decimal

import pytest

from osaurus_nb.client import Client
from osaurus_nb.commands import replaying
from osaurus_nb.commands.grammar import perform
from osaurus_nb.commands.person import Terminal
from osaurus_nb.errors import ConfigError, RequestError
from osaurus_nb.models import ModelCard, Price
from osaurus_nb.routing.replay import CAVEATS
from osaurus_nb.spending import Cost
from tests.client.books import BooksOf, Kept, line

MINI = ModelCard("gpt-5-mini", "openai", price=Price(Decimal("0.25"), Decimal(2)))
HOME = ModelCard("tiny-1b", "local", "process", 32_000, size_bytes=1_000_000_000)


class Keeper(Terminal):
    """Somebody with these books and two models."""

    def __init__(self, books: BooksOf) -> None:
        super().__init__({})
        self._client = Client(backend=Kept(books))

    @contextmanager
    def books(self):
        yield self._client.ledger

    @contextmanager
    def models(self):
        yield [HOME, MINI]


@pytest.fixture
def kept():
    at = time.time() - 60
    return BooksOf([line(1, at=at), line(2, at=at, cost=Cost(None)), line(3, at=at, outcome="error")])


@pytest.fixture
def tell(home, kept):
    """What the command says of these books."""

    def told(*words):
        parser = argparse.ArgumentParser("route", allow_abbrev=False)
        replaying.configure(parser)
        return perform(parser.parse_args(words), Keeper(kept))

    return told


def test_the_difference_is_told_with_its_caveats(tell):
    """Sums over what is known on both sides, each move between models, and what the figures do not say."""
    told = tell("--profile", "osaurus/fast-local")

    assert told.lines == [
        "2 questions of the ledger under 'fast-local': 2 would have gone to another model.",
        "Cost: $0.0012 then, $0.00 now (-100%), for the 1 of 2 questions where both are known.",
        "Time: the ledger does not know how fast these models are.",
        "1 line was left out: no answer came, or nobody counted.",
    ]
    assert [row[:3] for row in told.rows] == [("openai/gpt-5-mini", "tiny-1b", "2")]
    assert told.notes == CAVEATS


def test_another_list_of_prices_is_a_file(tell, home):
    """The models stay; what the list has is priced anew."""
    prices = home / "prices.json"
    prices.write_text(json.dumps({"prices": {"openai/gpt-5-mini": {"input": 10, "output": 10}}}))

    told = tell("--prices", str(prices))

    assert told.lines[0] == "2 questions of the ledger at these prices: 0 would have gone to another model."
    assert told.lines[1].startswith("Cost: $0.0012 then, $0.01")


def test_only_lines_of_the_span_are_asked_for(tell, kept):
    """By default a week; another span is said as for the ledger."""
    tell("--profile", "auto")
    tell("--profile", "auto", "--last", "24h")

    spans = [time.time() - query.since for query in kept.asked]
    assert spans == pytest.approx([7 * 86_400, 86_400], abs=60)


def test_what_cannot_be_replayed_is_told(tell, home, kept):
    """No profile and no prices, a profile that there is none, files that say nothing, and an empty ledger."""
    (home / "empty.json").write_text("{}")
    with pytest.raises(ConfigError, match="Give --profile NAME, or --prices FILE"):
        tell()
    with pytest.raises(RequestError, match="Did you mean 'frontier'"):
        tell("--profile", "frontire")
    with pytest.raises(ConfigError, match="cannot be read"):
        tell("--prices", str(home / "missing.json"))
    with pytest.raises(ConfigError, match="it has no `prices`"):
        tell("--prices", str(home / "empty.json"))
    kept.kept.clear()
    assert tell("--profile", "auto").lines == [
        "The ledger has no answered question with counted tokens in the last 7d."
    ]


def test_a_terminal_replays_its_ledger(run, monkeypatch):
    """`osaurus-nb route replay` is there, and says so when there is nothing to replay."""
    monkeypatch.setenv("OSAURUS_OFFERS", "off")

    said = run("route replay --profile auto --last 24h")

    assert said.code == 0
    assert said.out.startswith("The ledger has no answered question")
