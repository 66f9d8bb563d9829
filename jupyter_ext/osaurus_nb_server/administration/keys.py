"""The desk that takes providers' keys and secret headers. Each comes in once and goes to the vault; none comes out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import SecretStr

from osaurus_nb.config.providers import Provider
from osaurus_nb.config.providers.headers import checked_name
from osaurus_nb.providers import registry
from osaurus_nb.secrets import API_KEY, Secrets, header
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

    async def keep_key(self, name: str, body: bytes) -> Mapping[str, Any]:
        """A provider that was asked without a key is asked with this one from now on."""
        value = read(Secret, body).value
        provider = await self._providers.find(name)
        await self._keep(provider, API_KEY, value)
        if not provider.needs_key:
            with told():
                await asyncio.to_thread(lambda: registry.edit(provider.id, auth="key"))
        return await self._told(provider, API_KEY)

    async def forget_key(self, name: str) -> Mapping[str, Any]:
        provider = await self._providers.find(name)
        await self._forget(provider, API_KEY)
        return await self._told(provider, API_KEY)

    async def keep_header(self, name: str, title: str, body: bytes) -> Mapping[str, Any]:
        """A header that the provider did not have is one of its secret ones from now on."""
        value = read(Secret, body).value
        provider = await self._providers.find(name)
        known = _header(provider, title)
        with told("name"):
            spelt = known or checked_name(title)
        await self._keep(provider, header(spelt), value)
        if known is None:
            await self._edit(provider, (*provider.secret_headers, spelt))
        return await self._told(provider, header(spelt))

    async def forget_header(self, name: str, title: str) -> Mapping[str, Any]:
        """The value, and with it the header."""
        provider = await self._providers.find(name)
        known = _header(provider, title)
        if known is None:
            raise Conflict("The provider has no secret header of this name.")
        await self._forget(provider, header(known))
        await self._edit(provider, [other for other in provider.secret_headers if other != known])
        return await self._told(provider, header(known))

    async def _keep(self, provider: Provider, name: str, value: SecretStr) -> None:
        await self._refuse_given(provider, name)
        await _aside(lambda: self._secrets.set(provider.id, name, value.get_secret_value()), "value")

    async def _forget(self, provider: Provider, name: str) -> None:
        await self._refuse_given(provider, name)
        await _aside(lambda: self._secrets.delete(provider.id, name))

    async def _edit(self, provider: Provider, headers: list[str] | tuple[str, ...]) -> None:
        with told("name"):
            await asyncio.to_thread(lambda: registry.edit(provider.id, secret_headers=headers))

    async def _refuse_given(self, provider: Provider, name: str) -> None:
        origin = await asyncio.to_thread(self._secrets.origin, provider.id, name)
        if origin not in _OURS:
            raise Conflict(f"This secret comes from the {origin}, which wins over a stored one. Unset it first.")

    async def _told(self, provider: Provider, name: str) -> Mapping[str, Any]:
        """Where it is now, and whether it will be there after this process."""
        if provider.enabled:
            self._states.renew(provider.slug)
        origin = await asyncio.to_thread(self._secrets.origin, provider.id, name)
        vault = rows.of_vault(await asyncio.to_thread(self._secrets.status))
        return {"object": "secret", "provider": provider.slug, "name": name, "origin": origin, "vault": vault}


async def _aside(work: Callable[[], object], param: str | None = None) -> None:
    with told(param):
        await asyncio.wrap_future(aside(work))


def _header(provider: Provider, title: str) -> str | None:
    """As the provider spells it: names of headers have no case."""
    return next((known for known in provider.secret_headers if known.lower() == title.strip().lower()), None)
