"""One attempt after the other within one step: each under its deadlines, metered, and noted for who asks next."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from math import inf

from osaurus_nb.errors import Cancelled, OsaurusError, ProviderError, TooSlow, Unreachable
from osaurus_nb.events import CostReported, Event, Finished, UsageReported, Warned, is_token, is_visible
from osaurus_nb.models import ROUTER
from osaurus_nb.ports import Account, Adapter, Attempt, Bid, Meter, Step, Timeouts
from osaurus_nb.request import ChatRequest
from osaurus_nb.resilience.classify import Verdict, classify
from osaurus_nb.resilience.deadline import Deadline
from osaurus_nb.routes import Label
from osaurus_nb.routing.health import Health, Pace
from osaurus_nb.routing.plan import Candidate
from osaurus_nb.routing.tokens import estimate
from osaurus_nb.routing.troubled import Troubled, troubling
from osaurus_nb.routing.watchdog import Expired, Watchdog
from osaurus_nb.spending import Cost

#: Who had so many seconds for a first word was slow, however short of time the caller was.
FAIR = 30.0
#: In a shorter span no speed can be measured.
_SHORT = 0.1


class Attempts:
    """Of one step. `ask` is a candidate's stream; `judge` and `again` say what to do after it failed."""

    def __init__(
        self,
        request: ChatRequest,
        step: Step,
        timeouts: Timeouts,
        meter: Meter,
        health: Health,
        *,
        label: Label = "unknown",
    ) -> None:
        self._request = request
        self._label = label
        self._step = step
        self._timeouts = timeouts
        self._meter = meter
        self._health = health
        self._deadline = Deadline.after(request.route.deadline, self._now())
        self._accounts: list[Account] = []
        self._number = 0
        self._first: str | None = None

    def next(self) -> int:
        """The number of the attempt that is asked now, from 1."""
        self._number += 1
        return self._number

    def go_on(self, request: ChatRequest) -> None:
        """What is asked from now on: the question with the beginning of its answer."""
        self._request = request

    def late(self) -> bool:
        """Is the time of the whole step over?"""
        return self._deadline.passed(self._now())

    def judge(self, candidate: Candidate, error: OsaurusError, *, begun: bool) -> Verdict:
        """What the failure means. `begun`: something of its answer was shown, if only thoughts."""
        keyed = candidate.card.provider == ROUTER or self._step.terms.idempotency_key is not None
        said = error.should_retry if isinstance(error, ProviderError) else None
        verdict = classify(error, committed=False, begun=begun, keyed=keyed, again=said)
        return replace(verdict, kind="failover") if begun and verdict.kind == "retry" else verdict

    def again(
        self, candidate: Candidate, verdict: Verdict, error: OsaurusError, *, repeat: int, last: bool
    ) -> float | None:
        """Seconds until the same candidate is asked again; None: it is not."""
        return self._health.again(candidate.card, verdict, repeat, error, deadline=self._deadline, last=last)

    async def ask(self, candidate: Candidate, *, repeat: int, behind: int) -> AsyncGenerator[Event, None]:
        """A candidate's events; before the first that ends, what the step cost. `behind` more may be asked after it."""
        call = _Call(candidate, self._health, self._label, first=repeat == 0)
        fault: OsaurusError | None = Cancelled("The caller stopped it.")
        patient = self._patience(candidate)
        try:
            asked, attempt = self._asked(candidate, patient, behind)
            for warning in asked.warnings if asked is not self._request else ():
                yield warning
            self._accounts.append(await call.open(self._meter, self._bid(candidate)))
            if (room := call.account.room) is not None:
                asked, attempt = _narrowed(self._whole(), room), replace(attempt, sent=None)
                yield _narrow(room)
            call.watch(attempt.timeouts)
            async with aclosing(self._adapter(candidate).stream(asked, candidate.card, attempt)) as stream:
                while True:
                    event = await call.dog.next(stream)
                    call.saw(event)
                    if isinstance(event, Finished) and (cost := self._cost()) is not None and call.ends():
                        yield CostReported(cost)
                    yield event
        except StopAsyncIteration:
            fault = None
        except Expired as exc:
            fault = _too_slow(candidate, exc, attempt.timeouts, patient)
            raise fault from None
        except OsaurusError as exc:
            fault = exc
            if isinstance(exc, Unreachable) and exc.reason == "slow-connect":
                exc.reason = "deadline" if _is_less(attempt.timeouts.connect, patient.connect) else exc.reason
            raise
        finally:
            call.over(fault)

    def _adapter(self, candidate: Candidate) -> Adapter | Troubled:
        """Who is asked; where faults are made on purpose, perhaps one in between."""
        self._first = self._first or candidate.card.name
        if self._step.terms.chaos is None:
            return candidate.adapter
        first = candidate.card.name == self._first
        trouble = troubling(self._step.terms.chaos, candidate.card, first=first)
        return candidate.adapter if trouble is None else Troubled(candidate.adapter, trouble)

    def _patience(self, candidate: Candidate) -> Timeouts:
        """How long it may take if the caller has all the time there is; one that is known to be slow gets more."""
        patience = getattr(candidate.adapter, "patience", None)
        timeouts = patience(self._timeouts) if patience is not None else self._timeouts
        if self._relays(candidate) and not self._request.delivery.stream:
            return replace(timeouts, first_token=None)  # it comes in one piece: the first token with the last
        return timeouts

    def _relays(self, candidate: Candidate) -> bool:
        return self._step.sent is not None and getattr(candidate.adapter, "dialect", None) == self._step.sent.dialect

    def _asked(self, candidate: Candidate, patient: Timeouts, behind: int) -> tuple[ChatRequest, Attempt]:
        """An adapter of the caller's own dialect gets his own words."""
        sent = self._step.sent if self._relays(candidate) else None
        timeouts = self._deadline.within(patient, self._now(), behind)
        attempt = Attempt(self._step, self._number, timeouts, self._step.terms.idempotency_key, sent)
        return self._request if sent is not None else self._whole(), attempt

    def _bid(self, candidate: Candidate) -> Bid:
        def size() -> tuple[int, int | None]:
            whole = self._whole()
            limit = whole.sampling.max_output_tokens
            return estimate(whole).input_tokens, limit * whole.sampling.n if limit is not None else None

        route = self._request.route
        return Bid(
            self._step, self._number, candidate.card, candidate.adapter, size, route.profile, route.max_cost_micro
        )

    def _cost(self) -> Cost | None:
        """Of all that was asked so far."""
        costs = [cost for account in self._accounts if (cost := account.cost()) is not None]
        return sum(costs[1:], start=costs[0]) if costs else None

    def _whole(self) -> ChatRequest:
        """The question with all its words."""
        return self._step.sent.read() if self._step.sent is not None else self._request

    def _now(self) -> float:
        return self._health.clock.monotonic()


class _Call:
    """One attempt on its way: everybody who has to hear of it, told once."""

    dog: Watchdog
    account: Account

    def __init__(self, candidate: Candidate, health: Health, label: Label, *, first: bool) -> None:
        self._card = candidate.card
        self._health = health
        self._permit = health.enter(candidate.card)
        self._label = label
        self._visible = self._ended = False
        self._began, self._first = health.clock.monotonic(), 0.0
        self._made = 0
        if first:
            health.began(candidate.card)

    async def open(self, meter: Meter, bid: Bid) -> Account:
        self.account = await meter.open(bid)
        return self.account

    def watch(self, timeouts: Timeouts) -> None:
        self.dog = Watchdog(timeouts)

    def saw(self, event: Event) -> None:
        if is_token(event):
            self.dog.saw_token()
            self._first = self._first or self._health.clock.monotonic()
            if not self._visible and is_visible(event):
                self._visible = True
                self._permit.answering()
        elif isinstance(event, UsageReported):
            self._made = event.usage.total_output
        self.account.saw(event)

    def ends(self) -> bool:
        """Is this the first of its answers that ends?"""
        before, self._ended = self._ended, True
        return not before

    def over(self, fault: OsaurusError | None) -> None:
        if hasattr(self, "dog"):
            self.dog.stop()
        if hasattr(self, "account"):
            self.account.close(fault)
        if fault is None or self._ended:
            self._permit.succeeded()
            self._health.ended(self._card, self._label, self._pace())
        elif isinstance(fault, Cancelled):
            self._permit.cancelled()
        else:
            verdict = classify(fault, committed=self._visible)
            self._permit.failed(verdict)
            self._health.failed(self._card, self._label, verdict)

    def _pace(self) -> Pace:
        if not self._first:
            return Pace(self._visible)
        span = self._health.clock.monotonic() - self._first
        speed = (self._made - 1) / span if self._made > 1 and span > _SHORT else None
        return Pace(self._visible, self._first - self._began, speed)


def _too_slow(candidate: Candidate, why: Expired, given: Timeouts, patient: Timeouts) -> TooSlow:
    """It is not the model's fault where only the caller's own deadline made it late."""
    card, span = candidate.card, getattr(given, why.span)
    fault = TooSlow(f"'{card.name}' was too slow: {why}.", provider=card.provider, model=card.id)
    hurried = _is_less(span, getattr(patient, why.span)) and (why.span != "first_token" or span < FAIR)
    fault.reason = "deadline" if hurried else None
    return fault


def _is_less(one: float | None, other: float | None) -> bool:
    return (inf if one is None else one) < (inf if other is None else other)


def _narrowed(asked: ChatRequest, room: int) -> ChatRequest:
    return replace(asked, sampling=replace(asked.sampling, max_output_tokens=max(room // asked.sampling.n, 1)))


def _narrow(room: int) -> Warned:
    said = f"A budget holds and no max_tokens was given: it leaves {room} tokens of output."
    return Warned("budget_limits_output", said)
