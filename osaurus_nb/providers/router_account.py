"""The account behind an identity: what is left, what a call would cost, what was spent, and where to pay."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from urllib.parse import urlencode

from osaurus_nb.errors import BelowMinimumTopUp, CredentialRejected, ProviderError
from osaurus_nb.models import ROUTER
from osaurus_nb.ports import Clock
from osaurus_nb.providers.router_calls import SignedCalls
from osaurus_nb.wire import osaurus_router as wire
from osaurus_nb.wire.osaurus_router import faults

#: Seconds for which a balance is believed.
BALANCE_TTL = 30.0
#: Rows on one page.
PAGE = 50


class RouterAccount:
    """Signs as one identity. All amounts are micro-dollars; `osaurus_nb.money` shows them."""

    def __init__(self, calls: SignedCalls, clock: Clock) -> None:
        self._calls = calls
        self._clock = clock
        self._lock = asyncio.Lock()
        self._known: tuple[float, wire.Balance] | None = None

    @property
    def address(self) -> str:
        return self._calls.address

    async def balance(self, *, refresh: bool = False) -> wire.Balance:
        """What is left, at most 30 s old; the last known one, marked `stale`, while the Router cannot be reached."""
        async with self._lock:
            if self._known is not None and not refresh and self._age() < BALANCE_TTL:
                return self._known[1]
            try:
                balance = wire.read_balance(await self._calls.ask("GET", "/credits/balance"), ROUTER)
            except CredentialRejected:  # no matter of reaching it: what was known is not ours to show any more
                raise
            except ProviderError:
                if self._known is None:
                    raise
                return replace(self._known[1], stale=True)
            self._known = (self._clock.monotonic(), balance)
            return balance

    async def estimate(self, model: str, *, input_tokens: int, max_tokens: int) -> wire.Estimate:
        """What a call would cost, before it is made. `model` is the Router's own id, without `osaurus/`."""
        body = {"model": model, "input_tokens": input_tokens, "max_tokens": max_tokens}
        return wire.read_estimate(await self._calls.ask("POST", "/credits/estimate", body), ROUTER)

    async def checkout(self, amount_micro: int) -> wire.Checkout:
        """Where to pay this amount in. Raises BelowMinimumTopUp under $5.00."""
        if amount_micro < wire.MINIMUM_TOP_UP:
            raise BelowMinimumTopUp(faults.MINIMUM, provider=ROUTER, param="amount_micro")
        body = {"amount_micro": str(amount_micro)}
        return wire.read_checkout(await self._calls.ask("POST", "/credits/checkout", body), ROUTER)

    async def usage(self, *, limit: int = PAGE, cursor: str | None = None) -> wire.Page[wire.UsageRow]:
        """The calls that were made, newest first."""
        return wire.read_usage(await self._calls.ask("GET", _page("/credits/usage", limit, cursor)), ROUTER)

    async def transactions(self, *, limit: int = PAGE, cursor: str | None = None) -> wire.Page[wire.Transaction]:
        """What went in and out, newest first."""
        target = _page("/credits/transactions", limit, cursor)
        return wire.read_transactions(await self._calls.ask("GET", target), ROUTER)

    async def healthy(self) -> bool:
        """Is the Router there at all?"""
        return await self._calls.healthy()

    def _age(self) -> float:
        assert self._known is not None
        return self._clock.monotonic() - self._known[0]


def _page(path: str, limit: int, cursor: str | None) -> str:
    asked = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
    return f"{path}?{urlencode(asked)}"
