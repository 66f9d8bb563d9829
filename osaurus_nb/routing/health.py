"""How providers and models have done lately, for everybody who asks them from this process. Remembers no question.

Results of real calls count at once; nobody is asked only to find out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from osaurus_nb.errors import OsaurusError, Resting
from osaurus_nb.models import BreakerStatus, ModelCard, SourceStatus
from osaurus_nb.ports import Clock, SystemClock
from osaurus_nb.resilience.backoff import Backoff
from osaurus_nb.resilience.breakers import Breakers, Condition, Permit, Refusal
from osaurus_nb.resilience.classify import Verdict
from osaurus_nb.resilience.deadline import Deadline
from osaurus_nb.resilience.outliers import Outliers
from osaurus_nb.resilience.repeats import Repeats
from osaurus_nb.resilience.retry_budget import RetryBudget
from osaurus_nb.routes import Label
from osaurus_nb.routing.learning import Learning

#: Seconds for which no question is sent to whom not even a list could be had from: until the next list is tried.
SPARE = 90.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How an answer came: whether a word was shown, seconds to the first token, tokens a second after it."""

    spoke: bool
    first_token: float | None = None
    speed: float | None = None


class Health:
    """One for each runtime. `chance` is from 0 to 1: it spreads repeats."""

    def __init__(self, clock: Clock | None = None, *, chance: Callable[[], float] = random.random) -> None:
        self.clock = clock or SystemClock()
        self._breakers = Breakers(self.clock)
        self._outliers = Outliers(self.clock)
        self.learning = Learning(self.clock)
        self._backoff = Backoff(chance)
        self._budgets: dict[str, RetryBudget] = {}

    def enter(self, card: ModelCard) -> Permit:
        """Leave to ask this model once. Raises Resting."""
        found = self._breakers.ask(card.provider, card.id)
        if isinstance(found, Refusal):
            raise _resting(found, card)
        return found

    def wait(self, card: ModelCard) -> float | None:
        """Seconds until this model may be asked; None: now."""
        return self._breakers.wait(card.provider, card.id)

    def began(self, card: ModelCard) -> None:
        """A question is asked there for the first time."""
        self._budget(card).asked()

    def ended(self, card: ModelCard, label: Label, pace: Pace) -> None:
        """It came to its end, if only to an empty one."""
        self._budget(card).worked()
        self._outliers.note(card.provider)
        self.learning.note(card, label, pace.spoke, pace.first_token, pace.speed)

    def failed(self, card: ModelCard, label: Label, verdict: Verdict) -> None:
        self._outliers.note(card.provider, verdict)
        if verdict.blame != "none":
            self.learning.note(card, label, ok=False)

    def again(
        self, card: ModelCard, verdict: Verdict, repeat: int, error: OsaurusError, *, deadline: Deadline, last: bool
    ) -> float | None:
        """Seconds until the same model is asked the `repeat`th time again; None: go on to the next."""
        repeats = Repeats(self._budget(card), self._backoff, deadline)
        return repeats.wait(verdict, repeat, self.clock.monotonic(), retry_after=error.retry_after, last=last)

    def ejected(self, providers: Sequence[str]) -> frozenset[str]:
        """Whom of these to ask last."""
        return self._outliers.ejected(providers)

    def rate(self, provider: str) -> float | None:
        """The share of its calls that worked lately; None where there were too few."""
        return self._outliers.rate(provider)

    def troubled(self) -> frozenset[str]:
        """The providers of whom one may have to wait for something."""
        return frozenset(condition.provider for condition in self._breakers.conditions())

    def conditions(self) -> Sequence[Condition]:
        """Every breaker that is open, or saw a failure lately."""
        return self._breakers.conditions()

    def standing(self, row: SourceStatus) -> SourceStatus:
        """The same row, with what was learnt from questions."""
        found = [each for each in self.conditions() if each.provider == row.provider]
        told = [BreakerStatus(each.state, each.wait, each.last, each.model) for each in found]
        breaker = next((each for each in told if each.model is None), BreakerStatus())
        resting = tuple(each for each in told if each.model is not None and each.state != "closed")
        return replace(row, breaker=breaker, resting=resting, success=self.rate(row.provider))

    def open(self, provider: str) -> bool:
        """Is nobody asked there, whatever the model?"""
        return self._breakers.wait(provider) is not None

    def heard(self, provider: str, there: bool) -> None:
        """Its list of models came, or nobody was there to give it."""
        self._breakers.heard(provider, there=there, spare=SPARE)

    def forget(self, provider: str) -> None:
        """It was changed, or the user says to try again."""
        self._breakers.forget(provider)
        self._budgets.pop(provider, None)

    def _budget(self, card: ModelCard) -> RetryBudget:
        return self._budgets.setdefault(card.provider, RetryBudget())


def _resting(refusal: Refusal, card: ModelCard) -> Resting:
    who = f"'{refusal.provider}'" if refusal.model is None else f"'{card.name}'"
    why = f" (the last fault: {refusal.last})" if refusal.last else ""
    when = f"in {refusal.wait:.0f} s" if refusal.wait >= 1 else "soon"
    return Resting(
        f"{who} failed too often{why}, so it is left alone and asked again {when}. "
        f"`%osaurus providers test {refusal.provider}` asks now.",
        provider=refusal.provider,
        model=card.id,
        retry_after=max(refusal.wait, 1.0),
    )
