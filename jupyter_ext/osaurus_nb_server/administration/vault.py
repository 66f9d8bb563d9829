"""The desk of the vault: how secrets are kept, and the way to open it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from osaurus_nb.secrets import Secrets
from osaurus_nb.secrets.background import aside
from osaurus_nb_server.administration import rows
from osaurus_nb_server.administration.bodies import Unlock, read
from osaurus_nb_server.administration.faults import told
from osaurus_nb_server.administration.states import States


class VaultDesk:
    def __init__(self, secrets: Secrets, states: States) -> None:
        self._secrets = secrets
        self._states = states

    async def status(self) -> Mapping[str, Any]:
        """What is known of it. Opens nothing, asks nobody."""
        return rows.of_vault(await asyncio.to_thread(self._secrets.status))

    async def unlock(self, body: bytes) -> Mapping[str, Any]:
        """Try again, with the passphrase if there is one. Providers that waited for a key are asked again."""
        passphrase = read(Unlock, body).passphrase
        with told("passphrase"):
            status = await asyncio.wrap_future(
                aside(lambda: self._secrets.unlock(passphrase.get_secret_value() if passphrase is not None else None))
            )
        self._states.notice()
        return rows.of_vault(status)
