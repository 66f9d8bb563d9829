"""`osaurus-nb ledger …` and `%osaurus ledger …`: what was spent, line by line or in sums."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import get_args

from osaurus_nb import money
from osaurus_nb.accounts import Filters, Ledger
from osaurus_nb.commands import home, ledger_care, ledger_files
from osaurus_nb.commands.grammar import Actions
from osaurus_nb.commands.person import Person
from osaurus_nb.commands.told import Told
from osaurus_nb.errors import ConfigError
from osaurus_nb.spending import By, Outcome
from osaurus_nb.statement import Entries, figures, when

HELP = "what was spent: line by line, or by cell, notebook, model, day"
ACTIONS = ("status", "void", *ledger_care.ACTIONS, *ledger_files.ACTIONS)
_ORPHANS = ("time", "model", "at most", "step", "notebook")


def configure(parser: ArgumentParser) -> None:
    """Teach `parser` the filters and actions. Without any, the newest lines are listed."""
    parser.set_defaults(act=_show)
    parser.add_argument("--by", choices=get_args(By), help="sums instead of lines")
    parser.add_argument("--last", metavar="SPAN", help="30m, 24h, 7d, 2w or today")
    parser.add_argument("--model", help="its id at its provider")
    parser.add_argument("--provider")
    parser.add_argument("--notebook", metavar="PATH")
    parser.add_argument("--cell", metavar="ID")
    parser.add_argument("--access-key", metavar="ID", help="of which issued key")
    parser.add_argument("--outcome", choices=get_args(Outcome))
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="so many lines (20)")
    parser.add_argument("--orphans", action="store_true", help="calls that were sent and never ended")
    actions = Actions(parser)
    actions.add("status", _status, "where the ledger is, and how it does")
    void = actions.add("void", _void, "strike the open lines of a step that was surely not charged")
    void.add_argument("step", metavar="STEP")
    ledger_care.configure(actions)
    ledger_files.configure(actions)


def _show(options: Namespace, person: Person) -> Told:
    home.ask_passphrase(person)
    with person.books() as ledger:
        notes = [*_orphaned(ledger, options, person), *ledger.status().notices]
        if options.orphans:
            return _orphans(ledger.orphans(**_filters(options)), notes)
        if options.by:
            sums = ledger.sum(options.by, **_filters(options))
            rows = [*sums.rows, ("together", *figures(sums.total))] if sums else []
            return Told(() if sums else [sums.footer], sums.head, rows, notes)
        lines = ledger.entries(limit=options.limit, **_filters(options))
        return Told(() if lines else [lines.footer], lines.head, lines.rows, notes)


def _filters(options: Namespace) -> Filters:
    return {
        "last": options.last,
        "model": options.model,
        "provider": options.provider,
        "notebook": options.notebook,
        "cell": options.cell,
        "key": options.access_key,
        "outcome": options.outcome,
    }


def _orphans(found: Entries, notes: list[str]) -> Told:
    rows = [
        (when(e.at), f"{e.provider}/{e.model}", money.row(e.reserved_micro or None), e.step, e.origin.notebook or "")
        for e in found
    ]
    return Told(() if rows else ["There are no orphans: every call that was sent has its end."], _ORPHANS, rows, notes)


def _orphaned(ledger: Ledger, options: Namespace, person: Person) -> list[str]:
    """What an orphan is and what to do about it, where there are any."""
    number = len(ledger.orphans(**_filters(options)))
    if not number:
        return []
    them = "1 call is an orphan" if number == 1 else f"{number} calls are orphans"
    see = "" if options.orphans else f" {person.spelled('ledger --orphans')} lists them."
    settle, strike = person.spelled("ledger reconcile"), person.spelled("ledger void STEP")
    return [
        f"{them}: charged perhaps, and nobody saw the answer, for the process ended in the middle. Under budgets that "
        f"counts as spent until its end is known.{see} {settle} asks the Router for its own; for any other provider "
        f"look at its list of calls: {strike} strikes what it did not charge."
    ]


def _status(options: Namespace, person: Person) -> Told:
    home.ask_passphrase(person)
    with person.books() as ledger:
        status = ledger.status()
    kept = {
        "encrypted": f"The ledger is encrypted, in {status.path}.",
        "plaintext": f"The ledger is not encrypted, in {status.path}.",
        "memory": "The ledger lasts as long as this process: there is no place, or no key, to keep it with.",
    }.get(status.state, f"The ledger is {status.state}.")
    waiting = [f"{status.waiting} lines wait to be written."] if status.waiting else []
    rows = "1 line" if status.rows == 1 else f"{status.rows:,} lines"
    return Told([kept, f"It has {rows}.", *waiting], notes=status.notices)


def _void(options: Namespace, person: Person) -> Told:
    home.ask_passphrase(person)
    with person.books() as ledger:
        number = ledger.void(options.step)
    if not number:
        raise ConfigError(f"Step '{options.step[:64]}' has no open line. Nothing was changed.")
    return Told([f"Struck: {'1 line' if number == 1 else f'{number} lines'}. It counts as not spent."])
