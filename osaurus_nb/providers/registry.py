"""`osaurus.providers`: set up, list and remove remote providers. The settings hold no key, only where it is read."""

from __future__ import annotations

from collections.abc import Sequence

from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import Provider, ProviderFile


def add(name: str, *, url: str, format: str = "openai", key_env: str | None = None) -> Provider:
    """Set up a provider; its models are then named `name/id`.

    `url` is its base URL, e.g. http://127.0.0.1:8000/v1; `key_env` the environment variable that holds its key.
    Raises ConfigError when the name is taken or the URL is none.
    """
    return _file().add(name, url, format=format, key_env=key_env)


def remove(name: str) -> None:
    """Forget a provider. Raises ConfigError if there is none of this name."""
    _file().remove(name)


def list() -> Sequence[Provider]:
    """Every provider that is set up, in order."""
    return _file().load()


def _file() -> ProviderFile:
    return ProviderFile(Paths.from_env())
