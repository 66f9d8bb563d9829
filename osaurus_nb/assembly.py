"""From settings to something that answers: the one place that knows every adapter."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Mapping

from osaurus_nb import wire
from osaurus_nb.config.providers import Provider, ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.local.adapter import LocalAdapter
from osaurus_nb.models import LOCAL
from osaurus_nb.ports import Adapter
from osaurus_nb.providers.gateway import Gateway
from osaurus_nb.providers.http import HttpDoor
from osaurus_nb.providers.remote import RemoteAdapter
from osaurus_nb.runtime import Backend, Runtime

log = logging.getLogger("osaurus_nb")


def backend(settings: Settings) -> Backend:
    """The server of ours that the settings name, else a runtime in this process."""
    if settings.url is not None:
        return connected(settings.url, settings.key)
    return embedded(settings)


def connected(url: str, key: str | None) -> Backend:
    """A gateway of ours at `url`, e.g. http://127.0.0.1:8888/osaurus."""
    return Gateway(url, key)


def embedded(settings: Settings) -> Runtime:
    """This machine's models and the providers that the user set up."""
    return Runtime(ConfiguredSources(settings), timeouts=settings.timeouts)


class ConfiguredSources:
    """The local engine and one adapter for each enabled provider; follows changes of the providers' file."""

    def __init__(self, settings: Settings, env: Mapping[str, str] = os.environ) -> None:
        self._file = ProviderFile(settings.paths)
        self._env = env
        self._local: Adapter = LocalAdapter(settings.paths)
        self._door = HttpDoor()
        self._stamp: tuple[int, ...] | None = None
        self._adapters: dict[str, Adapter] = {}
        self._disabled: tuple[str, ...] = ()

    def current(self) -> Mapping[str, Adapter]:
        """All adapters by slug. Looks at the file's time stamp each time, reads it when that has changed."""
        stamp = self._file.stamp()
        if stamp != self._stamp:
            self._adapters = {LOCAL: self._local, **self._remote()}
            self._stamp = self._file.stamp()
        return self._adapters

    def disabled(self) -> Collection[str]:
        """As of the last `current`."""
        return self._disabled

    async def aclose(self) -> None:
        await self._local.aclose()
        await self._door.aclose()

    def _remote(self) -> dict[str, Adapter]:
        """Unchanged providers keep their adapter, and with it their list of models."""
        contents = self._file.read()
        for problem in contents.problems:
            log.warning("%s", problem)
        self._disabled = tuple(p.slug for p in contents.providers if not p.enabled)
        spoken = [p for p in contents.providers if p.enabled and p.unsupported is None]
        return {p.slug: self._adapter(p) for p in spoken}

    def _adapter(self, provider: Provider) -> Adapter:
        known = self._adapters.get(provider.slug)
        if isinstance(known, RemoteAdapter) and known.settings == provider:
            return known
        codec, env, named = wire.load(provider.format), self._env, provider.header_env
        return RemoteAdapter(
            provider,
            codec,
            self._door,
            secret=self._secret(provider),
            secret_header=lambda name: env.get(named[name]) if name in named else None,
        )

    def _secret(self, provider: Provider) -> Callable[[], str | None]:
        variables = provider.key_variables
        return lambda: next((self._env[variable] for variable in variables if self._env.get(variable)), None)
