"""Secrets that were given to this process: a variable of its environment, or a file that `<variable>_FILE` names.

They win over the vault and are never written. A file that was named and cannot be read is an error, not a missing key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from osaurus_nb.config.providers import Provider, ProviderFile
from osaurus_nb.errors import ConfigError
from osaurus_nb.secrets.values import API_KEY, Hidden, header

_LARGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Given:
    """Reads them anew each time, so that a mounted secret may rotate."""

    env: Mapping[str, str]

    def get(self, variable: str) -> Hidden | None:
        if self.env.get(variable):
            return Hidden(self.env[variable].strip())
        file = self.env.get(f"{variable}_FILE")
        return _content(Path(file), f"{variable}_FILE") if file else None

    def origin(self, variable: str) -> str | None:
        """What would give it, in words; None where nothing would."""
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


class ProviderVariables:
    """The variable for a secret of a provider, by the provider's id. Follows the providers' file.

    A key has the variable set for it, or its vendor's; a secret header has that name and the header's:
    `LAB_KEY_HEADER_X_TEAM` for the header `X-Team` of a provider whose key is in `LAB_KEY`.
    """

    def __init__(self, file: ProviderFile) -> None:
        self._file = file
        self._seen: tuple[tuple[object, ...], Sequence[Provider]] | None = None

    def __call__(self, provider: str, name: str) -> str | None:
        variable = next((known.key_variable for known in self._providers() if known.id == provider), None)
        if variable is None or name == API_KEY:
            return variable
        if not name.startswith(header("")):
            return None
        return f"{variable}_HEADER_{re.sub(r'[^A-Z0-9]', '_', name.removeprefix(header('')).upper())}"

    def _providers(self) -> Sequence[Provider]:
        stamp = self._file.stamp()
        if self._seen is None or self._seen[0] != stamp:
            self._seen = stamp, self._file.load()
        return self._seen[1]
