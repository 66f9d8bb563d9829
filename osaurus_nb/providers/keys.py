"""A provider's keys and secret headers: kept in the vault, taken over from the app, forgotten. Gives none back."""

from __future__ import annotations

from dataclasses import dataclass

from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import Provider, ProviderFile
from osaurus_nb.config.providers.headers import checked_name
from osaurus_nb.errors import ConfigError
from osaurus_nb.secrets import API_KEY, Secrets, SecretsStatus, numbered, secrets_of
from osaurus_nb.secrets import header as header_name

_OURS = ("vault", "memory of this process")


@dataclass(frozen=True, slots=True)
class Which:
    """One of a provider's secrets: its key, a further key by its number from 2 on, or the value of a secret header."""

    header: str | None = None
    number: int = 1

    def __post_init__(self) -> None:
        if self.header is not None and self.number != 1:
            raise ConfigError("A header has one value, and no number.")
        if not 1 <= self.number <= 99:
            raise ConfigError("Keys are numbered from 1 to 99.")

    def __str__(self) -> str:
        if self.header is not None:
            return f"header {self.header}"
        return "key" if self.number == 1 else f"key no. {self.number}"

    def name(self, provider: Provider) -> str:
        """Under which the vault has it. A header's case does not matter."""
        if self.header is None:
            return numbered(API_KEY, self.number)
        return header_name(self.declared(provider) or checked_name(self.header))

    def declared(self, provider: Provider) -> str | None:
        """The header as the provider has it."""
        wanted = (self.header or "").lower()
        return next((name for name in provider.secret_headers if name.lower() == wanted), None)


#: The key that is asked with first.
KEY = Which()


def origin(provider: Provider, which: Which = KEY) -> str | None:
    """Where it comes from now, in words. Opens nothing."""
    return _secrets().origin(provider.id, which.name(provider))


def further(provider: Provider) -> int:
    """How many keys there are beside the first."""
    return sum(1 for _ in _secrets().further(provider.id, API_KEY))


def refuse_given(provider: Provider, which: Which = KEY) -> None:
    """Raises ConfigError where a stored one would not be used."""
    found = origin(provider, which)
    if found is not None and found not in _OURS:
        raise ConfigError(f"The {which} of '{provider.name}' comes from the {found}, which wins over a stored one.")


def refuse_moving(before: Provider, after: Provider) -> None:
    """A stored secret goes only where it was given for. Raises ConfigError where it would go to another host."""
    places = [(each.protocol, each.host, each.port) for each in (before, after)]
    if places[0] != places[1] and _secrets().names(before.id):
        raise ConfigError(
            f"The stored key of '{before.name}' was given for {before.host} and is sent nowhere else. Remove it first "
            f"(`osaurus-nb providers key {before.slug} --remove`), move the provider, then type the key again.",
            param="url",
        )


def keep(provider: Provider, value: str, which: Which = KEY, *, lasting: bool = False) -> SecretsStatus:
    """Keep it, and have it sent from now on. With `lasting` it is refused where it would end with this process.

    Raises ConfigError.
    """
    if not value.strip():
        raise ConfigError("Nothing was entered, so nothing was changed.")
    if not value.isascii():
        raise ConfigError("There is a character in it that no key has, maybe an invisible one. It was not kept.")
    secrets, name = _secrets(), which.name(provider)
    status = secrets.set(provider.id, name, value)
    if lasting and not status.lasting:
        secrets.delete(provider.id, name)
        raise ConfigError(f"It was not kept: it would end with this command. {status.told} {status.next_step or ''}")
    _have_it_sent(provider, which)
    return status


def forget(provider: Provider, which: Which = KEY) -> bool:
    """Forget the stored one, and with its value a header. False where there was none."""
    secrets, name = _secrets(), which.name(provider)
    if name not in secrets.names(provider.id):
        return False
    secrets.delete(provider.id, name)
    declared = which.declared(provider)
    if declared is not None and declared not in provider.header_env:
        _file().edit(provider.id, secret_headers=[other for other in provider.secret_headers if other != declared])
    return True


def forget_all(provider: Provider) -> None:
    """Forget all that is kept for it."""
    _secrets().delete(provider.id)


def import_from_app(provider: Provider, *, lasting: bool = False) -> tuple[str, ...]:
    """Copy what the Osaurus app has in the keychain for this provider, by name, unless there is one here."""
    secrets = _secrets()
    found = secrets.import_from_app(provider.id, provider.secret_headers)
    status = secrets.status()
    if lasting and found and not status.lasting:
        for name in found:
            secrets.delete(provider.id, name)
        raise ConfigError(f"Nothing was imported: it would end with this command. {status.told}")
    return found


def _have_it_sent(provider: Provider, which: Which) -> None:
    if which.header is None and not provider.needs_key:
        _file().edit(provider.id, auth="key")
    if which.header is not None and which.declared(provider) is None:
        _file().edit(provider.id, secret_headers=[*provider.secret_headers, checked_name(which.header)])


def _secrets() -> Secrets:
    return secrets_of(Paths.from_env())


def _file() -> ProviderFile:
    return ProviderFile(Paths.from_env())
