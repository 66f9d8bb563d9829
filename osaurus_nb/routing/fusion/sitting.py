"""Asks a panel side by side: each panelist in a step of its own. Stops when enough agree; who is late is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from osaurus_nb.errors import EmptyAnswer, OsaurusError, TooSlow
from osaurus_nb.events import Answer, Event, Failed, Fold
from osaurus_nb.ports import Meter, Step
from osaurus_nb.request import ChatRequest
from osaurus_nb.routes import Panelist, PanelOutcome
from osaurus_nb.routing.fusion import agreement
from osaurus_nb.routing.fusion.purse import Purse
from osaurus_nb.routing.plan import Candidate, Plan

#: Asks the models of a plan: the engine, with all that the runtime gives it but who meters.
Walk = Callable[[Plan, ChatRequest, Step, Meter], AsyncGenerator[Event, None]]


@dataclass(slots=True)
class Sitter:
    """One panelist: what it is asked, and what became of it so far."""

    plan: Plan
    request: ChatRequest
    step: Step
    outcome: PanelOutcome = "cancelled"
    error: OsaurusError | None = None
    seconds: float | None = None
    _fold: Fold = field(default_factory=Fold)

    @property
    def candidate(self) -> Candidate:
        return self.plan.candidates[0]

    @property
    def name(self) -> str:
        return self.candidate.card.name

    @property
    def answered(self) -> bool:
        return self.outcome == "answered"

    @property
    def answer(self) -> Answer:
        """What there is of it."""
        return self._fold.answer()

    async def sit(self, walk: Walk, purse: Purse, now: Callable[[], float]) -> None:
        """Ask it. However that ends, it is noted here; nothing is raised for a fault of its own."""
        began = now()
        try:
            async with aclosing(walk(self.plan, self.request, self.step, purse)) as events:
                async for event in events:
                    self._fold.add(event)
                    if isinstance(event, Failed):
                        self.error = event.error
        finally:
            self.seconds = now() - began
        if self.error is None and not self.answer.text.strip():
            self.error = EmptyAnswer(f"'{self.name}' said nothing.", provider=self.candidate.card.provider)
        self.outcome = "answered" if self.error is None else "late" if isinstance(self.error, TooSlow) else "failed"


@dataclass(slots=True)
class Sitting:
    """The panel, all of it. `early`: enough agreed before the rest was done."""

    sitters: Sequence[Sitter]
    at_least: int
    early: bool = False

    @property
    def answered(self) -> Sequence[Sitter]:
        return [one for one in self.sitters if one.answered]

    async def hold(self, walk: Walk, purse: Purse, now: Callable[[], float]) -> None:
        """Until all are done or enough agree. All calls are over and accounted for when it returns, or is left."""
        tasks = {asyncio.create_task(one.sit(walk, purse, now), name=f"panelist {one.step.id}") for one in self.sitters}
        waiting = tasks
        try:
            while waiting and not self.early:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # an error here is a fault of ours
                self.early = bool(waiting) and self._agree()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def panelists(self, purse: Purse) -> tuple[Panelist, ...]:
        """What became of each, best seat first."""
        answered = self.answered
        agreed = agreement.agreements([one.answer.text for one in answered])
        said = {id(one): share for one, share in zip(answered, agreed, strict=True)}
        return tuple(_panelist(one, said.get(id(one)), purse) for one in self.sitters)

    def best(self) -> Sitter:
        """Who says most of what all say; among equals who has the better seat."""
        agreed = agreement.agreements([one.answer.text for one in self.answered])
        return max(zip(self.answered, agreed, strict=True), key=lambda each: each[1] or 0.0)[0]

    def _agree(self) -> bool:
        texts = [one.answer.text for one in self.answered]
        return agreement.enough(texts, panel=len(self.sitters), at_least=self.at_least)


def _panelist(one: Sitter, agreed: float | None, purse: Purse) -> Panelist:
    cost, answer, card = purse.of(one.step.id), one.answer, one.candidate.card
    return Panelist(
        model=card.name,
        provider=card.provider,
        outcome=one.outcome,
        text=answer.text if one.answered else "",
        agreement=agreed,
        cost_micro=cost.micro if cost is not None else None,
        usage=answer.usage,
        seconds=one.seconds,
        error=one.error.code if one.error is not None else None,
    )
