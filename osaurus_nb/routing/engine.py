"""Walks a plan: asks one candidate after the other until one answers, and says so on the stream.

The commit point is the first visible byte; for a caller who gets the answer in one piece, its end. Before it a failure
costs nothing: the same candidate is asked again where that may help, else the next one. After it a failure is told, and
only who asked for it gets more, marked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from osaurus_nb.errors import NobodyAnswered, NoEligibleModel, OsaurusError, RequestError, StreamCut
from osaurus_nb.events import AttemptFailed, AttemptStarted, Event, Failed, Substituted, Warned
from osaurus_nb.ports import Meter, Step, Timeouts
from osaurus_nb.request import ChatRequest
from osaurus_nb.routing.attempts import Attempts
from osaurus_nb.routing.gate import Gate
from osaurus_nb.routing.health import Health
from osaurus_nb.routing.metering import UNMETERED
from osaurus_nb.routing.plan import Candidate, Plan
from osaurus_nb.routing.seam import Seam


async def run(
    plan: Plan,
    request: ChatRequest,
    step: Step,
    *,
    timeouts: Timeouts,
    meter: Meter = UNMETERED,
    health: Health | None = None,
) -> AsyncGenerator[Event, None]:
    """The one stream of a step. It ends in `Finished` or in exactly one `Failed`; closing it stops the work."""
    if not plan.candidates:
        yield Failed(NoEligibleModel(f"No model can answer for '{plan.asked}'."))
        return
    attempts = Attempts(request, step, timeouts, meter, health or Health(), label=plan.label)
    at = repeat = 0
    failed: dict[str, OsaurusError] = {}
    seam = Seam() if request.route.resume == "marked" else None
    while True:
        candidate, behind = plan.candidates[at], len(plan.candidates) - at - 1
        opening = _opening(plan, candidate, at)
        gate = Gate(candidate.card, hold=behind > 0, whole=step.terms.whole, opening=opening)
        number = attempts.next()
        yield AttemptStarted(number, candidate.card.provider, candidate.card.name, candidate.card.endpoint)
        try:
            async with aclosing(attempts.ask(candidate, repeat=repeat, behind=behind)) as stream:
                async for event in stream:
                    _refuse_warning(event, request)
                    for ready in gate.admit(event):
                        shown = ready if seam is None else seam.let(ready)
                        if shown is not None:
                            yield shown
            for ready in gate.finish():
                yield ready
            return
        except OsaurusError as caught:
            error = caught
        yield AttemptFailed(number, candidate.card.provider, candidate.card.name, error)
        if gate.committed:
            onward = seam.onward(plan.candidates, at) if seam is not None and not attempts.late() else None
            if seam is None or onward is None:
                yield Failed(_cut(candidate, error))
                return
            yield seam.mark(candidate.card, plan.candidates[onward].card)
            attempts.go_on(seam.join(request))
            at, repeat = onward, 0
            continue
        failed[candidate.card.name] = error
        verdict = attempts.judge(candidate, error, begun=gate.begun)
        wait = attempts.again(candidate, verdict, error, repeat=repeat + 1, last=not behind)
        if wait is not None:
            repeat += 1
            await asyncio.sleep(wait)
        elif (after := _after(plan, at, seam)) is not None and verdict.kind != "terminal" and not attempts.late():
            at, repeat = after, 0
        else:
            yield Failed(error if verdict.kind == "terminal" else _nobody(failed))
            return


def _after(plan: Plan, at: int, seam: Seam | None) -> int | None:
    """Who is asked next; behind shown words only who can go on from there."""
    if seam is not None and seam.joined:
        return seam.onward(plan.candidates, at)
    return at + 1 if at + 1 < len(plan.candidates) else None


def _nobody(failed: Mapping[str, OsaurusError]) -> OsaurusError:
    """The plain answer at the foot of the ladder: nobody can answer now, and why, model by model."""
    causes = list(failed.values())
    if len(causes) == 1:
        return causes[0]
    waits = [cause.retry_after for cause in causes if cause.retry_after is not None]
    said = " ".join(f"{name}: {str(cause).rstrip('.')}." for name, cause in failed.items())
    return NobodyAnswered(f"No model can answer now. {said}", causes=causes, retry_after=min(waits) if waits else None)


def _cut(candidate: Candidate, error: OsaurusError) -> StreamCut:
    return StreamCut(f"'{candidate.card.name}' broke off in the middle of its answer. {error}", cause=error)


def _refuse_warning(event: Event, request: ChatRequest) -> None:
    """Under `strict_params` a parameter that would be left out is an error; adapters warn before they send."""
    if request.route.strict_params and isinstance(event, Warned) and event.param is not None:
        raise RequestError(
            f"{event.message} Leave it out, or allow it by taking strict_params away.", param=event.param
        )


def _opening(plan: Plan, candidate: Candidate, at: int) -> Sequence[Event]:
    """What is said before the first word of a candidate that is not the one asked for, or chosen."""
    if not at:
        return ()
    before = "the model asked for" if plan.why is None else f"'{plan.candidates[at - 1].card.name}'"
    return (Substituted(plan.asked, candidate.card.name, f"{before} failed"),)
