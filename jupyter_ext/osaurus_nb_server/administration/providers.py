"""The desk where providers are set up, changed and tried. Shows no secret, asks no provider unasked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from osaurus_nb.config.providers import Provider, presets
from osaurus_nb.config.providers.slugs import RESERVED
from osaurus_nb.errors import RequestError
from osaurus_nb.providers import registry
from osaurus_nb.secrets import Secrets
from osaurus_nb.secrets.background import aside
from osaurus_nb_server.administration import rows
from osaurus_nb_server.administration.bodies import Added, Changed, Order, read
from osaurus_nb_server.administration.faults import Conflict, NoSuchProvider, told, unknown
from osaurus_nb_server.administration.states import States


class ProviderDesk:
    """A provider is named by its slug or its id. What is changed takes effect at once, in every process."""

    def __init__(self, secrets: Secrets, states: States) -> None:
        self._secrets = secrets
        self._states = states

    def presets(self) -> Mapping[str, Any]:
        return rows.listed([rows.of_preset(preset) for preset in registry.presets()])

    async def list(self) -> Mapping[str, Any]:
        """All of the file in its order; beside it what cannot be read, and the sources that are in no file."""
        providers, problems = await asyncio.to_thread(lambda: (registry.list(), registry.problems()))
        statuses = {status.provider: status for status in await self._states.now()}
        data = [
            await asyncio.to_thread(rows.of_provider, provider, self._secrets, statuses.pop(provider.slug, None))
            for provider in providers
        ]
        others = [rows.of_status(status) for status in statuses.values()]
        return rows.listed(data, problems=problems, others=others)

    async def get(self, name: str) -> Mapping[str, Any]:
        return await self.show(await self.find(name))

    async def add(self, body: bytes) -> Mapping[str, Any]:
        fields = read(Added, body).said()
        preset = fields.pop("preset", None)
        subject = next((field for field in ("name", "url") if fields.get(field)), "preset")
        name = fields.pop(subject, None) or preset
        if not name:
            raise RequestError("Give a 'name', a 'preset' or a 'url'.", param="name")
        if preset is not None:
            with told("preset"):
                presets.named(preset)
        with told(subject):
            added = await asyncio.to_thread(lambda: registry.add(name, preset=preset, **fields))
        return await self._changed(added)

    async def edit(self, name: str, body: bytes) -> Mapping[str, Any]:
        said, known = read(Changed, body).said(), await self.find(name)
        with told():
            edited = await asyncio.to_thread(lambda: registry.edit(known.id, **said))
        return await self._changed(edited)

    async def enable(self, name: str, *, on: bool) -> Mapping[str, Any]:
        known = await self.find(name)
        with told():
            edited = await asyncio.to_thread(registry.enable if on else registry.disable, known.id)
        return await self._changed(edited)

    async def remove(self, name: str) -> Mapping[str, Any]:
        """Its secrets go first: while the vault is locked, nothing is removed."""
        provider = await self.find(name)
        with told():
            await asyncio.wrap_future(aside(lambda: self._secrets.delete(provider.id)))
            await asyncio.to_thread(lambda: registry.remove(provider.id))
        self._states.notice()
        return {"object": "provider", "id": provider.id, "slug": provider.slug, "deleted": True}

    async def reorder(self, body: bytes) -> Mapping[str, Any]:
        names = read(Order, body).order
        with told("order"):
            await asyncio.to_thread(lambda: registry.reorder(*names))
        return await self.list()

    async def test(self, name: str) -> Mapping[str, Any]:
        """Ask it once, enabled or not; its connection stays as it is."""
        slug = await self._slug(name)
        with unknown():
            return rows.of_test(await (await self._states.backend()).test(slug))

    async def connect(self, name: str) -> Mapping[str, Any]:
        """How it stands once it was asked."""
        slug = await self._slug(name)
        connector = await self._states.connector()
        with unknown():
            status = await connector.connect(slug)
        if status.state == "disabled":
            raise Conflict(f"'{slug}' is disabled. Enable it first.")
        return rows.of_status(status)

    async def disconnect(self, name: str) -> Mapping[str, Any]:
        slug = await self._slug(name)
        connector = await self._states.connector()
        with unknown():
            return rows.of_status(connector.disconnect(slug))

    async def states(self) -> AsyncGenerator[Mapping[str, Any], None]:
        """How all sources stand, now and after each change."""
        async with aclosing(self._states.watch()) as changes:
            async for statuses in changes:
                yield rows.listed([rows.of_status(status) for status in statuses])

    async def find(self, name: str) -> Provider:
        """Raises NoSuchProvider for anything but a slug or an id."""
        for provider in await asyncio.to_thread(registry.list):
            if name in (provider.slug, provider.id):
                return provider
        with unknown():
            await asyncio.to_thread(registry.find, name)
        raise NoSuchProvider("Name a provider here by its slug or its id.")

    async def show(self, provider: Provider) -> Mapping[str, Any]:
        status = next((status for status in await self._states.now() if status.provider == provider.slug), None)
        return await asyncio.to_thread(rows.of_provider, provider, self._secrets, status)

    async def _changed(self, provider: Provider) -> Mapping[str, Any]:
        self._states.notice()
        return await self.show(provider)

    async def _slug(self, name: str) -> str:
        """Also of a source that is in no file: the Router, this machine. Raises Conflict for what we do not speak."""
        if name in RESERVED:
            return name
        provider = await self.find(name)
        if provider.unsupported is not None:
            raise Conflict(f"'{provider.slug}' cannot be asked: {provider.unsupported}.")
        return provider.slug
