"""This process's environment, with what is kept from the processes that it starts. Reads no file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import cache


class Environment(Mapping[str, str]):
    """What this process was given. What is withheld is gone from `env`, which others inherit, and is still here.

    What is set in `env` later wins over what was withheld.
    """

    def __init__(self, env: MutableMapping[str, str] = os.environ) -> None:
        self._env = env
        self._withheld: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        found = self._env.get(name)
        return found if found is not None else self._withheld[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._withheld, **self._env})

    def __len__(self) -> int:
        return len({**self._withheld, **self._env})

    def withhold(self, secret: Callable[[str], object]) -> Mapping[str, str]:
        """Keep exactly the variables whose name is `secret` from whatever is started from now on.

        What that changes in `env`; a variable that is gone is empty.
        """
        changed = {}
        for name in [*filter(secret, self._env)]:
            self._withheld[name] = self._env[name]
            del self._env[name]
            changed[name] = ""
        for name in [name for name in self._withheld if not secret(name)]:
            changed[name] = self._env.setdefault(name, self._withheld[name])
            del self._withheld[name]
        return changed

    def give_back(self) -> None:
        """As it was, but for what was set meanwhile."""
        self.withhold(lambda name: False)


@cache
def environment() -> Environment:
    """The one of this process."""
    return Environment()
