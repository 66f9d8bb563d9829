"""`osaurus-nb ledger encrypt|check`, and the ledger of this home for whatever needs the store itself.

In a notebook that a server answers for the server keeps it, and this is refused.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from osaurus_nb._portal import portal
from osaurus_nb.commands import home
from osaurus_nb.commands.grammar import Actions
from osaurus_nb.commands.person import Notebook, Person
from osaurus_nb.commands.told import Told
from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import ConfigError

if TYPE_CHECKING:
    from osaurus_nb.ledger.store import LedgerStore
    from osaurus_nb.spending import LedgerStatus

T = TypeVar("T")

ACTIONS = ("encrypt", "check")


class LedgerDamaged(ConfigError):
    """It was looked through, and something is wrong with it."""

    code = "ledger_damaged"


def configure(actions: Actions) -> None:
    """Teach the `ledger` command how it is looked after."""
    actions.add("encrypt", _encrypt, "encrypt a ledger that is in clear, with a key from the vault")
    actions.add("check", _check, "read all of it now: what is damaged is put aside, and told")


def with_ledger(person: Person, act: Callable[[LedgerStore], Awaitable[T]]) -> T:
    """What `act` finds in the ledger that lasts. Raises ConfigError where it cannot be opened here."""
    from osaurus_nb.assembly import ledger_of  # noqa: PLC0415 - a heavy door, and `verify` needs none of it

    if isinstance(person, Notebook) and person.leaves:
        raise ConfigError("The server keeps the ledger. Say it in a terminal of its machine: `osaurus-nb ledger …`.")
    vault = home.opened(person)
    store = ledger_of(Paths.from_env())  # this process's own: a second one would not know what the first is writing

    async def opened() -> T:
        try:
            status = await store.status()
            if status.state == "memory" or not (status.rows or vault.status().lasting):
                raise ConfigError(
                    " ".join(status.notices) or f"No ledger is kept here. {home.explained(vault.status())}"
                )
            return await act(store)
        finally:
            await store.aclose()

    return portal().run(opened())


def _encrypt(options: Namespace, person: Person) -> Told:
    vault = home.opened(person).status()
    if not vault.lasting:
        raise ConfigError(f"The ledger stays as it is, for its key would not be kept. {home.explained(vault)}")
    if not with_ledger(person, lambda store: store.migrate()):
        return Told(["The ledger is encrypted already. Nothing was changed."])
    note = "What a disk keeps of the file that was in clear is out of reach: only a disk that is encrypted hides that."
    return Told(["The ledger is encrypted now; the vault keeps its key."], notes=[note])


def _check(options: Namespace, person: Person) -> Told:
    before, status = with_ledger(person, _checked)
    found = status.notices if person.leaves else status.notices[len(before.notices) :]  # a command's own process is new
    if found:
        raise LedgerDamaged(" ".join(found))
    rows = "1 line" if status.rows == 1 else f"{status.rows:,} lines"
    return Told([f"The ledger was read from end to end, {rows}: nothing in it is damaged."])


async def _checked(store: LedgerStore) -> tuple[LedgerStatus, LedgerStatus]:
    """How it did before, and how it does."""
    return await store.status(), await store.check()
