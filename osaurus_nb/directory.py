"""Which models can be named now, at whom, and how each source does. Owns the connections; asks no question."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Protocol

from osaurus_nb.catalog import names
from osaurus_nb.errors import ConfigError, ModelNotFound, OsaurusError
from osaurus_nb.events import Warned
from osaurus_nb.models import LOCAL, ModelCard, SourceStatus, Tested, rank
from osaurus_nb.ports import Adapter, Clock
from osaurus_nb.providers.connection import LOOK_APART
from osaurus_nb.providers.connections import Connections
from osaurus_nb.providers.trial import trial
from osaurus_nb.routing.plan import Candidate

#: How long a provider's list of models is believed, in seconds, by those who do not look for changes.
LIST_TTL = 300.0


class Sources(Protocol):
    """Where adapters come from. `current` is cheap and may change between calls."""

    def current(self) -> Mapping[str, Adapter]:
        """All that may be asked, by slug; the same object as long as nothing changed."""

    def disabled(self) -> Collection[str]:
        """The slugs of those that are set up, but must not be asked."""

    def find(self, name: str, /) -> Adapter:
        """One that is set up, disabled or not. Raises ConfigError."""

    async def aclose(self) -> None: ...


def as_sources(given: Sources | Iterable[Adapter]) -> Sources:
    """Adapters that are there from the beginning are a source too, one that never changes."""
    return _Fixed(given) if isinstance(given, Iterable) else given


class Directory:
    """Belongs to one event loop."""

    def __init__(self, sources: Sources | Iterable[Adapter], clock: Clock) -> None:
        self._sources = as_sources(sources)
        self._clock = clock
        self._connections = Connections(clock=clock)
        self._followed: Mapping[str, Adapter] | None = None
        self._here: Sequence[ModelCard] = ()
        self._all: tuple[tuple[object, ...], Sequence[ModelCard]] = ((), ())

    def launch(self) -> None:
        """Connect the providers now that may connect by themselves, not only when somebody looks for models."""
        self.adapters()
        self._connections.launch()

    async def connect(self, slug: str) -> SourceStatus:
        """Connect a provider, or join who is at it: how it then stands. Raises ConfigError for an unknown one."""
        self.launch()
        return await self._connections.connect(slug)

    def disconnect(self, slug: str) -> SourceStatus:
        """Part from a provider until it is connected again. Raises ConfigError for an unknown one."""
        self.launch()
        return self._connections.disconnect(slug)

    async def test(self, name: str) -> Tested:
        """Ask one source once, disabled or not, and leave its connection as it is. Raises ConfigError."""
        return await trial(self._sources.find(name), self._clock)

    def wake(self) -> None:
        """The network or the machine is back: providers that failed in passing are asked at once."""
        self._connections.wake()

    def listen(self, listener: Callable[[str, bool], None]) -> None:
        """Tell `listener` of each provider whose list came, and of each where nobody was there to give it."""
        self._connections.listener = listener

    def doubt(self, provider: str) -> None:
        """Questions find nobody there: its list is fetched now, and quietly again until it comes."""
        self._connections.doubt(provider)

    def answered(self, provider: str) -> None:
        """It just gave an answer, so it is there."""
        self._connections.answered(provider)

    async def models(self, *, refresh: bool = False) -> Sequence[ModelCard]:
        """Every model that can be named now, local ones first. A provider that fails is left out."""
        await self._look(LOOK_APART if refresh else LIST_TTL)
        return self._listed()

    async def choosable(self) -> Sequence[ModelCard]:
        """Every model that is known, the same object as long as nothing changed. Waits for lists only at first."""
        if self._connections.settled:
            await self._look_here()
        else:
            await self._look(LIST_TTL)
        return self._listed()

    async def status(self) -> Sequence[SourceStatus]:
        """How each source does, asked again unless it just was."""
        return [*await self._look(LOOK_APART), *self._connections.statuses()]

    async def watch(self) -> AsyncGenerator[Sequence[SourceStatus], None]:
        """How all stand, now and after each change; one that is set up meanwhile is one."""
        self.launch()
        async with aclosing(self._connections.watch(self.adapters)) as changes:
            async for statuses in changes:
                yield [*await self._look_here(), *statuses]

    async def candidate(self, name: str) -> Candidate:
        """The named model: on this machine, else by its prefix, else by what the providers list."""
        here = self.adapters().get(LOCAL)
        card = names.local(name, await here.models()) if here is not None else None
        card = card or names.prefixed(name, self._connections.known) or await self._search(name)
        adapter = self.adapters().get(card.provider)  # looked up now: while lists came, it may have come or gone
        if adapter is None:
            raise ModelNotFound(f"'{name}' was not asked: '{card.provider}' is disabled, or was just removed.")
        if card == ModelCard(card.id, card.provider) and (dress := getattr(adapter, "dress", None)) is not None:
            card = dress(card)  # it is in no list, but where it is asked is known
        return Candidate(card, adapter)

    async def fallbacks(self, wanted: Iterable[str]) -> tuple[Sequence[Candidate], Sequence[Warned]]:
        """Those that may answer instead, by their names; and what is to be said of those left out."""
        return [await self.candidate(name) for name in wanted], ()

    def of(self, cards: Iterable[ModelCard]) -> list[Candidate]:
        """Those cards with their adapters; one whose provider has gone meanwhile is left out."""
        adapters = self.adapters()
        return [Candidate(card, adapters[card.provider]) for card in cards if card.provider in adapters]

    def knows(self, name: str) -> bool:
        """Does a model that was listed so far have this very id or name?"""
        return any(name in (card.id, card.name) for card in self.known())

    def known(self) -> Iterable[ModelCard]:
        """All models that were listed so far."""
        return (card for cards in self._names().values() for card in cards)

    def adapters(self) -> Mapping[str, Adapter]:
        """All adapters; the connections hear of those that came, went or changed."""
        adapters = self._sources.current()
        if adapters is not self._followed:
            self._followed = adapters
            remote = {slug: adapter for slug, adapter in adapters.items() if slug != LOCAL}
            self._connections.follow(remote, self._sources.disabled())
        return adapters

    async def aclose(self) -> None:
        await self._connections.aclose()
        await self._sources.aclose()

    def _listed(self) -> Sequence[ModelCard]:
        listed = self._connections.listed()
        order = sorted(listed, key=rank)
        parts = (self._here, *(listed[slug] for slug in order))
        if len(parts) != len(self._all[0]) or any(
            one is not other for one, other in zip(parts, self._all[0], strict=True)
        ):
            self._all = parts, [card for cards in parts for card in cards]
        return self._all[1]

    async def _search(self, name: str) -> ModelCard:
        if not self._connections.settled:  # an id that only one lists so far may be another's too
            await self._look(LIST_TTL)
        try:
            return names.resolve(name, self._names())
        except ModelNotFound:  # it may be newer than the lists at hand
            await self._look(LOOK_APART)
        try:
            return names.resolve(name, self._names())
        except ModelNotFound as error:
            raise self._explained(error) from None

    def _names(self) -> dict[str, Sequence[ModelCard]]:
        return {LOCAL: self._here, **self._connections.known}

    def _explained(self, error: ModelNotFound) -> ModelNotFound:
        """Whose list is missing: the model may be there."""
        silent = [f"{row.provider} ({row.diagnosis.title})" for row in self._connections.statuses() if row.diagnosis]
        return ModelNotFound(f"{error} No list came from {', '.join(silent)}.", near=error.near) if silent else error

    async def _look(self, apart: float) -> list[SourceStatus]:
        """Have lists that are older than `apart` seconds fetched; how this machine's engine does."""
        self.launch()
        here, _ = await asyncio.gather(self._look_here(), self._connections.look(apart))
        return here

    async def _look_here(self) -> list[SourceStatus]:
        here = self.adapters().get(LOCAL)
        if here is None:
            return []
        try:
            found = await here.models()
        except OsaurusError as error:
            self._here = ()
            return [SourceStatus(LOCAL, 0, str(error), state="error")]
        if found != self._here:
            self._here = found
        return [SourceStatus(LOCAL, len(found))]


class _Fixed:
    """Adapters that never change, by their provider's slug."""

    def __init__(self, adapters: Iterable[Adapter]) -> None:
        self._adapters = {adapter.provider: adapter for adapter in adapters}

    def current(self) -> Mapping[str, Adapter]:
        return self._adapters

    def disabled(self) -> Collection[str]:
        return ()

    def find(self, name: str, /) -> Adapter:
        if name not in self._adapters:
            raise ConfigError(f"There is no source '{name}'.")
        return self._adapters[name]

    async def aclose(self) -> None:
        for adapter in self._adapters.values():
            await adapter.aclose()
