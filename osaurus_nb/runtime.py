"""The hall: whatever is asked goes through here, one step at a time. Owns what it opens."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import replace
from functools import partial
from typing import Protocol

from osaurus_nb.at_home import Home, HomeDirectory, held_at_home, stays
from osaurus_nb.decisions import DecisionRequest, Decisions
from osaurus_nb.directory import Directory, Sources, as_sources
from osaurus_nb.embeddings import EmbeddingRequest, Embeddings
from osaurus_nb.errors import LedgerUnreadable, OsaurusError, Unreachable, Unsupported
from osaurus_nb.events import AttemptFailed, AttemptStarted, Event, Failed, Finished, Routed, Warned
from osaurus_nb.models import LOCAL, ModelCard, SourceStatus, Tested, TokenCount, Worker
from osaurus_nb.ports import (
    PLAIN,
    Adapter,
    Books,
    Clock,
    Counter,
    Decider,
    Embedder,
    Employer,
    Ledger,
    Meter,
    Observer,
    SentCounter,
    Step,
    SystemClock,
    Terms,
    Timeouts,
)
from osaurus_nb.request import ChatRequest, Sent
from osaurus_nb.routes import Explanation, Fusion, Profile, Ranked
from osaurus_nb.routing import deciding, engine
from osaurus_nb.routing.advice import advised
from osaurus_nb.routing.choosing import Choice, Chooser
from osaurus_nb.routing.fusion import asked
from osaurus_nb.routing.fusion import walker as fusing
from osaurus_nb.routing.fusion.panel import seats
from osaurus_nb.routing.fusion.walker import Matter
from osaurus_nb.routing.health import Health
from osaurus_nb.routing.metering import Unkept, metered
from osaurus_nb.routing.plan import Plan, chain
from osaurus_nb.routing.refusals import nobody
from osaurus_nb.routing.stage import Stage
from osaurus_nb.routing.tokens import estimate, estimate_texts
from osaurus_nb.routing.troubled import marked, strike, warning
from osaurus_nb.spending import Query
from osaurus_nb.telemetry.listeners import Listeners

#: Seconds of the ledger from which a new runtime learns how models do.
RECENT = 3 * 86_400.0


class Backend(Protocol):
    """What a client stands on: this runtime, or a server of ours reached over HTTP."""

    def stream(self, request: ChatRequest, terms: Terms = ..., /) -> AsyncGenerator[Event, None]: ...

    async def count_tokens(self, request: ChatRequest, /, *, sent: Sent | None = None) -> TokenCount: ...

    async def embed(self, request: EmbeddingRequest, terms: Terms = ..., /) -> Embeddings: ...

    async def decide(self, request: DecisionRequest, terms: Terms = ..., /) -> Decisions: ...

    async def explain(self, request: ChatRequest, terms: Terms = ..., /) -> Explanation:
        """Who would answer now, and why. Asks nobody."""

    @property
    def books(self) -> Books:
        """What was spent through it."""

    async def models(self) -> Sequence[ModelCard]: ...

    async def status(self) -> Sequence[SourceStatus]: ...

    async def workers(self) -> Sequence[Worker]:
        """The models in the memory of the machine that it runs on."""

    def watch(self) -> AsyncGenerator[Sequence[SourceStatus], None]:
        """How all stand, now and after each change."""

    async def test(self, name: str, /) -> Tested:
        """Ask one source once, disabled or not, and leave its connection as it is. Raises for an unknown one."""

    async def aclose(self) -> None: ...


class Runtime:
    """Everything that one process needs to answer. Belongs to one event loop.

    With the sources of a `Home` it asks nobody but this machine and its networks, whatever is asked of it.
    """

    def __init__(
        self,
        sources: Sources | Iterable[Adapter],
        *,
        ledger: Ledger | None = None,
        observers: Sequence[Observer] = (),
        clock: Clock | None = None,
        timeouts: Timeouts | None = None,
        chooser: Chooser | None = None,
    ) -> None:
        self._ledger = ledger or Unkept()
        self._clock = clock or SystemClock()
        self._listeners = Listeners(observers, self._clock)
        self._timeouts = timeouts or Timeouts()
        self._chooser = chooser or Chooser(Health(self._clock))
        #: How providers and models have done lately.
        self.health = self._chooser.health
        self._stage = Stage(self._chooser, self._clock)
        self._remembers = False
        everybody = as_sources(sources)
        if isinstance(everybody, Home):
            self._directory: Directory = HomeDirectory(everybody, self._clock)
            self._home = self._directory
        else:
            self._directory = Directory(everybody, self._clock)
            here = Home(everybody, lent=True)
            self._home = HomeDirectory(here, self._clock, known_elsewhere=self._directory.known)
            self._home.listen(self.health.heard)
        self._directory.listen(self.health.heard)

    @property
    def books(self) -> Books:
        """What was spent through this runtime, and by others in the same home."""
        return self._ledger

    def launch(self) -> None:
        """Connect the providers now that may connect by themselves, not only when somebody looks for models."""
        self._directory.launch()

    async def connect(self, slug: str) -> SourceStatus:
        """Connect a provider, or join who is at it: how it then stands. Raises ConfigError for an unknown one."""
        self.health.forget(slug)
        return await self._directory.connect(slug)

    def disconnect(self, slug: str) -> SourceStatus:
        """Part from a provider until it is connected again. Raises ConfigError for an unknown one."""
        return self._directory.disconnect(slug)

    async def test(self, name: str) -> Tested:
        """Ask one source once, disabled or not, and leave its connection as it is. Raises ConfigError."""
        self.health.forget(name)
        return await self._directory.test(name)

    def wake(self) -> None:
        """The network or the machine is back: providers that failed in passing are asked at once."""
        self._directory.wake()

    async def models(self, *, refresh: bool = False) -> Sequence[ModelCard]:
        """Every model that can be named now, local ones first, then the profiles. A provider that fails is left out."""
        found, profiles = await self._directory.models(refresh=refresh), self._chooser.profiles
        return profiles.merged(found) if profiles is not None else found

    async def status(self) -> Sequence[SourceStatus]:
        """How each source does, asked again unless it just was."""
        return [self.health.standing(row) for row in await self._directory.status()]

    async def workers(self) -> Sequence[Worker]:
        """The models of this machine that are in memory now."""
        here = self._directory.adapters().get(LOCAL)
        return await here.workers() if isinstance(here, Employer) else ()

    def observe(self, observer: Observer) -> None:
        """Tell this one too what happens in streams."""
        self._listeners.add(observer)

    def watch(self) -> AsyncGenerator[Sequence[SourceStatus], None]:
        """How all stand, now and after each change; one that is set up meanwhile is one."""
        return self._directory.watch()

    async def stream(self, request: ChatRequest, terms: Terms = PLAIN) -> AsyncGenerator[Event, None]:
        """One step. Raises RequestError for a name or a field that is wrong; later faults come as `Failed`.

        With `terms.sent`, `request` need only be the head of it: who cannot hand it on as it is reads the rest.
        """
        fusion = asked.fusion(request, self._profile(request), terms)
        directory = self._where(terms, request, fusion)
        if fusion is not None and terms.sent is not None:
            request, terms = terms.sent.read(), replace(terms, sent=None)
        plan, choice, left_out = await self._plan(request, terms, directory, fusion)
        if choice is not None:
            request, terms = choice.request, _as_chosen(terms, request, choice)
        step = self._step(request, terms)
        played = () if terms.chaos is None else (warning(terms.chaos),)
        routed = (*played, *(() if plan.why is None else (Routed(plan.why),)))
        walked = self._walk(plan, request, step)
        if fusion is not None and choice is not None:
            matter = await self._matter(plan, choice, step, fusion, directory)
            walked = fusing.run(matter, self._walk, self._ledger, self._clock.monotonic)
        with self._listeners.to(step) as tell:
            for first in (*routed, *request.warnings, *left_out):
                tell(first)
                yield first
            answering = ""
            async with aclosing(walked) as stream:
                async for event in stream:
                    if isinstance(event, AttemptStarted):
                        answering = event.model
                    elif isinstance(event, AttemptFailed):
                        self._doubt(event, terms, directory)
                    elif isinstance(event, Failed | Finished):
                        event = self._last(event, plan, choice, answering, directory)  # noqa: PLW2901 - told with advice
                    tell(event)
                    yield event

    async def explain(self, request: ChatRequest, terms: Terms = PLAIN) -> Explanation:
        """Who would answer this question now, in which order, and why. Asks nobody.

        Raises RequestError for a name that is wrong; where nobody may answer, the explanation says why.
        """
        profile = self._profile(request)
        if (fusion := asked.fusion(request, profile, terms)) is not None:
            profile = asked.under(profile, fusion, self._chooser.profiles)
        if profile is not None:
            directory = self._where(terms, request, fusion)
            return (await self._choose(request, profile, terms, directory)).explanation
        plan, _, _ = await self._plan(request, terms, self._where(terms, request))
        named = tuple(Ranked(each.card.name, each.card.provider, 0.0) for each in plan.candidates)
        return Explanation(request.model, mode=request.route.mode or "balanced", ranked=named, chain=len(named))

    def _walk(
        self, plan: Plan, request: ChatRequest, step: Step, meter: Meter | None = None
    ) -> AsyncGenerator[Event, None]:
        health = self._stage.chooser(step.terms.chaos).health
        return engine.run(plan, request, step, timeouts=self._timeouts, meter=meter or self._ledger, health=health)

    async def count_tokens(self, request: ChatRequest, *, sent: Sent | None = None) -> TokenCount:
        """The prompt's tokens by the one who knows the model; an estimate, marked, where nobody counts.

        With `sent`, `request` is only the head of what the caller wrote. Under a profile, by whom it would choose.
        """
        alone = replace(request, route=replace(request.route, fallbacks=()))
        plan, _, _ = await self._plan(alone, replace(PLAIN, sent=sent), self._where(PLAIN, request))
        card, adapter = plan.candidates[0].card, plan.candidates[0].adapter
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

    async def embed(self, request: EmbeddingRequest, terms: Terms = PLAIN) -> Embeddings:
        """One vector for each text, by the named model and no other: vectors of two models do not compare."""
        candidate = await self._where(terms).candidate(request.model)
        card, adapter = candidate.card, candidate.adapter
        if not isinstance(adapter, Embedder):
            raise Unsupported(f"'{card.provider}' has no embeddings.", param="model")
        size = partial(estimate_texts, request.inputs)
        async with metered(self._ledger, candidate, self._step(request, terms), size) as account:
            await strike(terms.chaos, card)
            answer = await adapter.embed(request, card, self._timeouts)
            account.used(answer.usage or size())
            answer = replace(answer, cost=account.cost())
        answer = marked(answer, terms.chaos)
        return answer if answer.usage is not None else replace(answer, usage=size())

    async def decide(self, request: DecisionRequest, terms: Terms = PLAIN) -> Decisions:
        """Each question with the probability of each of its options, by the named model and no other."""
        candidate = await self._where(terms).candidate(request.model)
        answer, step, size = None, self._step(request, terms), partial(estimate_texts, deciding.texts(request))
        if isinstance(candidate.adapter, Decider):
            async with metered(self._ledger, candidate, step, size) as account:
                await strike(terms.chaos, candidate.card)
                answer = await candidate.adapter.decide(request, candidate.card, self._timeouts)
                if answer is None:
                    account.void()
                else:
                    account.used(answer.usage or size())
                    answer = replace(answer, cost=account.cost())
        if answer is None:
            answer = await deciding.decide(request, candidate, step, self._walk, timeouts=self._timeouts)
        answer = marked(answer, terms.chaos)
        return answer if answer.usage is not None else replace(answer, usage=size())

    async def aclose(self) -> None:
        async with AsyncExitStack() as stack:  # whatever fails on the way, the ledger's last lines are written
            stack.push_async_callback(self._ledger.aclose)
            if self._directory is not self._home:
                stack.push_async_callback(self._directory.aclose)
            stack.push_async_callback(self._home.aclose)

    def _step(self, request: ChatRequest | DecisionRequest | EmbeddingRequest, terms: Terms) -> Step:
        id = uuid.uuid4().hex
        return Step(id, terms.request_id or id, request.model, self._clock.monotonic(), terms=terms)

    def _where(self, terms: Terms, request: ChatRequest | None = None, fusion: Fusion | None = None) -> Directory:
        """Where models are looked for, and who asks them: all, or only this machine and its networks."""
        profile = self._profile(request) if request is not None else None
        if fusion is not None:  # the profile that a panel is chosen by may say so too
            profile = asked.under(profile, fusion, self._chooser.profiles)
        return self._home if stays(terms, request, profile) else self._directory

    async def _plan(
        self, request: ChatRequest, terms: Terms, directory: Directory, fusion: Fusion | None = None
    ) -> tuple[Plan, Choice | None, Sequence[Warned]]:
        """The named model and the caller's fallbacks, or whom a profile chooses. Raises NoEligibleModel for nobody."""
        profile = self._profile(request)
        if fusion is not None:
            profile = asked.under(profile, fusion, self._chooser.profiles)
        if profile is None:
            first = await directory.candidate(request.model)
            behind, left_out = await directory.fallbacks(request.route.fallbacks)
            return chain(request.model, (first, *behind)), None, left_out
        choice = await self._choose(request, profile, terms, directory)
        behind, left_out = await directory.fallbacks(choice.request.route.fallbacks)
        candidates = [*directory.of(choice.cards), *behind]
        if not candidates:
            raise nobody(choice.explanation)
        return replace(chain(request.model, candidates), why=choice.explanation), choice, left_out

    async def _matter(self, plan: Plan, choice: Choice, step: Step, fusion: Fusion, directory: Directory) -> Matter:
        """What is to be fused, and by whom."""
        cards = {card.name: card for card in await directory.choosable()}
        ranked = directory.of(cards[row.model] for row in choice.explanation.ranked if row.model in cards)
        judge = None
        if fusion.judge is not None:
            try:
                judge = await directory.candidate(fusion.judge)
            except OsaurusError:
                if fusion.judge == choice.request.model:  # the caller named it; a profile's own may be gone
                    raise
        return Matter(choice.request, step, fusion, seats(fusion, ranked, judge), plan, await self._left(step.terms))

    def _profile(self, request: ChatRequest) -> Profile | None:
        return self._chooser.profile(request, self._directory.knows)

    async def _choose(self, request: ChatRequest, profile: Profile, terms: Terms, directory: Directory) -> Choice:
        whole = request if terms.sent is None else terms.sent.read()
        if directory is self._home:
            whole = held_at_home(whole)
        cards = await directory.choosable()
        chooser = self._stage.chooser(terms.chaos)
        await self._remember()
        left, owner = await self._left(terms), terms.origin.key or ""
        choice = chooser.choose(whole, profile, cards, owner=owner, budget_left_micro=left)
        return choice if terms.chaos is None else replace(choice, key=None)  # nobody stays with whom he met on a stage

    async def _remember(self) -> None:
        """What the ledger of the last days says of each model, read once, by the first question that has to choose."""
        if not self._remembers:
            self._remembers = True
            since = self._clock.now().timestamp() - RECENT
            with suppress(LedgerUnreadable):
                self.health.learning.seed(await self._ledger.entries(Query(since=since, limit=1000)))

    async def _left(self, terms: Terms) -> int | None:
        """The least that is left under the caps that hold for this question; None where none does."""
        standing = [state.left_micro for state in await self._ledger.budgets(terms.origin)]
        return min((*standing, *(cap.limit_micro for cap in terms.caps)), default=None)

    def _doubt(self, event: AttemptFailed, terms: Terms, directory: Directory) -> None:
        """Who was found gone so often that he is left alone is looked for by his list, and not by questions."""
        if isinstance(event.error, Unreachable) and terms.chaos is None and self.health.open(event.provider):
            directory.doubt(event.provider)

    def _last(
        self, event: Failed | Finished, plan: Plan, choice: Choice | None, answering: str, directory: Directory
    ) -> Event:
        """What is learnt from an end; a failure gets advice."""
        if isinstance(event, Failed):
            if choice is not None:
                self._chooser.failed(choice)
            return Failed(advised(event.error, directory.known()))
        answered = next((each.card.provider for each in plan.candidates if each.card.name == answering), None)
        if answered is not None:
            directory.answered(answered)
        if choice is not None:
            self._chooser.answered(choice, answering)
        return event


def _as_chosen(terms: Terms, request: ChatRequest, choice: Choice) -> Terms:
    """A caller's own words may go on as they are, unless the profile changes what is asked."""
    changed = choice.request.reasoning_effort != (terms.sent.read() if terms.sent else request).reasoning_effort
    return replace(terms, sent=None) if changed else terms
