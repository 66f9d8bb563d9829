"""The models of this machine and its networks, for questions that may go nowhere else. Asks and resolves nobody else.

Whoever is here is asked through its twin, which refuses every other address where the socket would open. Names are
looked for here alone; a stranger's is refused with a sentence, without a look at any stranger's list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from osaurus_nb.catalog import names
from osaurus_nb.catalog.forwarders import forwards
from osaurus_nb.directory import LIST_TTL, Directory, Sources
from osaurus_nb.errors import LocalOnly, ModelNotFound, OsaurusError
from osaurus_nb.events import Warned
from osaurus_nb.models import LOCAL, ModelCard
from osaurus_nb.ports import Adapter, Clock, Confined, Terms
from osaurus_nb.request import ChatRequest
from osaurus_nb.routes import Profile
from osaurus_nb.routing.plan import Candidate

#: Seconds that a question waits for the list of a server here that may say who answers in truth.
LIST_PATIENCE = 5.0
_REMEDY = (
    "Only this machine and its networks may be asked: choose a model that is there, or allow others. A server of your "
    "own counts under an address of these, a name in `.local` or one of your tailnet."
)


def twin(adapter: Adapter) -> Adapter | None:
    """The adapter, held to this machine and its networks; None where it is elsewhere, or cannot be held."""
    return adapter.confined() if isinstance(adapter, Confined) else None


def stays(terms: Terms, request: ChatRequest | None, profile: Profile | None) -> bool:
    """Must this question stay here, by the word of anybody?"""
    modes = (request.route.mode if request is not None else None, profile.mode if profile is not None else None)
    return terms.local_only or "local-strict" in modes


def held_at_home(request: ChatRequest) -> ChatRequest:
    """The question as one that says itself that it must stay here."""
    return replace(request, route=replace(request.route, mode="local-strict"))


class Home:
    """The sources of this machine and its networks among all that are set up; the others count as disabled.

    `lent` ones are closed by somebody else.
    """

    def __init__(self, sources: Sources, *, lent: bool = False) -> None:
        self._sources = sources
        self._lent = lent
        self._all: Mapping[str, Adapter] | None = None
        self._here: Mapping[str, Adapter] = {}

    def current(self) -> Mapping[str, Adapter]:
        found = self._sources.current()
        if found is not self._all:
            twins = ((slug, twin(adapter)) for slug, adapter in found.items())
            self._all, self._here = found, {slug: adapter for slug, adapter in twins if adapter is not None}
        return self._here

    def strangers(self) -> Collection[str]:
        """Those that are set up and elsewhere."""
        return self._sources.current().keys() - self.current().keys()

    def disabled(self) -> Collection[str]:
        return (*self._sources.disabled(), *self.strangers())

    def find(self, name: str, /) -> Adapter:
        """Raises ConfigError, and LocalOnly for a stranger."""
        found = twin(self._sources.find(name))
        if found is None:
            raise LocalOnly(f"'{name}' is not asked: only this machine and its networks are.", param="provider")
        return found

    async def aclose(self) -> None:
        if not self._lent:
            await self._sources.aclose()


class HomeDirectory(Directory):
    """`known_elsewhere` are models that were listed before, only to say why one is refused."""

    def __init__(
        self, home: Home, clock: Clock, *, known_elsewhere: Callable[[], Iterable[ModelCard]] = lambda: ()
    ) -> None:
        super().__init__(home, clock)
        self._home = home
        self._clock = clock
        self._known_elsewhere = known_elsewhere
        self._looked: dict[str, float] = {}

    async def candidate(self, name: str) -> Candidate:
        """The named model, if it is here. Raises LocalOnly where it is known to be elsewhere."""
        slug, slash, _ = name.partition("/")
        if slash and slug.lower() in self._home.strangers() and not await self._is_of_this_machine(name):
            raise LocalOnly(
                f"'{name}' was not asked: '{slug.lower()}' is not known to be here. {_REMEDY}", param="model"
            )
        try:
            found = await super().candidate(name)
        except ModelNotFound as error:
            raise self._refused(name, error) from None
        if found.card.provider != LOCAL and not self._is_listed(found.card):
            found = await self._looked_up(found)
        if (to := forwards(found.card)) is not None:
            raise LocalOnly(f"'{found.card.name}' was not asked: it is answered by {to}. {_REMEDY}", param="model")
        return found

    async def fallbacks(self, wanted: Iterable[str]) -> tuple[Sequence[Candidate], Sequence[Warned]]:
        """Those of them that are here."""
        chosen, left = list[Candidate](), list[Warned]()
        for name in wanted:
            try:
                chosen.append(await self.candidate(name))
            except (LocalOnly, ModelNotFound) as error:
                left.append(Warned("local_only", f"The fallback '{name}' is left out. {error}"))
        return chosen, left

    def of(self, cards: Iterable[ModelCard]) -> list[Candidate]:
        return super().of(card for card in cards if forwards(card) is None)

    async def _is_of_this_machine(self, name: str) -> bool:
        here = self.adapters().get(LOCAL)
        return here is not None and names.local(name, await here.models()) is not None

    def _is_listed(self, card: ModelCard) -> bool:
        return any(known.id == card.id for known in self._connections.known.get(card.provider, ()))

    async def _looked_up(self, found: Candidate) -> Candidate:
        """Its server's list may say that it only passes questions on; where there is none, the name has to do."""
        card, now = found.card, self._clock.monotonic()
        if now - self._looked.get(card.name, -LIST_TTL) < LIST_TTL:
            return found
        self._looked[card.name] = now
        try:
            await asyncio.wait_for(self.connect(card.provider), LIST_PATIENCE)
        except (OsaurusError, TimeoutError):
            return found
        return Candidate(names.prefixed(card.name, self._connections.known) or card, found.adapter)

    def _refused(self, name: str, error: ModelNotFound) -> OsaurusError:
        elsewhere = sorted({card.name for card in self._known_elsewhere() if name in (card.id, card.name)})
        if elsewhere:
            return LocalOnly(f"'{name}' was not asked: only {', '.join(elsewhere)} is known. {_REMEDY}", param="model")
        said = f"{error} Only this machine and its networks were looked at."
        return ModelNotFound(said, near=error.near)
