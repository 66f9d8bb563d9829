"""Meters every call and keeps the books: what is about to be sent is written down first, if it may cost something.

Faults of the ledger stop no answer. Only a budget does, before anything was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from osaurus_nb.catalog.prices import GRATIS
from osaurus_nb.config.billing import BillingFile, BillingSettings
from osaurus_nb.errors import BudgetExceeded
from osaurus_nb.ledger.account import OpenAccount, Opened
from osaurus_nb.ledger.limits import caps, refusal, scopes
from osaurus_nb.ledger.store import LedgerStore
from osaurus_nb.models import LOCAL, LOCAL_CLASSES, ROUTER, ModelCard
from osaurus_nb.ports import Account, Adapter, Bid, Clock, Priced, SystemClock
from osaurus_nb.spending import (
    NOWHERE,
    BudgetState,
    By,
    Cap,
    Entry,
    LedgerStatus,
    Origin,
    Overrun,
    Query,
    Tariff,
    Total,
)

#: Tokens of output for which money is set aside where the caller set no limit; and the least that is worth asking for.
USUAL_OUTPUT, LEAST_OUTPUT = 4096, 256
#: A prompt is estimated by its bytes. Money is set aside for so many times that: no tokenizer of today makes more.
_SURELY = 2
#: So many models are remembered with what they take: a caller may name any.
_MOST_TARIFFS = 4096


@dataclass(frozen=True, slots=True)
class _Known:
    """What a model takes, for as long as its card and its adapter stay what they are."""

    card: ModelCard
    adapter: Adapter
    settings: BillingSettings
    tariff: Tariff | None

    def holds(self, card: ModelCard, adapter: Adapter, settings: BillingSettings) -> bool:
        """One that no list has is made anew for each question, and is the same all the same."""
        return self.adapter is adapter and self.settings is settings and (self.card is card or self.card == card)


class LedgerMeter:
    """One for each runtime. The store may be shared."""

    def __init__(
        self,
        store: LedgerStore,
        billing: BillingFile,
        *,
        clock: Clock | None = None,
        energy: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._store = store
        self._billing = billing
        self._clock = clock or SystemClock()
        self._energy = energy
        self._tariffs: dict[str, _Known] = {}

    async def open(self, bid: Bid) -> Account:
        if bid.card.provider == LOCAL:
            return self._account(Opened(self._entry(bid), GRATIS, False, bid.size, energy=self._energy))
        settings = self._billing.read()
        tariff = await self._tariff(bid, settings)
        if tariff is GRATIS:
            return self._account(Opened(self._entry(bid), tariff, False, bid.size))
        held = scopes(bid, settings, self._clock.now())
        if all(limit is None for limit in held.values()):
            entry = self._entry(bid)
            await self._store.open(entry, held)
            return self._account(Opened(entry, tariff, True, bid.size))
        return self._account(await self._reserve(bid, tariff, held))

    async def entries(self, query: Query = Query()) -> Sequence[Entry]:  # noqa: B008 - a frozen value
        return await self._store.entries(query)

    async def totals(self, by: By, query: Query = Query()) -> Sequence[Total]:  # noqa: B008
        return await self._store.totals(by, query)

    async def budgets(self, origin: Origin = NOWHERE) -> Sequence[BudgetState]:
        held = caps(origin, self._billing.read(), self._clock.now())
        if not held:
            return ()
        spent = await self._store.spent([cap.scope for cap in held])
        return [BudgetState(cap, *figures) for cap, figures in zip(held, spent, strict=True)]

    async def void(self, step: str) -> int:
        return await self._store.void(step)

    async def status(self) -> LedgerStatus:
        known = await self._store.status()
        return replace(known, notices=(*known.notices, *self._billing.problems))

    async def aclose(self) -> None:
        await self._store.aclose()

    def _account(self, opened: Opened) -> OpenAccount:
        return OpenAccount(opened, self._clock, self._store.add)

    async def _reserve(self, bid: Bid, tariff: Tariff | None, held: Mapping[str, int | None]) -> Opened:
        """Set aside the most that it can cost; where the caller set no limit to the answer, as much as there is."""
        estimated, limit = bid.size()
        given = _SURELY * estimated
        made = limit if limit is not None else min(USUAL_OUTPUT, bid.card.max_output_tokens or USUAL_OUTPUT)
        needed = tariff.at_most(given, made) if tariff is not None else None
        if tariff is None or needed is None:
            raise _refused(bid, Overrun(_narrowest(held), 0, 0, None))
        overrun = await self._open(bid, held, needed)
        if overrun is not None and limit is None:
            paid = _affordable(tariff, given, made, overrun)
            if paid is not None:
                made, needed = paid, tariff.at_most(given, paid) or needed
                overrun = await self._open(bid, held, needed)
        if overrun is not None:
            raise _refused(bid, overrun)
        entry = replace(self._entry(bid), reserved_micro=needed)
        return Opened(entry, tariff, True, lambda: (estimated, limit), made if limit is None else None)

    async def _open(self, bid: Bid, held: Mapping[str, int | None], needed: int) -> Overrun | None:
        return await self._store.open(replace(self._entry(bid), reserved_micro=needed), held)

    async def _tariff(self, bid: Bid, settings: BillingSettings) -> Tariff | None:
        """What the model takes. Tables are read off the loop, once; then it is remembered."""
        card, adapter = bid.card, bid.adapter
        known = self._tariffs.get(card.name)
        if known is not None and known.holds(card, adapter, settings):
            return known.tariff
        tariff = await asyncio.to_thread(adapter.tariff, card) if isinstance(adapter, Priced) else None
        if (tariff is None or tariff.at_most(1, 1) == 0) and card.endpoint in LOCAL_CLASSES:
            tariff = GRATIS
        while len(self._tariffs) >= _MOST_TARIFFS:
            self._tariffs.pop(next(iter(self._tariffs)), None)
        self._tariffs[card.name] = _Known(card, adapter, settings, tariff)
        return tariff

    def _entry(self, bid: Bid) -> Entry:
        step, card = bid.step, bid.card
        return Entry(
            kind="open",
            step=step.id,
            attempt=bid.number,
            at=self._clock.now().timestamp(),
            provider=card.provider,
            model=card.id,
            asked=step.model,
            origin=step.terms.origin,
            request_id=step.request_id,
            idempotency=_idempotency(bid),
            dialect=getattr(bid.adapter, "dialect", None),
            profile=bid.profile,
            fallbacks=bid.number - 1,
        )


def _idempotency(bid: Bid) -> str:
    """Under which the provider charges once: for the Router the caller's own word, if there is one."""
    given = bid.step.terms.idempotency_key if bid.card.provider == ROUTER else None
    said = f"{bid.card.name} {given}" if given else f"{bid.step.id} {bid.number}"
    return sha256(said.encode(errors="surrogatepass")).hexdigest()[:32]


def _affordable(tariff: Tariff, given: int, most: int, overrun: Overrun) -> int | None:
    """So many tokens of output are still paid for; None where that is too few to ask at all."""
    left = overrun.cap.limit_micro - overrun.spent_micro - overrun.reserved_micro
    low, high = LEAST_OUTPUT, most
    if (tariff.at_most(given, low) or 0) > left or low > high:
        return None
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if (tariff.at_most(given, middle) or 0) <= left else (low, middle - 1)
    return low


def _narrowest(held: Mapping[str, int | None]) -> Cap:
    return min(
        (Cap(scope, limit) for scope, limit in held.items() if limit is not None), key=lambda cap: cap.limit_micro
    )


def _refused(bid: Bid, overrun: Overrun) -> BudgetExceeded:
    return BudgetExceeded(refusal(overrun, bid.card.name), overrun=overrun)
