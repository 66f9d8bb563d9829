"""Whether the same candidate is asked again, and after how many seconds. Pure: whoever asks does the waiting."""

from __future__ import annotations

from dataclasses import dataclass, field

from osaurus_nb.resilience.backoff import Backoff
from osaurus_nb.resilience.classify import Verdict
from osaurus_nb.resilience.deadline import Deadline
from osaurus_nb.resilience.retry_budget import RetryBudget

#: The longest wait that is sat out, with nobody else to ask and with somebody.
PATIENCE, HURRY = 20.0, 0.25


@dataclass(frozen=True, slots=True)
class Repeats:
    """The rule for one question at one provider."""

    budget: RetryBudget
    backoff: Backoff
    deadline: Deadline = field(default_factory=Deadline)

    def wait(
        self, verdict: Verdict, repeat: int, now: float, *, retry_after: float | None = None, last: bool
    ) -> float | None:
        """Seconds until the `repeat`th repeat (the first is 1), which is then paid for; None: go on to the next.

        `last`: there is nobody behind this candidate. A Retry-After that is too long is never sat out, nor cut short.
        """
        if verdict.kind != "retry" or repeat > verdict.retries:
            return None
        if retry_after is None and verdict.throttled and not last:
            return None  # nobody said that a short wait would help
        if retry_after is not None and retry_after > (PATIENCE if last else HURRY):
            return None
        wait = self.backoff.wait(repeat, throttled=verdict.throttled and last) + (retry_after or 0.0)
        return wait if self.deadline.fits(wait, now) and self.budget.take() else None
