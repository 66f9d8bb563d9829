"""`osaurus-nb vault …` and `%osaurus vault …`: where secrets are kept, opening that place, choosing another."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import get_args

from osaurus_nb.commands import home
from osaurus_nb.commands.grammar import Actions
from osaurus_nb.commands.person import Person
from osaurus_nb.commands.told import Told
from osaurus_nb.errors import ConfigError
from osaurus_nb.secrets import SecretsLocked, SecretsStatus
from osaurus_nb.secrets.values import Tier

HELP = "see where secrets are kept, and choose another place"
ACTIONS = ("status", "unlock", "keep")
#: Where the vault's key can be, and who can then read the secrets.
_TIERS: dict[Tier, tuple[str, str]] = {
    "given": ("$OSAURUS_VAULT_KEY, or the file that $OSAURUS_VAULT_KEY_FILE names", "who can read that"),
    "keychain": ("the system's keychain", "who can unlock your keychain"),
    "passphrase": ("nowhere: it is made from what you type", "who knows the passphrase"),
    "file": ("a file in clear beside the vault", "who can read your files"),
}
_AGAIN = (
    "It is typed once in each process: `osaurus-nb` commands ask for it, a kernel with `%osaurus vault unlock`, and a "
    "Jupyter server takes it at /osaurus/admin/vault/unlock."
)


def configure(parser: ArgumentParser) -> None:
    """Teach `parser` the actions. Without one, the status is told."""
    parser.set_defaults(act=_status)
    actions = Actions(parser)
    actions.add("status", _status, "where secrets are kept")
    actions.add("unlock", _unlock, "open the vault; a passphrase is asked for")
    keep = actions.add("keep", _keep, "keep the vault's key there from now on")
    keep.add_argument("where", choices=get_args(Tier))


def _status(options: Namespace, person: Person) -> Told:
    secrets = home.vault()
    status = secrets.status()
    if status.state == "empty":
        status = secrets.unlock()  # asks for nothing, but finds out whether there is a place
    return _told(status, person)


def _unlock(options: Namespace, person: Person) -> Told:
    status = home.opened(person).status()
    if status.state in ("locked", "memory"):
        raise SecretsLocked(home.explained(status))
    return _told(status, person)


def _keep(options: Namespace, person: Person) -> Told:
    where: Tier = options.where
    secrets = home.opened(person)
    if secrets.status().state == "locked":
        raise SecretsLocked(f"{home.explained(secrets.status())} Nothing was changed.")
    if where == "file" and not person.agrees("Whoever can read your files can then read your secrets.", "insecure"):
        raise ConfigError("Nothing was changed.")
    passphrase = _chosen(person) if where == "passphrase" else None
    return _told(secrets.keep(where, passphrase=passphrase), person)


def _chosen(person: Person) -> str:
    first = person.secret("New passphrase of the vault: ")
    if person.secret("The same again: ") != first:
        raise ConfigError("These were two different ones. Nothing was changed.")
    return first


def _told(status: SecretsStatus, person: Person) -> Told:
    lines = [status.told]
    if status.state == "unopened":
        lines.append(f"{person.spelled('vault unlock')} tries it.")
    if status.tier == "passphrase":
        lines.append(_AGAIN)
    rows = [("●" if tier == status.tier else "", tier, *about) for tier, about in _TIERS.items()]
    notes = [note for note in (status.badge and f"{status.badge}.", status.next_step) if note]
    return Told(lines, ("", "vault keep", "where the vault's key is", "who can read the secrets"), rows, notes)
