"""Secrets that were given to this process: a variable of its environment, or a file that `<variable>_FILE` names.

They win over the vault and are never written. A file that was named and cannot be read is an error, not a missing key.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from osaurus_nb.config.providers import Provider, ProviderFile
from osaurus_nb.errors import ConfigError
from osaurus_nb.secrets.values import API_KEY, Hidden, header, position_of

_LARGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Given:
    """Reads them anew each time, so that a mounted secret may rotate."""

    env: Mapping[str, str] = field(repr=False)

    def get(self, *variables: str) -> Hidden | None:
        """What the first of them gives."""
        return next((found for variable in variables if (found := self._get(variable)) is not None), None)

    def origin(self, *variables: str) -> str | None:
        """What would give it, in words; None where nothing would."""
        return next((found for variable in variables if (found := self._origin(variable)) is not None), None)

    def _get(self, variable: str) -> Hidden | None:
        if self.env.get(variable):
            return Hidden(self.env[variable].strip())
        file = self.env.get(f"{variable}_FILE")
        return _content(Path(file), f"{variable}_FILE") if file else None

    def _origin(self, variable: str) -> str | None:
        if self.env.get(variable):
            return f"environment variable {variable}"
        return f"file that {variable}_FILE names" if self.env.get(f"{variable}_FILE") else None


def _content(file: Path, variable: str) -> Hidden:
    try:
        with file.open("rb") as opened:
            found = Hidden(opened.read(_LARGEST + 1).strip())
    except OSError as exc:
        raise ConfigError(f"Cannot read the file that {variable} names: {exc.strerror}.") from None
    if not 0 < len(found) <= _LARGEST or not found.is_line():
        raise ConfigError(f"The file that {variable} names should hold one secret, as one line of text.")
    return found


def numbered_variable(variable: str, position: int) -> str:
    """The variable of the key at this position: `X`, `X_2`, `X_3`, …."""
    return variable if position == 1 else f"{variable}_{position}"


class ProviderVariables:
    """The variables that a provider's secret may be in, by the provider's id. Follows the providers' file."""

    def __init__(self, file: ProviderFile) -> None:
        self._file = file
        self._seen: tuple[tuple[object, ...], Mapping[str, Provider]] | None = None

    def __call__(self, provider: str, name: str) -> Sequence[str]:
        known = self._providers().get(provider)
        if known is None:
            return ()
        if name == API_KEY:
            return known.key_variables
        if (position := position_of(name, API_KEY)) > 0:
            further = [numbered_variable(variable, position) for variable in known.key_variables]
            return [variable for variable in further if variable not in self._of_others(provider)]
        # Header names have no case.
        return [variable for key, variable in known.header_env.items() if header(key).lower() == name.lower()]

    def _of_others(self, provider: str) -> Collection[str]:
        """Variables that were named for another one: its account is not to pay for this one."""
        others = (other for other in self._providers().values() if other.id != provider)
        return {variable for other in others for variable in (*other.key_variables, *other.header_env.values())}

    def _providers(self) -> Mapping[str, Provider]:
        stamp = self._file.stamp()
        if self._seen is None or self._seen[0] != stamp:
            self._seen = stamp, {provider.id: provider for provider in self._file.load()}
        return self._seen[1]
