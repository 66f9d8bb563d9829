"""Walks a plan: asks one candidate after the other until one answers, and says so on the stream.

The commit point is the first visible byte. Before it a failure costs nothing and the next candidate is asked;
after it a failure is told and nothing is ever spliced on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from osaurus_nb import money
from osaurus_nb.errors import EmptyAnswer, NoEligibleModel, OsaurusError, RequestError, StreamCut, TooSlow
from osaurus_nb.events import (
    AttemptFailed,
    AttemptStarted,
    Event,
    Failed,
    Finished,
    Substituted,
    UsageReported,
    Warned,
    is_token,
    is_visible,
)
from osaurus_nb.models import Charge
from osaurus_nb.ports import Attempt, Step, Timeouts
from osaurus_nb.request import ChatRequest
from osaurus_nb.routing.plan import Candidate, Plan
from osaurus_nb.routing.watchdog import Expired, Watchdog

#: Events held back before the commit point; a preamble longer than this is a failure, not an answer.
MAX_HELD = 10_000


async def run(plan: Plan, request: ChatRequest, step: Step, *, timeouts: Timeouts) -> AsyncGenerator[Event, None]:
    """The one stream of a step. It ends in `Finished` or in exactly one `Failed`; closing it stops the work."""
    if not plan.candidates:
        yield Failed(NoEligibleModel(f"No model can answer for '{plan.asked}'."))
        return
    ends = asyncio.get_running_loop().time() + request.route.deadline if request.route.deadline is not None else None
    for number, candidate in enumerate(plan.candidates, start=1):
        card, last = candidate.card, number == len(plan.candidates)
        gate = _Gate(candidate, hold=not last, opening=_opening(plan, candidate, number))
        yield AttemptStarted(number, card.provider, card.name)
        try:
            attempt = _attempt(candidate, request, step, number, timeouts)
            asked = request
            if step.sent is not None and attempt.sent is None:
                asked = step.sent.read()
                for noticed in asked.warnings:
                    _refuse_warning(noticed, asked)
                    for ready in gate.admit(noticed):
                        yield ready
            async with aclosing(_watched(candidate, asked, attempt, ends)) as stream:
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


async def _watched(
    candidate: Candidate, request: ChatRequest, attempt: Attempt, ends: float | None
) -> AsyncGenerator[Event, None]:
    """The adapter's events, each awaited under the deadlines."""
    card = candidate.card
    dog = Watchdog(attempt.timeouts, ends=ends)
    try:
        async with aclosing(candidate.adapter.stream(request, card, attempt)) as stream:
            while True:
                event = await dog.next(stream)
                if is_token(event):
                    dog.saw_token()
                yield event
    except StopAsyncIteration:
        return
    except Expired as exc:
        raise TooSlow(f"'{card.name}' was too slow: {exc}.", provider=card.provider, model=card.id) from None
    finally:
        dog.stop()


def _refuse_warning(event: Event, request: ChatRequest) -> None:
    """Under `strict_params` a parameter that would be left out is an error; adapters warn before they send."""
    if request.route.strict_params and isinstance(event, Warned) and event.param is not None:
        raise RequestError(
            f"{event.message} Leave it out, or allow it by taking strict_params away.", param=event.param
        )


def _opening(plan: Plan, candidate: Candidate, number: int) -> Sequence[Event]:
    """What is said before the first word of a candidate that is not the one asked for."""
    return (Substituted(plan.asked, candidate.card.name, "the model asked for failed"),) if number > 1 else ()


class _Gate:
    """Holds a candidate's events back until it commits. With nobody behind it, it lets all pass at once."""

    def __init__(self, candidate: Candidate, *, hold: bool, opening: Sequence[Event]) -> None:
        self.committed = False
        self._card = candidate.card
        self._hold = hold
        self._charge: Charge | None = None
        self._before: list[Event] = list(opening)

    def admit(self, event: Event) -> Sequence[Event]:
        """The events that may be shown now that this one came."""
        if self.committed:
            return (event,)
        self.committed = is_visible(event)
        if isinstance(event, UsageReported):
            self._charge = event.charge
        if isinstance(event, Finished) and not self._hold:
            self._before.append(_empty_notice(event, self._charge))
        self._before.append(event)
        if self._hold and not self.committed:
            if len(self._before) > MAX_HELD:
                raise self._empty("it reasons without end")
            return ()
        ready, self._before = self._before, []
        return ready

    def finish(self) -> None:
        """The candidate ended by itself. Raises EmptyAnswer if it said nothing and another may be asked."""
        if not self.committed and self._hold:
            raise self._empty("it finished without a word")

    def _empty(self, why: str) -> EmptyAnswer:
        said = f"'{self._card.name}' gave no answer: {why}.{_paid(self._charge)}"
        error = EmptyAnswer(said, provider=self._card.provider)
        error.charge = self._charge
        return error


_WHY_EMPTY = {
    "length": "the token limit was used up before a word was shown; raise max_tokens",
    "content_filter": "the provider's filter withheld it",
    "stop": "it stopped at once",
}


def _empty_notice(event: Finished, charge: Charge | None) -> Warned:
    why = _WHY_EMPTY.get(event.finish_reason, "it gave no reason")
    return Warned("empty_answer", f"The model returned no visible text: {why}.{_paid(charge)}")


def _paid(charge: Charge | None) -> str:
    return f" {money.charged(charge)}" if charge is not None else ""
