"""The desk where the ledger's file is looked after: encrypted, where it is in clear, and read through for damage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from osaurus_nb.assembly import ledger_of
from osaurus_nb.config.paths import Paths
from osaurus_nb.runtime import Backend
from osaurus_nb.secrets import Secrets
from osaurus_nb.wire.ledger import encode_status
from osaurus_nb_server.administration.faults import Conflict, kept, told


class LedgerCare:
    """One for each server. Calls go on meanwhile: what they cost is written when the file is back."""

    def __init__(self, paths: Paths, secrets: Secrets, backend: Callable[[], Awaitable[Backend]]) -> None:
        self._paths = paths
        self._secrets = secrets
        self._backend = backend

    async def encrypt(self) -> Mapping[str, Any]:
        """`encrypted` says whether there was something to do. Raises Conflict where nothing keeps the key."""
        kept(await self._status())
        with told():
            await self._secrets.ready()
            vault = self._secrets.status()
            if not vault.lasting:
                raise Conflict(f"The ledger stays as it is, for its key would not be kept. {vault.told}")
            store = ledger_of(self._paths)
            done = await store.migrate()
        return {**encode_status(await store.status()), "object": "ledger.encrypted", "encrypted": done}

    async def check(self) -> Mapping[str, Any]:
        """How it does after all of it was read: `damaged` says whether something was found now, `notices` what ever."""
        kept(await self._status())
        store = ledger_of(self._paths)
        before, status = await store.status(), await store.check()
        damaged = len(status.notices) > len(before.notices)
        return {**encode_status(status), "object": "ledger.checked", "damaged": damaged}

    async def _status(self) -> Any:
        return await (await self._backend()).books.status()
