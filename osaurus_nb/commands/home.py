"""The vault and the book of access keys of whoever works here, opened as far as it takes. Shows no secret."""

from __future__ import annotations

from osaurus_nb.commands.person import Person
from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import ConfigError
from osaurus_nb.identity.book import AccessKeys
from osaurus_nb.identity.identity import Identity
from osaurus_nb.secrets import Secrets, SecretsStatus, secrets_of


def vault() -> Secrets:
    return secrets_of(Paths.from_env())


def opened(person: Person) -> Secrets:
    """The vault, after an attempt to open it; its passphrase is asked for. Where it stays shut its status says so."""
    secrets = vault()
    status = secrets.unlock()
    if status.state == "locked" and status.tier == "passphrase":
        secrets.unlock(person.secret("Passphrase of the vault: "))
    return secrets


def ask_passphrase(person: Person) -> None:
    """Before models are asked: whoever is at a terminal types the passphrase, where that opens the vault."""
    status = vault().status()
    if person.offers and status.tier == "passphrase" and status.state == "unopened":
        opened(person)


def keeping(person: Person) -> Secrets:
    """The opened vault, for something to be kept in it. Raises ConfigError where it would end with this command."""
    secrets = opened(person)
    if person.leaves:
        require_lasting(secrets.status())
    return secrets


def require_lasting(status: SecretsStatus) -> None:
    """Raises ConfigError that says what is missing and what helps."""
    if not status.lasting:
        raise ConfigError(f"Nothing was kept: it would end with this command. {explained(status)}")


def explained(status: SecretsStatus) -> str:
    """How secrets are kept here, and what to do about it."""
    return f"{status.told} {status.next_step}" if status.next_step else status.told


def book() -> AccessKeys:
    return AccessKeys(Paths.from_env().home / "identity")


def identity(person: Person) -> Identity:
    """The identity that there is. Raises ConfigError without one."""
    found = Identity.open(opened(person).slots, book())
    if found is None:
        raise ConfigError(no_identity(person))
    return found


def no_identity(person: Person) -> str:
    return (
        f"There is no identity here. {person.spelled('identity create')} makes one, "
        f"{person.spelled('identity restore')} takes the 24 words of one that you have."
    )
