"""Decides by chat: each question is asked by itself, a few at a time, within one deadline.

First by the probabilities of the answer's first token. A model that tells none is held to a label; its pick is then
all that is known, and that is said in the answer and as a warning.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Container, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from osaurus_nb.decisions import DecisionRequest, Decisions, Question, Verdict
from osaurus_nb.errors import Refused, TooSlow, Unsupported
from osaurus_nb.events import Answer, Event, Failed, Fold, Warned
from osaurus_nb.messages import Text
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.ports import Step, Timeouts
from osaurus_nb.request import ChatRequest
from osaurus_nb.routing import ballot
from osaurus_nb.routing.plan import Candidate, Plan, chain
from osaurus_nb.spending import Cost
from osaurus_nb.wire._opaque import AS_SENT

#: Questions under way at one time.
WIDTH = 8
#: A share of the probability below this went elsewhere by rounding.
_NOTICEABLE = 0.01
#: Parameters without which a way makes no sense.
_NEEDED: Mapping[ballot.Way, frozenset[str]] = MappingProxyType({"weigh": frozenset({"logprobs", "top_logprobs"})})


#: Asks the models of a plan: the engine, with all that the runtime gives it.
Walk = Callable[[Plan, ChatRequest, Step], AsyncGenerator[Event, None]]


async def decide(
    request: DecisionRequest, candidate: Candidate, step: Step, walk: Walk, *, timeouts: Timeouts
) -> Decisions:
    """One verdict for each question. The first fault ends it all; a refusal is a verdict and ends nothing."""
    card = candidate.card
    asking = _Asking(request, candidate, step, walk)
    try:
        async with asyncio.timeout(timeouts.total):
            polls = await _gather([asking.poll(question) for question in request.questions])
    except TimeoutError:
        late = f"'{card.name}' did not answer all questions within {timeouts.total:g} seconds."
        raise TooSlow(late, provider=card.provider, model=card.id) from None
    answers = [answer for poll in polls for answer in poll.answers]
    return Decisions(
        provider=card.provider,
        model=next((answer.model for answer in answers if answer.model), card.id),
        verdicts=tuple(poll.verdict for poll in polls),
        usage=_sum(answers),
        warnings=(*_told(request), *_found(polls, card), *_kept(answers)),
        cost=_paid(answers),
    )


def texts(request: DecisionRequest) -> Sequence[str]:
    """All that is read when these questions are answered, for an estimate of its size."""
    subject = "".join(part.text for part in request.subject if isinstance(part, Text))
    return [subject + question.instructions for question in request.questions]


@dataclass(frozen=True, slots=True)
class _Poll:
    """What became of one question, and every answer that it cost."""

    verdict: Verdict
    answers: Sequence[Answer]
    elsewhere: float = 0.0


@dataclass(slots=True)
class _Asking:
    """One request's questions on their way."""

    request: DecisionRequest
    candidate: Candidate
    step: Step
    walk: Walk
    asked: int = 0
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(WIDTH))
    unable: set[ballot.Way] = field(default_factory=set)

    async def poll(self, question: Question) -> _Poll:
        async with self.gate:
            return await self._poll(question)

    async def _poll(self, question: Question) -> _Poll:
        """One way after the other until one of them tells; where the question is at fault, the last one shows it."""
        ways = [way for way in ballot.ways(question) if way not in self.unable]
        answers: list[Answer] = []
        tried: list[ballot.Way] = []
        for way in ways:
            answer = await self._ask(question, way, last=way == ways[-1])
            if answer is None:
                tried.append(way)
                continue
            answers.append(answer)
            self.unable.update(tried)  # it was not the question's fault
            if (reading := ballot.read(question, answer, way)) is not None:
                return _Poll(reading.verdict, answers, reading.elsewhere)
        raise AssertionError  # the last way is always read

    async def _ask(self, question: Question, way: ballot.Way, *, last: bool) -> Answer | None:
        """The whole answer; None where the dialect or the provider cannot do it this way."""
        try:
            return await self._chat(ballot.ask(self.request, question, way), needed=_NEEDED.get(way, frozenset()))
        except (Unsupported, Refused):
            if last:
                raise
            return None

    async def _chat(self, request: ChatRequest, *, needed: Container[str | None]) -> Answer | None:
        """The whole answer; None, and nothing sent, where the dialect leaves out a parameter that is needed."""
        fold = Fold()
        self.asked += 1
        step = replace(self.step, id=f"{self.step.id}-{self.asked}")  # each is a call of its own, and paid as one
        plan = chain(self.candidate.card.name, [self.candidate])
        async with aclosing(self.walk(plan, request, step)) as events:
            async for event in events:
                if isinstance(event, Warned) and event.param in needed:
                    return None
                if isinstance(event, Failed):
                    raise event.error
                fold.add(event)
        return fold.answer()


async def _gather(polls: Iterable[Coroutine[Any, Any, _Poll]]) -> Sequence[_Poll]:
    """All of them, in order. The first fault stops the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(poll) for poll in polls]
    except BaseExceptionGroup as faults:
        raise faults.exceptions[0] from None
    return [task.result() for task in tasks]


def _told(request: DecisionRequest) -> Iterator[Warned]:
    """Knobs of the caller's dialect that a chat does not have."""
    for fields in (request.provider_metadata or {}).values():
        for key in sorted(set(fields) - {AS_SENT}):
            yield Warned("parameter_dropped", f"A decision by chat has no '{key}'.", key)


def _found(polls: Sequence[_Poll], card: ModelCard) -> Iterator[Warned]:
    """What must be known of the verdicts as they are."""
    bare = sum(not poll.verdict.calibrated for poll in polls)
    if bare:
        said = f"'{card.name}' told no probabilities for {bare} of {len(polls)} questions: only its picks are known."
        yield Warned("uncalibrated", said, "questions")
    for at, poll in enumerate(polls):
        if poll.elsewhere > _NOTICEABLE:
            said = f"{poll.elsewhere:.0%} of the probability went to none of the options; the rest was scaled to 1."
            yield Warned("probability_elsewhere", said, f"questions[{at}]")


def _kept(answers: Iterable[Answer]) -> Iterator[Warned]:
    """What the answers warned of, once each, without what we ourselves had asked for."""
    warnings = (warning for answer in answers for warning in answer.warnings)
    yield from dict.fromkeys(w for w in warnings if w.param not in ballot.OURS and w.code != "empty_answer")


def _paid(answers: Sequence[Answer]) -> Cost | None:
    """What all answers cost together; None where nobody meters."""
    told = [answer.cost for answer in answers if answer.cost is not None]
    return sum(told[1:], start=told[0]) if told else None


def _sum(answers: Sequence[Answer]) -> Usage | None:
    """What all answers used together; estimated where one of them did not tell."""
    told = [answer.usage for answer in answers if answer.usage is not None]
    if not told:
        return None
    total = sum(told, start=Usage())
    return total if len(told) == len(answers) else replace(total, estimated=True)
