"""The walk along the candidates: free before the first visible word, honest after it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from osaurus_nb import events as ev
from osaurus_nb.errors import (
    BadAnswer,
    EmptyAnswer,
    NobodyAnswered,
    NoEligibleModel,
    RateLimited,
    Refused,
    StreamCut,
    TooSlow,
)
from osaurus_nb.models import ModelCard
from osaurus_nb.ports import Step, Timeouts
from osaurus_nb.request import ChatRequest, RouteOptions
from osaurus_nb.routing import engine
from osaurus_nb.routing.plan import Candidate, chain
from osaurus_nb.testing.scripted import Script, ScriptedAdapter, says

pytestmark = pytest.mark.anyio

BROKEN = RateLimited("slow down", provider="scripted")
CUT = BadAnswer("cut", provider="scripted")


def candidate(model: str, script: Script) -> Candidate:
    return Candidate(ModelCard(model, "scripted"), ScriptedAdapter({model: [script]}))


async def run(
    candidates: Sequence[Candidate], *, timeouts: Timeouts | None = None, route: RouteOptions | None = None
) -> list[ev.Event]:
    request = ChatRequest("scripted/first", (), route=route or RouteOptions())
    step = Step("s", "r", request.model, 0.0)
    plan = chain(request.model, candidates)
    return [event async for event in engine.run(plan, request, step, timeouts=timeouts or Timeouts())]


async def test_the_first_candidate_answers() -> None:
    """One healthy candidate: one attempt, its words, its usage, its finish."""
    events = await run([candidate("first", says("Hel", "lo"))])

    answer = ev.fold(events)
    assert answer.text == "Hello"
    assert [type(attempt) for attempt in answer.attempts] == [ev.AttemptStarted]
    assert isinstance(events[-1], ev.Finished)


async def test_a_failure_before_the_first_word_costs_nothing() -> None:
    """The next candidate answers, and the stream says that it is another one, and why."""
    events = await run([candidate("first", [BROKEN]), candidate("second", says("good"))])

    answer = ev.fold(events)
    assert answer.text == "good"
    assert answer.asked == "scripted/first"
    assert answer.model == "second"
    assert [type(attempt) for attempt in answer.attempts] == [ev.AttemptStarted, ev.AttemptFailed, ev.AttemptStarted]


async def test_fallback_stops_at_the_first_visible_word() -> None:
    """After a word was shown, a failure is told, never replaced by another answer."""
    events = await run([candidate("first", [ev.TextDelta("good"), CUT]), candidate("unwanted", says("bad"))])

    assert ev.fold(events).text == "good"
    assert isinstance(events[-1], ev.Failed)
    assert isinstance(events[-1].error, StreamCut)
    assert events[-1].error.cause is CUT


async def test_nothing_of_a_failed_candidate_is_shown() -> None:
    """Reasoning and warnings of a candidate that failed stay behind the commit point."""
    leaky: Script = [ev.ReasoningDelta("hmm"), ev.Warned("odd", "odd"), BROKEN]

    events = await run([candidate("first", leaky), candidate("second", says("good"))])

    assert not any(isinstance(event, ev.ReasoningDelta | ev.Warned) for event in events)


async def test_an_empty_answer_is_tried_elsewhere() -> None:
    """A candidate that finishes without a word has failed, if somebody else can be asked."""
    events = await run([candidate("first", says()), candidate("second", says("good"))])

    answer = ev.fold(events)
    assert answer.text == "good"
    assert isinstance(answer.attempts[1], ev.AttemptFailed)
    assert isinstance(answer.attempts[1].error, EmptyAnswer)


async def test_an_empty_answer_is_never_silent() -> None:
    """When nobody else can be asked, the notice says that nothing came, and why."""
    script: Script = [ev.ReasoningDelta("hmm"), ev.Finished("length")]

    answer = ev.fold(await run([candidate("first", script)]))

    assert answer.finish_reason == "length"
    assert [warning.code for warning in answer.warnings] == ["empty_answer"]
    assert "max_tokens" in answer.warnings[0].message


async def test_the_callers_own_mistake_is_not_carried_elsewhere() -> None:
    """A request that one provider calls wrong is told at once: the next would be sent the same mistake."""
    second = candidate("second", says("good"))

    events = await run([candidate("first", [Refused("bad field", provider="scripted")]), second])

    assert isinstance(events[-1], ev.Failed)
    assert isinstance(second.adapter, ScriptedAdapter)
    assert second.adapter.requests == []


async def test_when_all_fail_every_fault_is_told() -> None:
    """There is one end, and it says of each who was asked why it could not answer."""
    events = await run([candidate("first", [BROKEN]), candidate("second", [CUT])])

    [failed] = [event for event in events if isinstance(event, ev.Failed)]
    assert isinstance(failed.error, NobodyAnswered)
    assert failed.error.causes == (BROKEN, CUT)
    assert str(failed.error) == "No model can answer now. scripted/first: slow down. scripted/second: cut."


async def test_strict_parameters_are_carried_or_refused() -> None:
    """With strict_params a tuning knob that would be left out is an error that names it."""
    script: Script = [ev.Warned("ignored", "No seed here.", "seed"), *says("good")]

    events = await run([candidate("first", script)], route=RouteOptions(strict_params=True))

    assert isinstance(events[-1], ev.Failed)
    assert events[-1].error.param == "seed"


async def test_no_candidate_is_an_answer_too() -> None:
    """An empty plan is told as a failure, not as silence."""
    [event] = await run([])

    assert isinstance(event, ev.Failed)
    assert isinstance(event.error, NoEligibleModel)


@pytest.mark.parametrize(
    ("script", "timeouts", "route", "words"),
    [
        ([5.0], Timeouts(first_token=0.05), RouteOptions(), "first token"),
        ([ev.Warned("w", "w"), 5.0], Timeouts(first_token=0.05), RouteOptions(), "first token"),
        ([ev.TextDelta("a"), 5.0], Timeouts(between_tokens=0.05), RouteOptions(), "no further token"),
        ([ev.TextDelta("a"), 0.04, ev.TextDelta("b"), 5.0], Timeouts(total=0.1), RouteOptions(), "whole answer"),
        ([5.0], Timeouts(), RouteOptions(deadline=0.05), "whole answer"),
    ],
)
async def test_every_deadline_is_total(script: Script, timeouts: Timeouts, route: RouteOptions, words: str) -> None:
    """First token, between tokens, whole answer, the caller's own: each ends a wait, and says which it was."""
    async with asyncio.timeout(1):
        events = await run([candidate("first", script)], timeouts=timeouts, route=route)

    assert isinstance(events[-1], ev.Failed)
    error = events[-1].error
    cause = error.cause if isinstance(error, StreamCut) else error
    assert isinstance(cause, TooSlow)
    assert words in str(cause)


async def test_a_slow_reader_is_not_a_slow_model() -> None:
    """Deadlines count while we wait for the model, not while the caller thinks about an event."""
    first = candidate("first", [ev.TextDelta("a"), ev.TextDelta("b"), ev.Finished("stop")])
    request = ChatRequest("first", ())
    seen: list[ev.Event] = []

    async for event in engine.run(
        chain("first", [first]), request, Step("s", "r", "first", 0.0), timeouts=Timeouts(between_tokens=0.02)
    ):
        seen.append(event)
        await asyncio.sleep(0.05)

    assert isinstance(seen[-1], ev.Finished)


async def test_leaving_the_stream_stops_the_model() -> None:
    """Closing the stream closes the adapter's, at once."""
    first = candidate("first", [ev.TextDelta("a"), 5.0])
    stream = engine.run(
        chain("first", [first]), ChatRequest("first", ()), Step("s", "r", "first", 0.0), timeouts=Timeouts()
    )
    async for event in stream:
        if isinstance(event, ev.TextDelta):
            break

    await stream.aclose()

    assert isinstance(first.adapter, ScriptedAdapter)
    assert first.adapter.closed == 1


async def test_cancelling_the_reader_is_not_mistaken_for_a_deadline() -> None:
    """A cancelled task stays cancelled; it is no failure of the model."""
    task = asyncio.create_task(run([candidate("first", [5.0])]))
    await asyncio.sleep(0.02)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
