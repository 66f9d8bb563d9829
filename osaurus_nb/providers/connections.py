"""Holds the connections of all providers: fetches their lists, retries quietly, tells who watches.

What happens to a connection is decided in `connection`; here are the clock, the tasks and the network. At most one
fetch runs for each provider, a few for all. Belongs to one event loop; `aclose` leaves no task behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from osaurus_nb.errors import ConfigError, OsaurusError, ProviderError, TooSlow
from osaurus_nb.models import Diagnosis, ModelCard, SourceStatus
from osaurus_nb.ports import Adapter, Clock, SystemClock
from osaurus_nb.providers import connection as rules
from osaurus_nb.providers.connection import LOOK_APART, Connection
from osaurus_nb.providers.diagnosis import diagnose

log = logging.getLogger("osaurus_nb")

#: Seconds within which any provider must have listed its models; one may have set itself a shorter time.
DEADLINE = 30.0
#: Seconds that who looks waits for a slow one; its list then comes as a change.
PATIENCE = 10.0
#: Fetches that run at once.
AT_ONCE = 8
#: While something waits for its retry, the clocks are compared this often, in seconds.
_TICK = 5.0
#: When they differ by more than this many seconds, the machine or this process was asleep.
_JUMP = 15.0
#: Faults that end when the network is back.
_NETWORK = frozenset({"endpoint-unreachable", "timeout", "tls-failure", "proxy-connect-failed"})


@runtime_checkable
class Connectable(Protocol):
    """An adapter that says more of its connection: where it is, whether it may connect by itself, with what key.

    `mark` differs when the credential does; the credential cannot be had from it.
    """

    @property
    def host(self) -> str: ...

    @property
    def auto_connect(self) -> bool: ...

    def mark(self) -> int: ...


class _Fetch(NamedTuple):
    epoch: int
    task: asyncio.Task[Sequence[ModelCard]]


class Connections:
    """One for each runtime. `follow` says which providers there are, `launch` that they are wanted."""

    def __init__(self, *, clock: Clock | None = None, chance: Callable[[], float] = random.random) -> None:
        #: The last list of each provider, for names; empty for one that gave none yet.
        self.known: dict[str, Sequence[ModelCard]] = {}
        #: Is told of each list that came, and of each that did not because nobody was there.
        self.listener: Callable[[str, bool], None] = lambda slug, there: None
        self._clock = clock or SystemClock()
        self._chance = chance
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._adapters: dict[str, Adapter] = {}
        self._held: dict[str, Connection] = {}
        self._told: dict[str, SourceStatus] = {}
        self._fetches: dict[str, _Fetch] = {}
        self._left: dict[asyncio.Task[Sequence[ModelCard]], str] = {}
        self._watchman: asyncio.Task[None] | None = None
        self._bells: set[asyncio.Event] = set()
        self._launched = self._closed = False

    def follow(self, adapters: Mapping[str, Adapter], disabled: Collection[str] = ()) -> None:
        """These are the providers now. One with another adapter was edited; what is gone is forgotten."""
        for slug in [slug for slug in self._held if slug not in adapters and slug not in disabled]:
            self._forget(slug)
        for slug in disabled:
            held = self._held.get(slug)
            if held is None or held.enabled:
                self._put(slug, rules.disable(held or Connection()))
        for slug, adapter in adapters.items():
            held = self._held.get(slug)
            if held is None or not held.enabled or self._adapters.get(slug) is not adapter:
                self._adopt(slug, adapter, held)

    def launch(self) -> None:
        """Connect all that may connect by themselves; from now on new and edited ones too."""
        if not self._launched:
            self._launched = True
            self._each(rules.launch)

    async def look(self, apart: float = LOOK_APART) -> None:
        """Ask again all whose list is older than `apart` seconds, and wait a while for what is under way.

        Not for the quiet retry of one that is known to fail.
        """
        begun = []
        for slug, held in self._held.items():
            looked = rules.look(held, self._now, self._mark(slug), apart=apart)
            self._put(slug, looked)
            if looked is not held or looked.state != "error":
                begun.append(slug)
        await self._settled(begun, PATIENCE)

    async def connect(self, slug: str) -> SourceStatus:
        """Connect one now, or join who is at it. Raises ConfigError for one that is not set up."""
        self._put(slug, rules.connect(self._connection(slug), self._now, self._mark(slug)))
        await self._settled([slug])
        self._connection(slug)  # it may have been removed meanwhile
        return self._told[slug]

    def disconnect(self, slug: str) -> SourceStatus:
        """Part from one until it is connected again. Raises ConfigError for one that is not set up."""
        self._put(slug, rules.disconnect(self._connection(slug)))
        return self._told[slug]

    def answered(self, slug: str) -> None:
        """It just answered a question: an error that cannot be true any more is looked into."""
        held = self._held.get(slug)
        if held is not None and held.diagnosis is not None:
            self._put(slug, rules.answered(held, self._now, self._mark(slug)))

    def doubt(self, slug: str) -> None:
        """Questions find nobody there: look, and again and again, quietly, until its list comes."""
        held = self._held.get(slug)
        if held is not None:
            self._put(slug, rules.doubt(held, self._now, self._mark(slug)))

    def wake(self) -> None:
        """The network or the machine is back: retry what failed in passing, at once."""
        self._each(rules.wake)

    @property
    def settled(self) -> bool:
        """Was everyone asked who connects by himself, and heard or found silent?"""
        return self._launched and not any(held.state == "connecting" for held in self._held.values())

    def listed(self) -> dict[str, Sequence[ModelCard]]:
        """The models of every provider that is connected."""
        return {slug: held.cards for slug, held in self._held.items() if held.cards is not None}

    def statuses(self) -> list[SourceStatus]:
        return list(self._told.values())

    async def watch(self, follow: Callable[[], object] = lambda: None) -> AsyncGenerator[list[SourceStatus], None]:
        """How all stand, now and after each change. Who reads slowly sees the latest, not every step.

        `follow` is called now and then, to look whether there are other providers.
        """
        bell = asyncio.Event()
        self._bells.add(bell)
        try:
            while not self._closed:
                bell.clear()
                yield self.statuses()
                while not bell.is_set():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(bell.wait(), _TICK)
                    follow()
        finally:
            self._bells.discard(bell)

    async def aclose(self) -> None:
        self._closed = True
        for slug in [*self._fetches]:
            self._leave(slug)
        running: set[asyncio.Task[object]] = {*self._left, *([self._watchman] if self._watchman else [])}
        for task in running:
            task.cancel()
        self._ring()
        if running:
            await asyncio.wait(running)

    @property
    def _now(self) -> float:
        return self._clock.monotonic()

    def _connection(self, slug: str) -> Connection:
        if slug not in self._held:
            raise ConfigError(f"There is no provider '{slug}'. Set up: {', '.join(sorted(self._held)) or 'none yet'}.")
        return self._held[slug]

    def _adopt(self, slug: str, adapter: Adapter, held: Connection | None) -> None:
        auto = adapter.auto_connect if isinstance(adapter, Connectable) else True
        self._adapters[slug] = adapter
        new = Connection(auto=auto) if held is None else rules.edit(held, auto=auto)
        self._put(slug, new)
        if self._launched:
            self._put(slug, rules.connect(new, self._now, self._mark(slug)))

    def _forget(self, slug: str) -> None:
        self._leave(slug)
        for record in (self._held, self._told, self._adapters, self.known):
            record.pop(slug, None)
        self._ring()

    def _each(self, rule: Callable[[Connection, float, int | None], Connection]) -> None:
        for slug in self._held:
            self._put(slug, rule(self._held[slug], self._now, self._mark(slug)))

    def _mark(self, slug: str) -> int | None:
        adapter = self._adapters.get(slug)
        return adapter.mark() if isinstance(adapter, Connectable) else None

    def _put(self, slug: str, held: Connection) -> None:
        """The one place where a connection changes: the fetch, the retry and who watches follow it."""
        if self._closed or self._held.get(slug) is held:
            return
        self._held[slug] = held
        self.known[slug] = held.known
        self._steer(slug, held)
        if held.retry_at is not None and (self._watchman is None or self._watchman.done()):
            self._watchman = asyncio.create_task(self._keep_time(), name="osaurus-retries")
        status = self._status(slug, held)
        if self._told.get(slug) != status:
            self._told[slug] = status
            self._ring()

    def _steer(self, slug: str, held: Connection) -> None:
        running = self._fetches.get(slug)
        if running is not None and (not held.fetching or running.epoch != held.epoch):
            self._leave(slug)
        if held.fetching and slug not in self._fetches:
            before = [task for task, owner in self._left.items() if owner == slug]
            task = asyncio.create_task(self._list(self._adapters[slug], before), name=f"osaurus-list-{slug}")
            self._fetches[slug] = _Fetch(held.epoch, task)
            task.add_done_callback(lambda done: self._arrived(slug, held.epoch, done))

    def _leave(self, slug: str) -> None:
        fetch = self._fetches.pop(slug, None)
        if fetch is not None:
            fetch.task.cancel()
            self._left[fetch.task] = slug
            fetch.task.add_done_callback(self._left.pop)

    async def _list(
        self, adapter: Adapter, before: Collection[asyncio.Task[Sequence[ModelCard]]]
    ) -> Sequence[ModelCard]:
        if before:  # never two at once for one provider, not even while the first is being stopped
            await asyncio.wait(before)
        try:
            async with self._slots, asyncio.timeout(DEADLINE):
                return await adapter.models()
        except TimeoutError:
            raise TooSlow(f"'{adapter.provider}' did not list its models in time.", provider=adapter.provider) from None

    def _arrived(self, slug: str, epoch: int, task: asyncio.Task[Sequence[ModelCard]]) -> None:
        fetch = self._fetches.get(slug)
        if fetch is None or fetch.task is not task:
            if not task.cancelled():
                task.exception()  # nobody waits for it any more
            return
        del self._fetches[slug]
        held = self._held[slug]
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            self.listener(slug, True)
            self._put(slug, rules.fetched(held, epoch, task.result()))
            self._tell_return(held, task.result())
            return
        diagnosis, wait = self._diagnosis(slug, error)
        if diagnosis.bucket in _NETWORK:
            self.listener(slug, False)
        failed = rules.failed(held, epoch, diagnosis, self._now, chance=self._chance(), retry_after=wait)
        self._put(slug, failed)

    def _diagnosis(self, slug: str, error: BaseException) -> tuple[Diagnosis, float | None]:
        if isinstance(error, OsaurusError):
            wait = error.retry_after if isinstance(error, ProviderError) else None
            return self._diagnose(slug, error), wait
        log.warning("Listing the models of '%s' failed with %s", slug, type(error).__name__)
        return Diagnosis("unknown", "blocked", f"Listing failed with {type(error).__name__}", ""), None

    def _diagnose(self, slug: str, error: OsaurusError) -> Diagnosis:
        adapter = self._adapters[slug]
        return diagnose(error, who=slug, host=adapter.host if isinstance(adapter, Connectable) else "")

    def _tell_return(self, before: Connection, cards: Sequence[ModelCard]) -> None:
        """Whoever was out of reach in the cloud and is back brings the news that the network is."""
        if _cut_off(before) and any(card.endpoint == "cloud" for card in cards):
            for slug, held in self._held.items():
                if _cut_off(held):
                    self._put(slug, rules.wake(held, self._now, self._mark(slug)))

    async def _settled(self, slugs: Sequence[str], within: float | None = None) -> None:
        ends = None if within is None else self._now + within
        while tasks := [self._fetches[slug].task for slug in slugs if slug in self._fetches]:
            left = None if ends is None else max(ends - self._now, 0.0)
            _, waiting = await asyncio.wait(tasks, timeout=left)
            if left is not None and waiting:
                return

    async def _keep_time(self) -> None:
        """Lives while something waits for its retry."""
        while waiting := [held.retry_at for held in self._held.values() if held.retry_at is not None]:
            wall, now = self._clock.now().timestamp(), self._now
            pause = min(max(min(waiting) - now, 0.0), _TICK)
            await asyncio.sleep(pause)
            passed, felt = self._clock.now().timestamp() - wall, self._now - now
            slept = passed - felt > _JUMP or felt - pause > _JUMP
            self._each(rules.wake if slept else rules.due)

    def _status(self, slug: str, held: Connection) -> SourceStatus:
        before = self._told.get(slug)
        wall = self._clock.now().timestamp()
        return SourceStatus(
            slug,
            len(held.cards or ()),
            str(held.diagnosis) if held.diagnosis else None,
            state=held.state,
            since=before.since if before is not None and before.state == held.state else wall,
            retry_at=None if held.retry_at is None else wall + held.retry_at - self._now,
            diagnosis=held.diagnosis,
        )

    def _ring(self) -> None:
        for bell in self._bells:
            bell.set()


def _cut_off(held: Connection) -> bool:
    return held.diagnosis is not None and held.diagnosis.bucket in _NETWORK
