"""The functions of `osaurus.ledger`: each asks with the user's own settings. Keeps no client between two calls."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Unpack

from osaurus_nb.accounts import Filters
from osaurus_nb.client import Client
from osaurus_nb.commands.grammar import perform
from osaurus_nb.commands.person import Notebook
from osaurus_nb.commands.table import COMMANDS
from osaurus_nb.ledger.verifying import Verdict
from osaurus_nb.ledger.verifying import verify as check
from osaurus_nb.spending import By, LedgerStatus
from osaurus_nb.statement import Budgets, Entries, Sums


def entries(*, limit: int | None = 100, **filters: Unpack[Filters]) -> Entries:
    """The newest lines that are meant, newest first: `entries(last="7d", model="gpt-5-mini")`; `limit=None` for all."""
    with Client() as client:
        return client.ledger.entries(limit=limit, **filters)


def sum(by: By = "model", **filters: Unpack[Filters]) -> Sums:
    """What was spent, e.g. `sum("notebook", last="7d")`, or by cell, model, provider, day, session, key, outcome."""
    with Client() as client:
        return client.ledger.sum(by, **filters)


def orphans(**filters: Unpack[Filters]) -> Entries:
    """Calls that were charged perhaps and whose answer nobody saw: their process ended in the middle."""
    with Client() as client:
        return client.ledger.orphans(**filters)


def budgets() -> Budgets:
    """The caps that hold for a question that is asked here and now, and how far each is used up."""
    with Client() as client:
        return client.ledger.budgets()


def void(step: str) -> int:
    """Strike the open lines of a step that surely was not charged. How many there were."""
    with Client() as client:
        return client.ledger.void(step)


def status() -> LedgerStatus:
    """Where the ledger is, and what there is to know about it."""
    with Client() as client:
        return client.ledger.status()


def export(path: str | Path, *, signed: bool = True, replace: bool = False) -> str:
    """Write all of it to a file that anybody can verify, signed by the identity if there is one. What it says of it.

    Raises ConfigError where no ledger is kept, and for a file that is there, unless it may be replaced.
    """
    parser = ArgumentParser()
    COMMANDS["ledger"].configure(parser)
    words = [*([] if signed else ["--unsigned"]), *(["--replace"] if replace else []), "--", str(path)]
    return perform(parser.parse_args(["export", *words]), Notebook()).lines[0]


def verify(path: str | Path, *, address: str | None = None) -> Verdict:
    """Is an exported ledger whole, and whose is it? With `address` it must be signed by that identity."""
    return check(Path(path).expanduser().read_bytes(), address)


def _repr_mimebundle_(include: Any = None, exclude: Any = None) -> dict[str, str]:
    """The module itself at the end of a cell shows what the last days cost."""
    return sum("day", last="7d")._repr_mimebundle_()
