"""Walks a plan: asks one candidate after the other until one answers, and says so on the stream.

The commit point is the first visible byte. Before it a failure costs nothing and the next candidate is asked;
after it a failure is told and nothing is ever spliced on. Each candidate is metered while it is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from osaurus_nb.errors import Cancelled, NoEligibleModel, OsaurusError, RequestError, StreamCut, TooSlow
from osaurus_nb.events import (
    AttemptFailed,
    AttemptStarted,
    CostReported,
    Event,
    Failed,
    Finished,
    Substituted,
    Warned,
    is_token,
)
from osaurus_nb.ports import Account, Attempt, Bid, Meter, Step, Timeouts
from osaurus_nb.request import ChatRequest
from osaurus_nb.routing.gate import Gate
from osaurus_nb.routing.metering import UNMETERED
from osaurus_nb.routing.plan import Candidate, Plan
from osaurus_nb.routing.tokens import estimate
from osaurus_nb.routing.watchdog import Expired, Watchdog
from osaurus_nb.spending import Cost


async def run(
    plan: Plan, request: ChatRequest, step: Step, *, timeouts: Timeouts, meter: Meter = UNMETERED
) -> AsyncGenerator[Event, None]:
    """The one stream of a step. It ends in `Finished` or in exactly one `Failed`; closing it stops the work."""
    if not plan.candidates:
        yield Failed(NoEligibleModel(f"No model can answer for '{plan.asked}'."))
        return
    walk = _Walk(request, step, timeouts, meter)
    for number, candidate in enumerate(plan.candidates, start=1):
        card, last = candidate.card, number == len(plan.candidates)
        gate = Gate(candidate.card, hold=not last, opening=_opening(plan, candidate, number))
        yield AttemptStarted(number, card.provider, card.name)
        try:
            async with aclosing(walk.ask(candidate, number)) as stream:
                async for event in stream:
                    _refuse_warning(event, request)
                    for ready in gate.admit(event):
                        yield ready
            gate.finish()
            return
        except OsaurusError as error:
            yield AttemptFailed(number, card.provider, card.name, error)
            if gate.committed:
                yield Failed(StreamCut(f"'{card.name}' broke off in the middle of its answer. {error}", cause=error))
                return
            if last or not error.failover:
                yield Failed(error)
                return


@dataclass(slots=True)
class _Walk:
    """What all attempts of one step share."""

    request: ChatRequest
    step: Step
    timeouts: Timeouts
    meter: Meter
    ends: float | None = None
    accounts: list[Account] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.request.route.deadline is not None:
            self.ends = asyncio.get_running_loop().time() + self.request.route.deadline

    async def ask(self, candidate: Candidate, number: int) -> AsyncGenerator[Event, None]:
        """One candidate's events, each awaited under the deadlines and metered; what the step cost before its end."""
        asked, attempt = self.request, _attempt(candidate, self.request, self.step, number, self.timeouts)
        if self.step.sent is not None and attempt.sent is None:
            asked = self.step.sent.read()
            for warning in asked.warnings:
                yield warning
        account = await self.meter.open(self._bid(candidate, number))
        self.accounts.append(account)
        dog = Watchdog(attempt.timeouts, ends=self.ends)
        fault: OsaurusError | None = Cancelled("The caller stopped it.")
        told: Cost | None = None
        try:
            if account.room is not None:
                asked, attempt = self._narrowed(asked, account.room), replace(attempt, sent=None)
                yield _narrow(account.room)
            async with aclosing(candidate.adapter.stream(asked, candidate.card, attempt)) as stream:
                while True:
                    event = await dog.next(stream)
                    if is_token(event):
                        dog.saw_token()
                    account.saw(event)
                    if isinstance(event, Finished) and not told and (told := self._cost()) is not None:
                        yield CostReported(told)
                    yield event
        except StopAsyncIteration:
            fault = None
        except Expired as exc:
            card = candidate.card
            fault = TooSlow(f"'{card.name}' was too slow: {exc}.", provider=card.provider, model=card.id)
            raise fault from None
        except OsaurusError as exc:
            fault = exc
            raise
        finally:
            dog.stop()
            account.close(fault)

    def _bid(self, candidate: Candidate, number: int) -> Bid:
        def size() -> tuple[int, int | None]:
            whole = self._whole(self.request)
            limit = whole.sampling.max_output_tokens
            return estimate(whole).input_tokens, limit * whole.sampling.n if limit is not None else None

        route = self.request.route
        return Bid(self.step, number, candidate.card, candidate.adapter, size, route.profile, route.max_cost_micro)

    def _cost(self) -> Cost | None:
        """Of all that was asked so far."""
        costs = [cost for account in self.accounts if (cost := account.cost()) is not None]
        return sum(costs[1:], start=costs[0]) if costs else None

    def _whole(self, asked: ChatRequest) -> ChatRequest:
        return asked if asked.messages or self.step.sent is None else self.step.sent.read()

    def _narrowed(self, asked: ChatRequest, room: int) -> ChatRequest:
        whole = self._whole(asked)
        return replace(whole, sampling=replace(whole.sampling, max_output_tokens=max(room // whole.sampling.n, 1)))


def _narrow(room: int) -> Warned:
    return Warned(
        "budget_limits_output", f"A budget holds and no max_tokens was given: it leaves {room} tokens of output."
    )


def _attempt(candidate: Candidate, request: ChatRequest, step: Step, number: int, timeouts: Timeouts) -> Attempt:
    """An adapter of the caller's own dialect gets his own words; one that is known to be slow gets more time."""
    sent = step.sent
    if (patience := getattr(candidate.adapter, "patience", None)) is not None:
        timeouts = patience(timeouts)
    if sent is None or getattr(candidate.adapter, "dialect", None) != sent.dialect:
        return Attempt(step, number, timeouts, step.terms.idempotency_key)
    if not request.delivery.stream:
        timeouts = replace(timeouts, first_token=None)  # it comes in one piece: the first token with the last
    return Attempt(step, number, timeouts, step.terms.idempotency_key, sent)


def _refuse_warning(event: Event, request: ChatRequest) -> None:
    """Under `strict_params` a parameter that would be left out is an error; adapters warn before they send."""
    if request.route.strict_params and isinstance(event, Warned) and event.param is not None:
        raise RequestError(
            f"{event.message} Leave it out, or allow it by taking strict_params away.", param=event.param
        )


def _opening(plan: Plan, candidate: Candidate, number: int) -> Sequence[Event]:
    """What is said before the first word of a candidate that is not the one asked for."""
    return (Substituted(plan.asked, candidate.card.name, "the model asked for failed"),) if number > 1 else ()
