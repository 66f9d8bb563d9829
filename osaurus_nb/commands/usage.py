"""`osaurus-nb usage` and `%osaurus usage`: what it comes to, today and here. Changes nothing."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from osaurus_nb import origin
from osaurus_nb.accounts import Ledger
from osaurus_nb.commands import home
from osaurus_nb.commands.person import Person
from osaurus_nb.commands.told import Told
from osaurus_nb.models import LOCAL
from osaurus_nb.spending import Total
from osaurus_nb.statement import Sums, figures, total

HELP = "what was spent today, in this notebook and by the last run of a cell"
ACTIONS = ()
_HEAD = ("", "calls", "in", "out", "cost", "local seconds")
#: So far back a cell's last run is looked for, in lines.
_RECENT = 500


def configure(parser: ArgumentParser) -> None:
    """It takes no words."""
    parser.set_defaults(act=_usage)


def _usage(options: Namespace, person: Person) -> Told:
    home.ask_passphrase(person)
    with person.books() as ledger:
        return Told((), _HEAD, list(_rows(ledger)), ledger.status().notices)


def _rows(ledger: Ledger) -> Iterator[tuple[str, ...]]:
    here = origin.current()
    yield _row("today", ledger.sum("provider", last="today"))
    if here.notebook is not None:
        yield _row("this notebook", ledger.sum("provider", notebook=here.notebook))
    if here.run is None:
        yield _row("last 7 days", ledger.sum("provider", last="7d"))
        yield _row("last 30 days", ledger.sum("provider", last="30d"))
        return
    yield _row("this session", ledger.sum("provider", session=here.session))
    recent = ledger.entries(session=here.session, limit=_RECENT)
    run = next((entry.origin.run for entry in recent if entry.origin.run is not None), None)
    lines = [entry for entry in recent if run is not None and entry.origin.run == run]
    local = total(entry for entry in lines if entry.provider == LOCAL)
    yield _told("last run of a cell", total(lines), local.seconds)


def _row(name: str, sums: Sums) -> tuple[str, ...]:
    return _told(name, sums.total, sum(one.seconds for one in sums if one.key == LOCAL))


def _told(name: str, whole: Total, local: float) -> tuple[str, ...]:
    calls, given, made, cost, _ = figures(whole)
    return (name, calls, given, made, cost if whole.calls else "", f"{local:,.1f}" if local else "")
