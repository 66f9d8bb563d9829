"""The desk that takes providers' keys and secret headers. Each comes in once and goes to the vault; none comes out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from osaurus_nb.config.providers import Provider
from osaurus_nb.errors import RequestError
from osaurus_nb.providers import keys, registry
from osaurus_nb.providers.keys import Which
from osaurus_nb.secrets import Secrets
from osaurus_nb.secrets.background import aside
from osaurus_nb_server.administration import rows
from osaurus_nb_server.administration.bodies import Secret, read
from osaurus_nb_server.administration.faults import Conflict, told
from osaurus_nb_server.administration.providers import ProviderDesk
from osaurus_nb_server.administration.states import States

_OURS = (None, "vault", "memory of this process")


class KeyDesk:
    """What is set is used from the next request on: the provider is connected anew."""

    def __init__(self, secrets: Secrets, providers: ProviderDesk, states: States) -> None:
        self._secrets = secrets
        self._providers = providers
        self._states = states

    def which(self, number: str) -> Which:
        """The key of this number, as an address says it."""
        if not (number.isascii() and number.isdigit() and len(number) < 4):
            raise RequestError("'number' is that of a key, from 1 on.", param="number")
        with told("number"):
            return Which(number=int(number))

    def header(self, title: str) -> Which:
        return Which(header=title.strip())

    async def keep(self, name: str, which: Which, body: bytes) -> Mapping[str, Any]:
        """A provider that was asked without a key, or without this header, is asked with it from now on."""
        value = read(Secret, body).value
        provider = await self._providers.find(name)
        place = await self._place(provider, which)
        await _aside(lambda: keys.keep(provider, value.get_secret_value(), which), "value")
        return await self._told(provider, place)

    async def forget_key(self, name: str, which: Which) -> Mapping[str, Any]:
        """The provider still needs one."""
        provider = await self._providers.find(name)
        place = await self._place(provider, which)
        await _aside(lambda: self._secrets.delete(provider.id, place))
        return await self._told(provider, place)

    async def forget_header(self, name: str, which: Which) -> Mapping[str, Any]:
        """The value, and with it the header."""
        provider = await self._providers.find(name)
        place = await self._place(provider, which)
        known = which.declared(provider)
        if known is None:
            raise Conflict("The provider has no secret header of this name.")
        await _aside(lambda: self._secrets.delete(provider.id, place))
        with told("name"):
            await asyncio.to_thread(lambda: registry.edit(provider.id, header_env={known: None}))
        return await self._told(provider, place)

    async def _place(self, provider: Provider, which: Which) -> str:
        """Its name in the vault. Raises Conflict where what is there would not be used."""
        with told("name"):
            place = which.name(provider)
        origin = await asyncio.to_thread(self._secrets.origin, provider.id, place)
        if origin not in _OURS:
            raise Conflict(f"This secret comes from the {origin}, which wins over a stored one. Unset it first.")
        return place

    async def _told(self, provider: Provider, place: str) -> Mapping[str, Any]:
        """Where it is now, and whether it will be there after this process."""
        if provider.enabled:
            self._states.renew(provider.slug)
        origin = await asyncio.to_thread(self._secrets.origin, provider.id, place)
        vault = rows.of_vault(await asyncio.to_thread(self._secrets.status))
        return {"object": "secret", "provider": provider.slug, "name": place, "origin": origin, "vault": vault}


async def _aside(work: Callable[[], object], param: str | None = None) -> None:
    with told(param):
        await asyncio.wrap_future(aside(work))
