"""`osaurus-nb ledger export|diagnostics|verify|reconcile`: the ledger as files, and against the Router's own list.

A file is never written over another one unasked. `verify` needs nothing but the file.
"""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from osaurus_nb import money
from osaurus_nb.commands import home, router
from osaurus_nb.commands.grammar import Actions
from osaurus_nb.commands.ledger_care import with_ledger
from osaurus_nb.commands.person import Person
from osaurus_nb.commands.reconciling import matched
from osaurus_nb.commands.told import Told
from osaurus_nb.config.paths import write_private
from osaurus_nb.errors import ConfigError
from osaurus_nb.identity.addresses import is_address
from osaurus_nb.identity.identity import Identity
from osaurus_nb.ledger.diagnostics import diagnostics, here
from osaurus_nb.ledger.exporting import export
from osaurus_nb.ledger.paging import every
from osaurus_nb.ledger.reconcile import Listed, Reconciled, likely
from osaurus_nb.ledger.verifying import verify
from osaurus_nb.models import ROUTER
from osaurus_nb.spending import Entry, Query

if TYPE_CHECKING:
    from osaurus_nb.identity.signer import Signer
    from osaurus_nb.ledger.store import LedgerStore

ACTIONS = ("export", "diagnostics", "verify", "reconcile")
_HEAD = ("what", "time", "model", "cost", "step")
#: More than the largest ledger that is kept.
_LARGEST_FILE = 256 * 1024 * 1024


class NotWhole(ConfigError):
    """An export that was altered, or is not by whom it should be."""

    code = "export_not_whole"


def configure(actions: Actions) -> None:
    """Teach the `ledger` command what can be done with its files."""
    made = actions.add("export", _export, "write all of it to a signed file that anybody can verify")
    _file(made, "osaurus-ledger-DATE.jsonl here")
    made.add_argument("--unsigned", action="store_true", help="without the identity's name under it")
    told = actions.add("diagnostics", _diagnostics, "write figures and ids to a file for somebody who helps")
    _file(told, "osaurus-diagnostics-DATE.json here")
    told.add_argument("--provider", metavar="NAME", help="only the calls of this one; `osaurus` is the Router")
    checked = actions.add("verify", _verify, "is an exported file whole, and whose is it? Needs the file alone")
    checked.add_argument("file", type=Path, metavar="FILE")
    checked.add_argument("--address", type=_address, metavar="0x…", help="by whom it has to be signed")
    matched = actions.add("reconcile", _reconcile, "settle what broke off by the Router's own list of calls")
    matched.add_argument("--accept", action="store_true", help="also what the list does not name, but can be one alone")
    matched.add_argument("--dry-run", action="store_true", help="say what would be written, and write nothing")


def _file(parser: ArgumentParser, default: str) -> None:
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help=f"where to; without it {default}")
    parser.add_argument("--replace", action="store_true", help="in the place of a file that is there")


def _export(options: Namespace, person: Person) -> Told:
    file = _target(options, "osaurus-ledger", "jsonl")
    anchor, lines = with_ledger(person, lambda store: store.chain())
    signer = None if options.unsigned else _signer(person)
    data = export(lines, anchor, signer, at=datetime.now(UTC), app_version=_version())
    _write_file(file, data)
    notes = ["It holds the ids of notebooks, cells and sessions. For somebody else's eyes, think of `diagnostics`."]
    if signer is None:
        notes.append("It is not signed, so that anybody could have made it.")
        if not options.unsigned:
            notes.append(home.no_identity(person))
    return Told([f"{file}: {verify(data).sentence}", f"To check it: `osaurus-nb ledger verify {file}`."], notes=notes)


def _diagnostics(options: Namespace, person: Person) -> Told:
    file = _target(options, "osaurus-diagnostics", "json")
    wallet = home.book().address
    lines = with_ledger(person, lambda store: every(store, Query(provider=options.provider)))
    _write_file(file, diagnostics(lines, here(_version(), wallet), datetime.now(UTC)))
    calls = sum(line.kind != "void" for line in lines)
    return Told([f"{file}: {calls} call{'' if calls == 1 else 's'}; figures and ids, no content."])


def _verify(options: Namespace, person: Person) -> Told:
    file = options.file.expanduser()
    try:
        if file.stat().st_size > _LARGEST_FILE:
            raise ConfigError(f"{file} is larger than any ledger.")
        data = file.read_bytes()
    except OSError as exc:
        raise ConfigError(f"{file} cannot be read: {exc.strerror}.") from None
    verdict = verify(data, options.address)
    if not verdict.whole:
        raise NotWhole(verdict.sentence)
    note = "Compare the address with the one that you know to be theirs, or name it with --address."
    return Told([verdict.sentence], notes=[note] if verdict.signer and not options.address else [])


def _reconcile(options: Namespace, person: Person) -> Told:
    now = datetime.now(UTC).timestamp()
    lines = with_ledger(person, lambda store: every(store, Query(provider=ROUTER)))
    done, _ = router.asked(person, lambda account: matched(lines, account, now, accept=options.accept))
    ends = (*done.settled, *done.voided)
    if ends and not options.dry_run:
        with_ledger(person, lambda store: _write(store, ends))
    return _said(done, person, written=not options.dry_run)


def _said(done: Reconciled, person: Person, *, written: bool) -> Told:
    cost = money.row(sum(line.cost.micro or 0 for line in done.settled))
    what = "Settled" if written else "Would be settled"
    rows = [
        *(_row("settled", line, line.cost.micro) for line in done.settled),
        *(_row("struck", line, 0) for line in done.voided),
        *(_row("open", line, None) for line in done.waiting),
        *(_row(f"here {money.row(match.line.cost.micro)}", match.line, match.listed.cost_micro) for match in done.told),
        *(_strange(loose.listed, loose.perhaps) for loose in done.loose),
    ]
    notes = []
    if done.waiting:
        notes.append("What is open may have been charged: the Router's list does not say for sure, or not yet.")
    if done.told:
        notes.append("Lines that have their end stay as they are, where the Router's list has another cost as well.")
    if done.loose:
        notes.append(
            "What is listed alone was charged elsewhere, or is a call whose end the ledger missed or estimated."
        )
    if likely(done):
        command = person.spelled("ledger reconcile --accept")
        notes.append(f"Where one open call alone could be such a charge, {command} takes it for that.")
    counts = f"{len(done.settled)} by the Router's list, {cost}; struck: {len(done.voided)}; open: {len(done.waiting)}."
    return Told([f"{what}: {counts}"], _HEAD if rows else (), rows, notes)


def _row(what: str, line: Entry, micro: int | None) -> tuple[str, ...]:
    return (what, _when(line.at), line.model, money.row(micro), line.step)


def _strange(listed: Listed, perhaps: Sequence[Entry]) -> tuple[str, ...]:
    steps = " or ".join(line.step for line in perhaps[:3])
    when = "?" if listed.at is None else _when(listed.at)
    return ("listed alone", when, listed.model, money.row(listed.cost_micro), f"perhaps {steps}" if steps else "")


async def _write(store: LedgerStore, ends: Sequence[Entry]) -> None:
    for line in ends:
        store.add(line)
    await store.flush()


def _signer(person: Person) -> Signer | None:
    found = Identity.open(home.opened(person).slots, home.book())
    return found.signer if found is not None else None


def _target(options: Namespace, stem: str, ending: str) -> Path:
    """Where to write. Raises ConfigError for a file that is there, unless it may be replaced."""
    given: Path | None = options.file
    file = given.expanduser() if given else Path(f"{stem}-{datetime.now(UTC):%Y-%m-%d}.{ending}")
    if file.is_dir():
        raise ConfigError(f"{file} is a folder.")
    if file.exists() and not options.replace:
        raise ConfigError(f"{file} is there already. Name another file, or say --replace.")
    return file


def _write_file(file: Path, data: bytes) -> None:
    try:
        write_private(file, data)
    except OSError as exc:
        raise ConfigError(f"{file} cannot be written: {exc.strerror}.") from None


def _address(text: str) -> str:
    if not is_address(text):
        raise ArgumentTypeError("an address is 0x and 40 hex digits; in mixed letters, with its checksum right")
    return text


def _version() -> str:
    import osaurus_nb  # noqa: PLC0415 - what the package is called, at its own front door

    return osaurus_nb.__version__


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M")
