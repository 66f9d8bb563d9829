"""How many repeats all questions together may have, so that ours never make an outage worse. Pure, no clock."""

from __future__ import annotations

COST = 14
REFILL = 1
#: Of two repeats: a lone question that fails may be sent three times. AWS begins with 35, which over a burst of a
#: hundred failing questions is a third more load.
CAPACITY = 2 * COST
#: What each question adds, whatever becomes of it: of the load, a tenth may be repeats.
SHARE = COST / 10


class RetryBudget:
    """A bucket of tokens that questions fill and repeats empty. One for each provider.

    However they end, n questions are sent at most n + 2 + n/10 times, and one more for every 14 that succeed. So all
    failing, 20 questions or more cause at most 1.2 times their number of requests.
    """

    def __init__(self) -> None:
        self._tokens = float(CAPACITY)

    @property
    def left(self) -> int:
        """So many repeats are there now."""
        return int(self._tokens // COST)

    def asked(self) -> None:
        """A question was sent for the first time."""
        self._add(SHARE)

    def take(self) -> bool:
        """May one be sent again? Then that is paid for."""
        if self._tokens < COST:
            return False
        self._tokens -= COST
        return True

    def worked(self) -> None:
        """One was answered."""
        self._add(REFILL)

    def _add(self, tokens: float) -> None:
        self._tokens = min(self._tokens + tokens, CAPACITY)
