"""The desk where the ledger is handed out as files: to somebody who helps, or to whoever is to check it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from osaurus_nb.assembly import ledger_of
from osaurus_nb.config.paths import Paths
from osaurus_nb.identity.book import AccessKeys
from osaurus_nb.identity.identity import Identity
from osaurus_nb.ledger.diagnostics import diagnostics, here
from osaurus_nb.ledger.exporting import export
from osaurus_nb.ledger.paging import every
from osaurus_nb.runtime import Backend
from osaurus_nb.secrets import Secrets
from osaurus_nb.secrets.background import aside
from osaurus_nb_server.administration.faults import kept, told


@dataclass(frozen=True, slots=True)
class File:
    """What a browser saves under this name."""

    name: str
    type: str
    data: bytes


class LedgerFiles:
    """One for each server. What it hands out has no content; an export has the ids of notebooks and cells."""

    def __init__(self, paths: Paths, secrets: Secrets, backend: Callable[[], Awaitable[Backend]]) -> None:
        self._paths = paths
        self._secrets = secrets
        self._backend = backend
        self._book = AccessKeys(paths.home / "identity")

    async def diagnostics(self) -> File:
        """Figures and ids of all calls, in the app's own form."""
        lines, now = await every((await self._backend()).books), datetime.now(UTC)
        machine = here(version("osaurus-nb"), self._book.address)
        data = await asyncio.to_thread(diagnostics, lines, machine, now)
        return File(f"osaurus-diagnostics-{now:%Y-%m-%d}.json", "application/json", data)

    async def export(self) -> File:
        """All lines with their chain, signed by the identity if there is one. Raises Conflict without a file."""
        kept(await (await self._backend()).books.status())
        with told():
            await self._secrets.ready()
            identity = await asyncio.wrap_future(aside(lambda: Identity.open(self._secrets.slots, self._book)))
        store = ledger_of(self._paths)
        anchor, lines = await store.chain()
        kept(await store.status())
        signer, now = identity.signer if identity is not None else None, datetime.now(UTC)
        data = await asyncio.to_thread(export, lines, anchor, signer, at=now, app_version=version("osaurus-nb"))
        return File(f"osaurus-ledger-{now:%Y-%m-%d}.jsonl", "application/jsonl", data)
