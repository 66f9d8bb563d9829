"""The desk of the identity: its address and its access keys. The private key and the phrase never pass here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from osaurus_nb.identity.access import AccessKey
from osaurus_nb.identity.book import AccessKeys
from osaurus_nb.identity.identity import Identity
from osaurus_nb.secrets import Slots
from osaurus_nb.secrets.background import aside
from osaurus_nb_server.administration import rows
from osaurus_nb_server.administration.bodies import NewKey, read
from osaurus_nb_server.administration.faults import Conflict, NoSuchKey, told


class IdentityDesk:
    def __init__(self, slots: Slots, book: AccessKeys) -> None:
        self._slots = slots
        self._book = book

    async def show(self) -> Mapping[str, Any]:
        """Whether there is one, and who it is. The vault stays closed."""
        return await asyncio.to_thread(self._shown)

    async def keys(self) -> Mapping[str, Any]:
        """The access keys that were issued here, as they stand now."""
        issued = await asyncio.to_thread(self._book.list)
        return rows.listed([_key(known.key, known.state) for known in issued])

    async def issue(self, body: bytes) -> Mapping[str, Any]:
        """A new key. Its text is in this answer and nowhere else."""
        wanted = read(NewKey, body)
        with told():
            token, key = await asyncio.wrap_future(aside(lambda: self._issued(wanted)))
        return {**_key(key, "valid"), "token": token}

    async def revoke(self, id: str) -> Mapping[str, Any]:
        """Refused from the next request on, in every process."""
        self._there()
        if not await asyncio.to_thread(self._book.revoke, id):
            raise NoSuchKey("There is no access key of this id.")
        return {"object": "access_key", "id": id, "revoked": True}

    async def revoke_up_to(self, counter: int) -> Mapping[str, Any]:
        """All keys with this counter or a smaller one."""
        self._there()
        await asyncio.to_thread(self._book.revoke_up_to, counter)
        return await self.keys()

    def _shown(self) -> dict[str, Any]:
        address = self._book.address
        agents = [asdict(agent) for agent in self._book.agents]
        return {"object": "identity", "exists": address is not None, "address": address, "agents": agents}

    def _issued(self, wanted: NewKey) -> tuple[str, AccessKey]:
        identity = Identity.open(self._slots, self._book)
        if identity is None:
            raise _none()
        return identity.issue(label=wanted.label, agent=wanted.agent, expires=wanted.expires)

    def _there(self) -> None:
        if self._book.address is None:
            raise _none()


def _none() -> Conflict:
    return Conflict("There is no identity here. `osaurus-nb identity create` makes one.")


def _key(key: AccessKey, state: str) -> dict[str, Any]:
    return {"object": "access_key", "id": key.id, **asdict(key), "state": state}
