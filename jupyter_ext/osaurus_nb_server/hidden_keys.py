"""Keeps the providers' keys out of the environment that kernels and terminals inherit; this server still reads them.

Code that runs as the same user can read much else, on Linux the environment with which this server was started, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from osaurus_nb.config.environment import Environment
from osaurus_nb.config.providers import Provider, ProviderFile

#: What opens the vault is as good as what is in it.
_OURS = frozenset({"OSAURUS_VAULT_KEY"})


class HiddenKeys:
    """Follows the providers' file each time that it is told to look."""

    def __init__(self, file: ProviderFile, env: Environment) -> None:
        self._file = file
        self._env = env
        self._stamp: tuple[int, ...] | None = None
        self._names = _OURS

    def look(self) -> Mapping[str, str]:
        """Hide what holds a secret of a provider that is set up now, and show again what no longer does.

        What that changes for who inherited the environment before: hidden variables are empty.
        """
        stamp = self._file.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            contents = self._file.read()
            found = _OURS | _variables(contents.providers)
            self._names = found | self._names if contents.problems else found  # one that cannot be read is still one
        return self._env.withhold(_twins(self._names).fullmatch)

    def restore(self) -> None:
        """The environment as it was."""
        self._env.give_back()


def _variables(providers: Iterable[Provider]) -> frozenset[str]:
    return frozenset(name for one in providers for name in (*one.key_variables, *one.header_env.values()))


def _twins(names: Iterable[str]) -> re.Pattern[str]:
    """A variable, those of a provider's further keys, and those that name a file with one."""
    return re.compile(f"(?:{'|'.join(map(re.escape, sorted(names)))})(?:_[0-9]+)?(?:_FILE)?")
