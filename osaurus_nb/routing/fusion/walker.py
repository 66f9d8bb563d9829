"""Walks a fusion: the panel, the judge's findings, and the one answer, streamed. Each is a walk of the engine's own.

What goes wrong costs as little as it can. A panel with too few answers gives the one there is; findings that cannot be
read are left out; a judge that fails is replaced once, and then by the answer that agrees most with the others. Each of
these is said in a warning. Usage and cost are of all calls together.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from osaurus_nb.errors import NobodyAnswered, OsaurusError
from osaurus_nb.events import (
    AttemptFailed,
    AttemptStarted,
    CostReported,
    Event,
    Failed,
    Finished,
    Fold,
    PanelReported,
    PartEnded,
    Started,
    TextDelta,
    UsageReported,
    Warned,
    is_token,
    is_visible,
)
from osaurus_nb.models import Usage
from osaurus_nb.ports import Meter, Step
from osaurus_nb.request import ChatRequest, RouteOptions
from osaurus_nb.routes import Analysis, Fusion, Panel
from osaurus_nb.routing.fusion import brief, panel
from osaurus_nb.routing.fusion.panel import LEAST, Seats
from osaurus_nb.routing.fusion.purse import Purse
from osaurus_nb.routing.fusion.sitting import Sitter, Sitting, Walk
from osaurus_nb.routing.plan import Candidate, Plan

#: Models that are asked to judge, one after the other.
_JUDGES = 2


@dataclass(frozen=True, slots=True)
class Matter:
    """What is to be fused: the whole question, its step, who sits where, and what is left under the caps that hold.

    `plan` is the ordinary one, for where there is no panel.
    """

    request: ChatRequest
    step: Step
    fusion: Fusion
    seats: Seats
    plan: Plan
    left_micro: int | None = None


async def run(matter: Matter, walk: Walk, meter: Meter, now: Callable[[], float]) -> AsyncGenerator[Event, None]:
    """The one stream of a step, as the engine's: it ends in `Finished` or in one `Failed`; closing it stops all."""
    fusing = _Fusing(matter, walk, Purse(meter), now)
    if len(matter.seats.panel) < LEAST:
        yield Warned("fusion_single", "There is no second model that may answer this, so one answers by itself.")
        stream = fusing.plainly((*fusing.named(), *matter.plan.candidates))
    else:
        stream = fusing.panel_then_judge()
    async with aclosing(stream) as events:
        async for event in events:
            yield event


@dataclass(slots=True)
class _Fusing:
    matter: Matter
    walk: Walk
    purse: Purse
    now: Callable[[], float]
    #: Of all calls but the one that is streamed.
    used: list[Usage | None] = field(default_factory=list)
    attempts: int = 0
    #: Of that one.
    streamed: Usage | None = None

    async def panel_then_judge(self) -> AsyncGenerator[Event, None]:
        sitting = self._seated()
        for started in self._started(sitting):
            yield started
        await sitting.hold(self.walk, self.purse, self.now)
        for at, one in enumerate(sitting.sitters):
            self.used.append(one.answer.usage)
            if one.error is not None:
                yield AttemptFailed(at + 1, one.candidate.card.provider, one.name, one.error)
        after = self._judged(sitting) if len(sitting.answered) >= sitting.at_least else self._single(sitting)
        async with aclosing(after) as events:
            async for event in events:
                yield event

    def named(self) -> Sequence[Candidate]:
        """The model that the caller asked for, where it was to judge: without a panel it is the first to answer."""
        matter = self.matter
        return matter.seats.judges[:1] if matter.fusion.judge == matter.request.model else ()

    async def plainly(self, candidates: Sequence[Candidate]) -> AsyncGenerator[Event, None]:
        """The ordinary walk: the first that can answers by itself, with all that the caller offers."""
        matter = self.matter
        able = {each.card.name: each for each in candidates if not panel.is_fusion(each.card.id)}
        plan = replace(matter.plan, candidates=tuple(able.values()))
        route = replace(matter.request.route, fusion=None, deadline=self._left())
        async with aclosing(self._walked(plan, replace(matter.request, route=route), matter.step)) as events:
            async for event in events:
                yield event

    async def _judged(self, sitting: Sitting) -> AsyncGenerator[Event, None]:
        """The findings, and then the answer by the judge, another one, or the panel itself."""
        pairs = [(one.name, one.answer.text) for one in sitting.answered]
        answers = panel.shuffled(pairs, self.matter.step.id)
        judges = self._judges(sitting)
        found = await self._found(answers, judges)
        if found is None:
            yield Warned("fusion_unanalysed", "The judge gave no findings that can be read; it answers without them.")
        yield PanelReported(Panel(sitting.panelists(self.purse), found, judges[0].card.name, sitting.early))
        asked = brief.answer(self.matter.request, answers, found)
        asked = replace(asked, route=self._route(self._left()))
        committed, last = False, -1
        plan = replace(self.matter.plan, candidates=judges)
        step = replace(panel.seat(self.matter.step, "answer", most=None), id=self.matter.step.id)
        step = replace(step, terms=replace(step.terms, whole=self.matter.step.terms.whole))
        async with aclosing(self._walked(plan, asked, step)) as events:
            async for event in events:
                committed = committed or is_visible(event)
                if isinstance(event, Failed | Finished) and not committed:
                    break
                if isinstance(event, Warned) and event.code == "empty_answer":
                    continue
                last = max(last, getattr(event, "index", -1)) if is_token(event) else last
                yield event
            else:
                return
        yield Warned("fusion_unjudged", "No judge answered: this is the answer that agrees most with the others.")
        for event in self._alone(sitting.best(), index=last + 1):
            yield event

    async def _single(self, sitting: Sitting) -> AsyncGenerator[Event, None]:
        """Too few answered: what there is, or else who was not asked yet."""
        yield PanelReported(Panel(sitting.panelists(self.purse)))
        seats, answered = self.matter.seats, sitting.answered
        count = f"{len(answered)} of {len(sitting.sitters)} models answered"
        if answered and not self.matter.request.tools:
            best = sitting.best()
            yield Warned("fusion_single", f"Only {count}: this is the answer of '{best.name}' alone.")
            for event in self._alone(best):
                yield event
            return
        others = (*self.named(), *(one.candidate for one in answered), *seats.spare, *self.matter.plan.candidates)
        failed = {one.name for one in sitting.sitters if one.error is not None}
        able = {each.card.name: each for each in others if each.card.name not in failed}
        if not able:
            yield Failed(_nobody(sitting))
            return
        yield Warned("fusion_single", f"Only {count}, so one answers by itself.")
        async with aclosing(self.plainly(tuple(able.values()))) as events:
            async for event in events:
                yield event

    async def _found(self, answers: Sequence[str], judges: Sequence[Candidate]) -> Analysis | None:
        """What the judge finds in the answers; it may mend its findings once."""
        shaped = all(judge.card.capabilities.json_schema for judge in judges)
        asked = brief.findings(self.matter.request, answers, shaped=shaped, capped=self._share() is not None)
        for mark in ("findings", "mended"):
            wait = panel.patience(self.matter.fusion, self._left())
            said = await self._said(replace(asked, route=self._route(wait)), judges, mark)
            if said is None:
                return None
            if (found := brief.read(said)) is not None:
                return found
            asked = brief.mended(asked, said)
        return None

    async def _said(self, asked: ChatRequest, judges: Sequence[Candidate], mark: str) -> str | None:
        fold = Fold()
        plan = replace(self.matter.plan, candidates=tuple(judges))
        step = panel.seat(self.matter.step, mark, most=self._share())
        async with aclosing(self.walk(plan, asked, step, self.purse)) as events:
            async for event in events:
                fold.add(event)
        answer = fold.answer()
        self.used.append(answer.usage)
        return answer.text if answer.error is None else None

    async def _walked(self, plan: Plan, asked: ChatRequest, step: Step) -> AsyncGenerator[Event, None]:
        """A walk that the caller sees: its numbers follow ours, and its usage and its cost are those of all."""
        reported, before = False, self.attempts
        async with aclosing(self.walk(plan, asked, step, self.purse)) as events:
            async for event in events:
                match event:
                    case AttemptStarted() | AttemptFailed():
                        self.attempts = before + event.number
                        yield replace(event, number=self.attempts)
                    case UsageReported(usage=usage):
                        reported, self.streamed = True, usage
                        yield UsageReported(self._usage(usage), event.charge if not self.used else None)
                    case CostReported():
                        yield CostReported(self.purse.whole() or event.cost)
                    case Finished() if not reported and self.used:
                        reported = True
                        yield UsageReported(self._usage(None))
                        yield event
                    case _:
                        yield event

    def _alone(self, one: Sitter, index: int = 0) -> Sequence[Event]:
        """A panelist's answer as the answer."""
        answer, card, cost = one.answer, one.candidate.card, self.purse.whole()
        self.attempts += 1
        return [
            AttemptStarted(self.attempts, card.provider, card.name),
            Started(answer.provider, answer.model, answer.id),
            TextDelta(answer.text, index),
            PartEnded(index),
            UsageReported(self._usage(self.streamed or Usage())),
            *([CostReported(cost)] if cost is not None else []),
            Finished(answer.finish_reason),
        ]

    def _seated(self) -> Sitting:
        matter, seated = self.matter, self.matter.seats.panel
        wait, most = panel.patience(matter.fusion, self._left()), self._share()
        sitters = [
            Sitter(
                replace(matter.plan, candidates=(each,)),
                panel.question(matter.request, each, wait),
                panel.seat(matter.step, f"p{at}", most=most),
            )
            for at, each in enumerate(seated, 1)
        ]
        return Sitting(sitters, min(max(matter.fusion.at_least, LEAST), len(seated)))

    def _started(self, sitting: Sitting) -> Sequence[Event]:
        self.attempts = len(sitting.sitters)
        cards = enumerate((one.candidate.card for one in sitting.sitters), 1)
        return [AttemptStarted(at, card.provider, card.name) for at, card in cards]

    def _judges(self, sitting: Sitting) -> tuple[Candidate, ...]:
        """The best that did not just fail, and the one after it."""
        failed = {one.name for one in sitting.sitters if one.error is not None}
        able = [each for each in self.matter.seats.judges if each.card.name not in failed]
        return tuple((able or list(self.matter.seats.judges))[:_JUDGES])

    def _route(self, deadline: float | None) -> RouteOptions:
        return replace(self.matter.request.route, fusion=None, fallbacks=(), deadline=deadline)

    def _left(self) -> float | None:
        """Seconds of the question's own deadline."""
        deadline = self.matter.request.route.deadline
        return None if deadline is None else max(deadline - (self.now() - self.matter.step.started), 0.0)

    def _share(self) -> int | None:
        limits = (self.matter.request.route.max_cost_micro, self.matter.left_micro)
        return panel.share(limits, len(self.matter.seats.panel))

    def _usage(self, last: Usage | None) -> Usage:
        """Of all calls; an estimate where one did not tell."""
        told = [usage for usage in (*self.used, last) if usage is not None]
        total = sum(told, start=Usage())
        return total if len(told) == len(self.used) + 1 else replace(total, estimated=True)


def _nobody(sitting: Sitting) -> OsaurusError:
    causes = [one.error for one in sitting.sitters if one.error is not None]
    said = " ".join(f"{one.name}: {str(one.error).rstrip('.')}." for one in sitting.sitters if one.error is not None)
    waits = [cause.retry_after for cause in causes if cause.retry_after is not None]
    return NobodyAnswered(f"No model can answer now. {said}", causes=causes, retry_after=min(waits) if waits else None)
