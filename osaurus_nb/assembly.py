"""From settings to something that answers: the one place that knows every adapter."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache

from osaurus_nb.at_home import Home
from osaurus_nb.config.billing import BillingFile
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.profiles import ProfileFile
from osaurus_nb.config.providers import Provider, ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.directory import Sources
from osaurus_nb.errors import ConfigError
from osaurus_nb.identity.book import AccessKeys
from osaurus_nb.identity.current import Current
from osaurus_nb.identity.signer import Signer
from osaurus_nb.ledger.meter import LedgerMeter
from osaurus_nb.ledger.store import LedgerStore, Retention
from osaurus_nb.local.adapter import LocalAdapter
from osaurus_nb.local.energy import Energy
from osaurus_nb.local.memory import could_fit
from osaurus_nb.models import LOCAL, ROUTER, Price
from osaurus_nb.ports import Adapter
from osaurus_nb.providers.gateway import Gateway
from osaurus_nb.providers.http import HttpDoor
from osaurus_nb.providers.key_pool import Key
from osaurus_nb.providers.remote import RemoteAdapter
from osaurus_nb.providers.router import RouterSettings, router_source
from osaurus_nb.routing.choosing import Chooser
from osaurus_nb.routing.health import Health
from osaurus_nb.routing.profiles import Profiles
from osaurus_nb.runtime import Backend, Runtime
from osaurus_nb.secrets import API_KEY, Secrets, header, numbered, secrets_of
from osaurus_nb.telemetry.spans import Spans

log = logging.getLogger("osaurus_nb")


def backend(settings: Settings) -> Backend:
    """The server of ours that the settings name, else a runtime in this process."""
    if settings.url is not None:
        return connected(settings.url, settings.key, local_only=settings.local_only)
    return embedded(settings)


def connected(url: str, key: str | None, *, local_only: bool = False) -> Backend:
    """A gateway of ours at `url`, e.g. http://127.0.0.1:8888/osaurus."""
    return Gateway(url, key, local_only=local_only)


def embedded(settings: Settings) -> Runtime:
    """This machine's models and the providers that the user set up, with the ledger of this home."""
    billing = BillingFile(settings.paths)
    meter = LedgerMeter(ledger_of(settings.paths), billing, energy=Energy().joules)
    chooser = Chooser(Health(), Profiles(ProfileFile(settings.paths)), fits=lambda card: could_fit(card.size_bytes))
    sources: Sources = ConfiguredSources(settings, billing=billing)
    if settings.local_only:
        sources = Home(sources)
    return Runtime(sources, ledger=meter, observers=(Spans(),), timeouts=settings.timeouts, chooser=chooser)


@cache
def ledger_of(paths: Paths) -> LedgerStore:
    """The ledger of this home, one object for the whole process: it has one writer."""
    kept = BillingFile(paths).read()
    return LedgerStore(paths, secrets_of(paths).slots, retention=Retention(kept.rows, kept.days))


class ConfiguredSources:
    """The local engine and one adapter for each enabled provider; follows changes of the providers' file."""

    def __init__(
        self, settings: Settings, env: Mapping[str, str] = os.environ, *, billing: BillingFile | None = None
    ) -> None:
        self._door = HttpDoor(local_only=settings.local_only)
        self._billing = billing or BillingFile(settings.paths)
        self._file = ProviderFile(settings.paths)
        self._secrets = secrets_of(settings.paths) if env is os.environ else Secrets(settings.paths, env=env)
        self._router = router_source(
            RouterSettings(settings.router_url, enabled=settings.router), self._signer(settings), self._door
        )
        self._local: Adapter = LocalAdapter(settings.paths)
        self._stamp: tuple[int, ...] | None = None
        self._adapters: dict[str, Adapter] = {}
        self._disabled: tuple[str, ...] = ()

    def current(self) -> Mapping[str, Adapter]:
        """All adapters by slug. Looks at the file's time stamp each time, reads it when that has changed."""
        stamp = self._file.stamp()
        router = self._router.current()
        if stamp != self._stamp or self._adapters.get(ROUTER) is not router:
            first: dict[str, Adapter] = {LOCAL: self._local} | ({ROUTER: router} if router is not None else {})
            self._adapters = first | self._remote()
            self._stamp = self._file.stamp()
        return self._adapters

    def disabled(self) -> Collection[str]:
        """As of the last `current`."""
        return self._disabled

    def find(self, name: str) -> Adapter:
        """The source of this name, disabled or not. Raises ConfigError."""
        known = self.current().get(name)
        if known is not None:
            return known
        provider = self._file.find(name)
        if provider.unsupported is not None:
            raise ConfigError(f"'{provider.name}' cannot be asked: {provider.unsupported}.")
        return self._adapter(provider)

    def _signer(self, settings: Settings) -> Callable[[], Signer | None]:
        keys = AccessKeys(settings.paths.home / "identity")
        return Current(self._secrets.slots, keys).signer

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
        keys = _Keys(self._secrets, provider)
        return RemoteAdapter(
            provider,
            self._door,
            keys=keys.keys,
            secret_header=lambda name: keys.get(header(name)),
            ready=keys.ready,
            own_price=self._own_price,
        )

    def _own_price(self, model: str) -> Price | None:
        """What the user says that it costs."""
        return self._billing.read().prices.get(model)


class _Keys:
    """One provider's secrets, as its adapter asks for them: on the loop, which nothing here may hold up."""

    def __init__(self, secrets: Secrets, provider: Provider) -> None:
        self._secrets = secrets
        self._provider = provider

    async def ready(self) -> None:
        """Open the vault if a secret of this provider is in it. The user may have to be asked."""
        if not self._secrets.settled and self._secrets.names(self._provider.id):
            await self._secrets.ready()

    def keys(self) -> Iterator[Key]:
        """Its keys, as they are numbered. Raises SecretsLocked, and ConfigError for a file, if the first is not had."""
        if first := self.get(API_KEY):
            yield Key(1, first)
        try:
            further = [
                (at, self.get(numbered(API_KEY, at))) for at in self._secrets.further(self._provider.id, API_KEY)
            ]
        except ConfigError as error:
            log.info("'%s' is asked with its first key alone: %s", self._provider.slug, error)
            return
        for position, value in further:
            if value:
                yield Key(position, value)

    def get(self, name: str) -> str | None:
        """The secret, as far as it is known without asking anybody. Raises SecretsLocked."""
        if not self._secrets.settled and self._secrets.origin(self._provider.id, name) == "vault":
            return None
        return self._secrets.get(self._provider.id, name)
