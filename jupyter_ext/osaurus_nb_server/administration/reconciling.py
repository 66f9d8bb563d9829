"""The desk where calls without an end are settled by the Router's own list. Guesses nothing unless it is told to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from osaurus_nb.assembly import ledger_of
from osaurus_nb.commands.reconciling import reconciled
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.settings import Settings
from osaurus_nb.errors import RequestError
from osaurus_nb.identity.book import AccessKeys
from osaurus_nb.identity.identity import Identity
from osaurus_nb.identity.signer import Signer
from osaurus_nb.ledger.reconcile import Reconciled
from osaurus_nb.providers.http import HttpDoor
from osaurus_nb.providers.router import RouterSettings, router_source
from osaurus_nb.runtime import Backend
from osaurus_nb.secrets import Secrets
from osaurus_nb.secrets.background import aside
from osaurus_nb.spending import Entry
from osaurus_nb.wire.ledger import encode_entry
from osaurus_nb_server.administration.bodies import Reconcile, read
from osaurus_nb_server.administration.faults import Conflict, kept, told


class ReconcilingDesk:
    """One for each server. The Router is asked in the name of the identity here."""

    def __init__(self, paths: Paths, secrets: Secrets, backend: Callable[[], Awaitable[Backend]]) -> None:
        self._paths = paths
        self._secrets = secrets
        self._backend = backend
        self._asking = asyncio.Lock()

    async def reconcile(self, body: bytes) -> Mapping[str, Any]:
        """What was written, or would be: raises Conflict where there is no identity, or no ledger that lasts."""
        wanted, books = read(Reconcile, body), (await self._backend()).books
        kept(await books.status())
        settings, signer = Settings.from_env(), await self._signer()
        if not settings.router:
            raise RequestError("The Router is switched off: OSAURUS_ROUTER says so.")
        async with self._asking, HttpDoor() as door:  # one at a time: nothing is looked up before it is written
            account = router_source(RouterSettings(settings.router_url), lambda: signer, door).account()
            done = await reconciled(books, account, time.time(), accept=wanted.accept)
            if not wanted.dry_run:
                await self._write((*done.settled, *done.voided))
        return _said(done, written=not wanted.dry_run)

    async def _write(self, lines: Iterable[Entry]) -> None:
        store = ledger_of(self._paths)
        for line in lines:
            store.add(line)
        await store.flush()

    async def _signer(self) -> Signer:
        book = AccessKeys(self._paths.home / "identity")
        with told():
            await self._secrets.ready()
            identity = await asyncio.wrap_future(aside(lambda: Identity.open(self._secrets.slots, book)))
        if identity is None:
            raise Conflict("There is no identity here. `osaurus-nb identity create` makes one.")
        return identity.signer


def _said(done: Reconciled, *, written: bool) -> Mapping[str, Any]:
    """`told` are lines that have another cost in the list, `loose` what stands there alone, and whose it may be."""
    lines = {"settled": done.settled, "voided": done.voided, "waiting": done.waiting}
    return {
        "object": "ledger.reconciled",
        "written": written,
        **{name: [encode_entry(line) for line in found] for name, found in lines.items()},
        "told": [{"entry": encode_entry(match.line), "listed": asdict(match.listed)} for match in done.told],
        "loose": [
            {"listed": asdict(loose.listed), "perhaps": [line.step for line in loose.perhaps]} for loose in done.loose
        ],
    }
