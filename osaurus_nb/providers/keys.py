"""A provider's key and secret headers: kept in the vault, taken over from the app, forgotten. Gives none back."""

from __future__ import annotations

from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import Provider, ProviderFile
from osaurus_nb.errors import ConfigError
from osaurus_nb.secrets import API_KEY, SecretsStatus, secrets_of
from osaurus_nb.secrets import header as header_name


def name_of(provider: Provider, header: str | None) -> str:
    """Under which name the vault has the key, or the value of this header, whose case does not matter."""
    if header is None:
        return API_KEY
    return header_name(_declared(provider, header) or header)


def origin(provider: Provider, header: str | None = None) -> str | None:
    """Where it comes from now, in words. Opens nothing."""
    return secrets_of(Paths.from_env()).origin(provider.id, name_of(provider, header))


def refuse_given(provider: Provider, header: str | None = None) -> None:
    """Raises ConfigError where a stored one would not be used."""
    found = origin(provider, header)
    if found not in (None, "vault", "memory of this process"):
        what = "key" if header is None else f"header {header}"
        raise ConfigError(f"The {what} of '{provider.name}' comes from the {found}, which wins over a stored one.")


def keep(provider: Provider, value: str, *, header: str | None = None, lasting: bool = False) -> SecretsStatus:
    """Keep it, and have it sent from now on. With `lasting` it is refused where it would end with this process.

    Raises ConfigError.
    """
    paths = Paths.from_env()
    if not value.strip():
        raise ConfigError("Nothing was entered, so nothing was changed.")
    if not value.isascii():
        raise ConfigError("There is a character in it that no key has, maybe an invisible one. It was not kept.")
    if header is not None and _declared(provider, header) is None:
        provider = ProviderFile(paths).edit(provider.id, secret_headers=[*provider.secret_headers, header])
    secrets, name = secrets_of(paths), name_of(provider, header)
    status = secrets.set(provider.id, name, value)
    if lasting and not status.lasting:
        secrets.delete(provider.id, name)
        raise ConfigError(f"It was not kept: it would end with this command. {status.told} {status.next_step or ''}")
    if header is None and not provider.needs_key:
        ProviderFile(paths).edit(provider.id, auth="key")
    return status


def forget(provider: Provider, *, header: str | None = None) -> bool:
    """Forget the stored one. False where there was none."""
    secrets, name = secrets_of(Paths.from_env()), name_of(provider, header)
    if name not in secrets.names(provider.id):
        return False
    secrets.delete(provider.id, name)
    return True


def forget_all(provider: Provider) -> None:
    """Forget all that is kept for it."""
    secrets_of(Paths.from_env()).delete(provider.id)


def import_from_app(provider: Provider, *, lasting: bool = False) -> tuple[str, ...]:
    """Copy what the Osaurus app has in the keychain for this provider, by name, unless there is one here."""
    secrets = secrets_of(Paths.from_env())
    found = secrets.import_from_app(provider.id, provider.secret_headers)
    status = secrets.status()
    if lasting and found and not status.lasting:
        for name in found:
            secrets.delete(provider.id, name)
        raise ConfigError(f"Nothing was imported: it would end with this command. {status.told}")
    return found


def _declared(provider: Provider, header: str) -> str | None:
    """The name as the provider has it."""
    return next((name for name in provider.secret_headers if name.lower() == header.lower()), None)
