"""One question, answered in as many rounds with the model as its tools need. Collects the Reply as events pass."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TypeVar

from osaurus_nb import origin, rehearsal
from osaurus_nb.caps import Budget, astray, count
from osaurus_nb.errors import OsaurusError
from osaurus_nb.events import Answer, CostReported, Event, Failed, Fold, PartEnded, Warned, fold, is_visible
from osaurus_nb.explained import Explained
from osaurus_nb.messages import Message, ToolCall
from osaurus_nb.models import Timings, Usage
from osaurus_nb.ports import Terms
from osaurus_nb.reply import Reply
from osaurus_nb.request import ChatRequest
from osaurus_nb.routes import Explanation, Panel
from osaurus_nb.runtime import Backend
from osaurus_nb.spending import Cost
from osaurus_nb.tools import Toolbox

T = TypeVar("T", Usage, Cost)


@dataclass(slots=True)
class _Round:
    """One answer of the model while it arrives."""

    fold: Fold
    ended: set[tuple[int, int]]

    def add(self, event: Event) -> None:
        self.fold.add(event)
        if isinstance(event, PartEnded):
            self.ended.add((event.choice, event.index))

    def calls(self) -> Sequence[ToolCall]:
        """The tool calls of the answer, if every one arrived whole: a cut one must never be run."""
        message = _message(self.fold.answer()) if self.ended else None
        calls = message.tool_calls if message is not None else ()
        return calls if len(calls) <= sum(1 for choice, _ in self.ended if choice == 0) else ()


def terms(budgets: Sequence[Budget], *, private: bool = False) -> Terms:
    """Those of a question that is asked here and now, under these budgets, with the faults on purpose that hold."""
    caps = tuple(budget.cap for budget in budgets)
    return Terms(origin=origin.current(), caps=caps, chaos=rehearsal.holding(), local_only=private)


class Turn:
    """Runs once: iterate `events()`, then (or meanwhile) read `reply`.

    Where it comes from, and so whose cell pays, is where it is made; `budgets` hold for all its rounds together.
    """

    def __init__(
        self,
        backend: Callable[[], Backend],
        request: ChatRequest,
        toolbox: Toolbox,
        max_rounds: int,
        budgets: Sequence[Budget] = (),
    ) -> None:
        self._backend = backend
        self._request = request
        self._toolbox = toolbox
        self._max_rounds = max_rounds
        self._budgets = budgets
        self._terms = terms(budgets, private=request.route.mode == "local-strict")
        self._outside = astray()
        self._round = _Round(Fold(), set())
        self._whole: list[Event] = []  # route events and warnings of all rounds
        self._added: list[Message] = []
        self._spent: Usage | None = None
        self._paid: Cost | None = None
        self._route: Explanation | None = None
        self._panel: Panel | None = None
        self._began = self._first = self._ended = 0.0
        self._finished = False
        self._error: OsaurusError | None = None

    async def events(self) -> AsyncGenerator[Event, None]:
        """Every event of every round. A `Failed` is yielded and then raised as its error."""
        self._began = time.monotonic()
        request = self._request
        for warning in self._outside:
            yield self._note(warning)
        try:
            for left in reversed(range(self._max_rounds + 1)):
                async with aclosing(self._ask(request)) as stream:
                    async for event in stream:
                        yield event
                calls = self._round.calls()
                if not self._toolbox.can_run(calls):
                    break
                if left == 0:
                    yield self._note(Warned("tool_rounds", f"Stopped after {self._max_rounds} rounds of tool calls."))
                    break
                request = await self._answer_tools(request, calls)
            self._finished = True
        except OsaurusError as error:
            self._error = error
            error.reply = self.reply
            raise
        finally:
            self._ended = time.monotonic()

    async def _ask(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        cost: Cost | None = None
        try:
            async with aclosing(self._backend().stream(request, self._terms)) as stream:
                async for event in stream:
                    self._round.add(event)
                    if not self._first and is_visible(event):
                        self._first = time.monotonic()
                    if isinstance(event, CostReported):
                        cost = event.cost
                    yield event
                    if isinstance(event, Failed):
                        raise event.error
        finally:
            count(self._budgets, cost)

    async def _answer_tools(self, request: ChatRequest, calls: Sequence[ToolCall]) -> ChatRequest:
        """Run the calls side by side and put them and their results behind the conversation."""
        answer = self._round.fold.answer()
        results = await asyncio.gather(*(self._toolbox.run(call) for call in calls))
        self._added += [answer.choices[0].message, *results]
        self._whole += [*answer.attempts, *answer.warnings]
        self._spent = _sum(self._spent, answer.usage)
        self._paid = _sum(self._paid, answer.cost)
        self._route = answer.route or self._route
        self._panel = answer.panel or self._panel
        self._round = _Round(Fold(), set())
        choice = "auto" if request.tool_choice not in (None, "auto", "none") else request.tool_choice
        return replace(request, messages=(*self._request.messages, *self._added), tool_choice=choice)

    def _note(self, warning: Warned) -> Warned:
        self._round.add(warning)
        return warning

    @property
    def reply(self) -> Reply:
        """What came so far."""
        answer = self._round.fold.answer()
        message = _message(answer)
        before, route = fold(self._whole), answer.route or self._route
        return Reply(
            text=answer.text,
            model=answer.model,
            provider=answer.provider,
            asked=self._request.model,
            finish_reason=answer.finish_reason,
            usage=_sum(self._spent, answer.usage),
            cost=_sum(self._paid, answer.cost),
            panel=answer.panel or self._panel,
            timings=self._timings(),
            attempts=(*before.attempts, *answer.attempts),
            warnings=(*before.warnings, *answer.warnings),
            messages=(*self._added, *((message,) if message is not None else ())),
            stopped=not self._finished and self._error is None,
            error=self._error,
            id=answer.id,
            substituted=answer.asked is not None,
            route=Explained.of(route) if route is not None else None,
        )

    def _timings(self) -> Timings | None:
        if not self._began:
            return None
        total = (self._ended or time.monotonic()) - self._began
        return Timings(total, self._first - self._began if self._first else None)


def _message(answer: Answer) -> Message | None:
    return answer.choices[0].message if answer.choices else None


def _sum(one: T | None, other: T | None) -> T | None:
    return one + other if one is not None and other is not None else one or other
