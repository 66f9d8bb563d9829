"""How kernels find this server: an address and a key in the environment that they inherit.

The key opens our own paths and nothing else of Jupyter. Where a kernel could not use the address (a Unix socket, a
certificate that its client need not trust) nothing is put there, and the kernel does its own work.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from datetime import timedelta

from jupyter_server.serverapp import ServerApp

from osaurus_nb.gateway.keys import ALL_SCOPES, KeyRing
from osaurus_nb_server.service import MOUNT

#: A kernel older than this has to be restarted to get a key that opens.
KEY_LIFE = timedelta(days=30)
_ANYWHERE = {"": "127.0.0.1", "localhost": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def reachable_url(server: ServerApp) -> str | None:
    """Where a kernel of this server reaches us, or None where it cannot."""
    if server.sock or server.certfile or server.keyfile or not server.port:
        return None
    host = _ANYWHERE.get(server.ip, server.ip)
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{server.port}{server.base_url.rstrip('/')}{MOUNT}"


class KernelAccess:
    """Puts `OSAURUS_URL` and `OSAURUS_KEY` into the environment, and takes them out again."""

    def __init__(self, keys: KeyRing, env: MutableMapping[str, str] = os.environ) -> None:
        self._keys = keys
        self._env = env
        self._before: dict[str, str | None] = {}
        self._ours: dict[str, str] = {}
        self._issued: list[str] = []

    def grant(self, url: str) -> None:
        """From now on new kernels are connected to `url`, with a new key. Older kernels keep theirs."""
        plain, key = self._keys.issue("kernels", scopes=ALL_SCOPES, expires_in=KEY_LIFE)
        if not self._ours:
            self._before = {name: self._env.get(name) for name in ("OSAURUS_URL", "OSAURUS_KEY")}
        self._ours = {"OSAURUS_URL": url, "OSAURUS_KEY": plain}
        self._env.update(self._ours)
        self._issued.append(key.id)

    def withdraw(self) -> None:
        """The environment as it was, unless somebody else changed it since. The keys open nothing any more."""
        for name, value in self._ours.items():
            if self._env.get(name) == value:
                self._restore(name)
        self._ours = {}
        for id in self._issued:
            self._keys.revoke(id)
        self._issued = []

    def _restore(self, name: str) -> None:
        before = self._before[name]
        if before is None:
            del self._env[name]
        else:
            self._env[name] = before
