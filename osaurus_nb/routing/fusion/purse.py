"""What all calls of one question cost together: a meter that hands on to the real one and remembers the accounts."""

from __future__ import annotations

from osaurus_nb.ports import Account, Bid, Meter
from osaurus_nb.spending import Cost


class Purse:
    """Of one question. A call's cost can be asked for as soon as its account is closed, however it ended."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._accounts: dict[str, list[Account]] = {}

    async def open(self, bid: Bid, /) -> Account:
        account = await self._meter.open(bid)
        self._accounts.setdefault(bid.step.id, []).append(account)
        return account

    def of(self, step: str) -> Cost | None:
        """What one step cost so far; None where nobody meters."""
        return _sum(self._accounts.get(step, ()))

    def whole(self) -> Cost | None:
        """What all of them cost so far."""
        return _sum([account for accounts in self._accounts.values() for account in accounts])


def _sum(accounts: list[Account] | tuple[()]) -> Cost | None:
    costs = [cost for account in accounts if (cost := account.cost()) is not None]
    return sum(costs[1:], start=costs[0]) if costs else None
