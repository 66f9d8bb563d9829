"""The hall: builds adapters from settings, resolves names, and streams one step at a time. Owns what it opens."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol

from osaurus_nb.catalog import names
from osaurus_nb.decisions import DecisionRequest, Decisions
from osaurus_nb.embeddings import EmbeddingRequest, Embeddings
from osaurus_nb.errors import ModelNotFound, OsaurusError, Unsupported
from osaurus_nb.events import Event, Failed
from osaurus_nb.models import LOCAL, ModelCard, SourceStatus, TokenCount
from osaurus_nb.ports import (
    Adapter,
    Clock,
    Counter,
    Decider,
    Embedder,
    Observation,
    Observer,
    SentCounter,
    Step,
    SystemClock,
    Timeouts,
)
from osaurus_nb.request import ChatRequest, Sent
from osaurus_nb.routing import deciding, engine
from osaurus_nb.routing.advice import advised
from osaurus_nb.routing.plan import Candidate, Plan, chain
from osaurus_nb.routing.tokens import estimate, estimate_texts

log = logging.getLogger("osaurus_nb")

#: How long a provider's list of models is believed, in seconds.
LIST_TTL = 300.0


class Backend(Protocol):
    """What a client stands on: this runtime, or a server of ours reached over HTTP."""

    def stream(
        self, request: ChatRequest, /, *, request_id: str | None = None, sent: Sent | None = None
    ) -> AsyncGenerator[Event, None]: ...

    async def count_tokens(self, request: ChatRequest, /, *, sent: Sent | None = None) -> TokenCount: ...

    async def embed(self, request: EmbeddingRequest, /) -> Embeddings: ...

    async def decide(self, request: DecisionRequest, /) -> Decisions: ...

    async def models(self) -> Sequence[ModelCard]: ...

    async def status(self) -> Sequence[SourceStatus]: ...

    async def aclose(self) -> None: ...


class Sources(Protocol):
    """Where adapters come from. `current` is cheap and may change between calls."""

    def current(self) -> Mapping[str, Adapter]: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Listing:
    cards: Sequence[ModelCard]
    at: float
    error: OsaurusError | None = None


class Runtime:
    """Everything that one process needs to answer. Belongs to one event loop."""

    def __init__(
        self,
        sources: Sources | Iterable[Adapter],
        *,
        observers: Sequence[Observer] = (),
        clock: Clock | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._sources = _Fixed(sources) if isinstance(sources, Iterable) else sources
        self._observers = observers
        self._clock = clock or SystemClock()
        self._timeouts = timeouts or Timeouts()
        self._listings: dict[Adapter, _Listing] = {}
        self._broken: set[int] = set()

    async def models(self, *, refresh: bool = False) -> Sequence[ModelCard]:
        """Every model that can be named now, local ones first. A provider that fails is left out."""
        listed = await self._listed(refresh=refresh)
        return [card for slug in sorted(listed, key=lambda slug: (slug != LOCAL, slug)) for card in listed[slug]]

    async def status(self) -> Sequence[SourceStatus]:
        adapters = self._sources.current()
        await self._listed(refresh=True)
        rows = ((slug, self._listings[adapter]) for slug, adapter in adapters.items())
        return [SourceStatus(slug, len(row.cards), str(row.error) if row.error else None) for slug, row in rows]

    async def stream(
        self, request: ChatRequest, *, request_id: str | None = None, sent: Sent | None = None
    ) -> AsyncGenerator[Event, None]:
        """One step. Raises RequestError for a name or a field that is wrong; later faults come as `Failed`.

        `request_id` is the id under which the caller was answered; without one the step's own is used. With `sent`,
        `request` need only be the head of it: who cannot hand it on as it is reads the rest.
        """
        plan = await self._plan(request)
        step = self._step(request, request_id, sent)
        for warning in request.warnings:
            self._tell(step, warning)
            yield warning
        async with aclosing(engine.run(plan, request, step, timeouts=self._timeouts)) as stream:
            async for said in stream:
                event = Failed(advised(said.error, self._known())) if isinstance(said, Failed) else said
                self._tell(step, event)
                yield event

    async def count_tokens(self, request: ChatRequest, *, sent: Sent | None = None) -> TokenCount:
        """The prompt's tokens by the one who knows the model; an estimate, marked, where nobody counts.

        With `sent`, `request` is only the head of what the caller wrote.
        """
        card, adapter = await self._named(request.model)
        within = self._timeouts
        if request.route.deadline is not None:
            within = replace(within, total=request.route.deadline)
        if sent is not None:
            if isinstance(adapter, SentCounter) and adapter.dialect == sent.dialect:
                counted = await adapter.count_sent(sent, request, card, within)
                if counted is not None:
                    return counted
            request = sent.read()
        counted = await adapter.count_tokens(request, card, within) if isinstance(adapter, Counter) else None
        return counted if counted is not None else estimate(request)

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """One vector for each text, by the named model and no other: vectors of two models do not compare."""
        card, adapter = await self._named(request.model)
        if not isinstance(adapter, Embedder):
            raise Unsupported(f"'{card.provider}' has no embeddings.", param="model")
        answer = await adapter.embed(request, card, self._timeouts)
        return answer if answer.usage is not None else replace(answer, usage=estimate_texts(request.inputs))

    async def decide(self, request: DecisionRequest) -> Decisions:
        """Each question with the probability of each of its options, by the named model and no other."""
        candidate = await self._candidate(request.model)
        answer, adapter = None, candidate.adapter
        if isinstance(adapter, Decider):
            answer = await adapter.decide(request, candidate.card, self._timeouts)
        if answer is None:
            answer = await deciding.decide(request, candidate, self._step(request), timeouts=self._timeouts)
        return answer if answer.usage is not None else replace(answer, usage=estimate_texts(deciding.texts(request)))

    async def aclose(self) -> None:
        await self._sources.aclose()

    async def _named(self, name: str) -> tuple[ModelCard, Adapter]:
        candidate = await self._candidate(name)
        return candidate.card, candidate.adapter

    def _step(
        self, request: ChatRequest | DecisionRequest, request_id: str | None = None, sent: Sent | None = None
    ) -> Step:
        id = uuid.uuid4().hex
        started = self._clock.monotonic()
        return Step(id=id, request_id=request_id or id, model=request.model, started=started, sent=sent)

    async def _plan(self, request: ChatRequest) -> Plan:
        chosen = [await self._candidate(name) for name in (request.model, *request.route.fallbacks)]
        return chain(request.model, chosen)

    async def _candidate(self, name: str) -> Candidate:
        """The named model: on this machine, else by its prefix, else by what the providers list."""
        adapters = self._sources.current()
        here = adapters.get(LOCAL)
        card = names.local(name, await here.models()) if here is not None else None
        card = card or names.prefixed(name, {slug: self._cards(adapter) for slug, adapter in adapters.items()})
        card = card or await self._search(name)
        return Candidate(card, adapters[card.provider])

    async def _search(self, name: str) -> ModelCard:
        try:
            return names.resolve(name, await self._listed())
        except ModelNotFound:  # it may be newer than the lists at hand
            return names.resolve(name, await self._listed(refresh=True))

    async def _listed(self, *, refresh: bool = False) -> dict[str, Sequence[ModelCard]]:
        adapters = self._sources.current()
        now = self._clock.monotonic()
        stale = [adapter for adapter in adapters.values() if refresh or not self._fresh(adapter, now)]
        for adapter, listing in zip(stale, await asyncio.gather(*map(self._list, stale)), strict=True):
            self._listings[adapter] = listing
        self._listings = {adapter: self._listings[adapter] for adapter in adapters.values()}
        return {slug: self._listings[adapter].cards for slug, adapter in adapters.items()}

    def _fresh(self, adapter: Adapter, now: float) -> bool:
        listing = self._listings.get(adapter)
        return adapter.provider != LOCAL and listing is not None and not listing.error and now - listing.at < LIST_TTL

    def _cards(self, adapter: Adapter) -> Sequence[ModelCard]:
        listing = self._listings.get(adapter)
        return listing.cards if listing is not None else ()

    def _known(self) -> Iterable[ModelCard]:
        """All models that were listed so far."""
        return (card for listing in self._listings.values() for card in listing.cards)

    async def _list(self, adapter: Adapter) -> _Listing:
        try:
            return _Listing(await adapter.models(), self._clock.monotonic())
        except OsaurusError as error:
            return _Listing((), self._clock.monotonic(), error)

    def _tell(self, step: Step, event: Event) -> None:
        for observer in self._observers:
            try:
                observer.observe(Observation(step, event, self._clock.monotonic()))
            except Exception as exc:  # noqa: BLE001 - observers cannot hurt: the answer goes on
                if id(observer) not in self._broken:
                    self._broken.add(id(observer))
                    log.warning("%s failed with %s and is ignored", type(observer).__name__, type(exc).__name__)


class _Fixed:
    """Adapters that never change, by their provider's slug."""

    def __init__(self, adapters: Iterable[Adapter]) -> None:
        self._adapters = {adapter.provider: adapter for adapter in adapters}

    def current(self) -> Mapping[str, Adapter]:
        return self._adapters

    async def aclose(self) -> None:
        for adapter in self._adapters.values():
            await adapter.aclose()
