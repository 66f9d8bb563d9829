"""Another model goes on where one broke off: only if asked to, only plain text, and never unmarked."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from osaurus_nb import events as ev
from osaurus_nb.errors import BadAnswer, StreamCut
from osaurus_nb.messages import user
from osaurus_nb.models import ModelCard
from osaurus_nb.ports import Step, Timeouts
from osaurus_nb.request import ChatRequest, RouteOptions
from osaurus_nb.routes import Resume
from osaurus_nb.routing import engine
from osaurus_nb.routing.plan import Candidate, chain
from osaurus_nb.testing.scripted import Script, ScriptedAdapter, says

pytestmark = pytest.mark.anyio

CUT = BadAnswer("cut", provider="scripted")
HALF: Script = [ev.TextDelta("Once upon "), CUT]


def candidate(model: str, script: Script, provider: str = "local") -> Candidate:
    return Candidate(ModelCard(model, provider), ScriptedAdapter({model: [script]}, provider=provider))


async def run(*candidates: Candidate, resume: Resume = "marked") -> Sequence[ev.Event]:
    request = ChatRequest("first", (user("A story."),), route=RouteOptions(resume=resume))
    plan = chain(request.model, candidates)
    return [event async for event in engine.run(plan, request, Step("s", "r", "first", 0.0), timeouts=Timeouts())]


async def test_the_next_one_goes_on_and_it_is_marked() -> None:
    """Both segments stand as one text; a warning says who broke off where, and who goes on."""
    second = candidate("second", [ev.ReasoningDelta("hm"), *[ev.TextDelta(" a time", 1), ev.PartEnded(1)], *says()[1:]])

    answer = ev.fold(await run(candidate("first", HALF), second))

    assert answer.text == "Once upon a time"
    assert answer.error is None
    assert answer.asked == "first"
    [marked] = [warning for warning in answer.warnings if warning.code == "resumed"]
    assert marked.message == "'first' broke off after 2 words; 'second' goes on from there."
    assert isinstance(second.adapter, ScriptedAdapter)
    assert [message.text for message in second.adapter.requests[0].messages] == ["A story.", "Once upon"]


async def test_without_being_asked_nothing_is_spliced_on() -> None:
    """The default: what came is kept, and the fault ends it."""
    events = await run(candidate("first", HALF), candidate("second", says("never")), resume="off")

    assert ev.fold(events).text == "Once upon "
    assert isinstance(ev.fold(events).error, StreamCut)


async def test_tool_calls_are_never_continued() -> None:
    """Half a call cannot be finished by somebody else."""
    half: Script = [ev.TextDelta("Let me see. "), ev.ToolCallStarted("1", "look", 1), CUT]

    events = await run(candidate("first", half), candidate("second", says("never")))

    assert isinstance(events[-1], ev.Failed)


async def test_only_who_can_begin_in_the_middle_goes_on() -> None:
    """A model that would start a new answer is passed over; with nobody else the fault is told."""
    stranger, able = candidate("stranger", says("New."), "elsewhere"), candidate("able", says("a time"))

    rescued = await run(candidate("first", HALF), stranger, able)
    left = await run(candidate("first", HALF), stranger)

    assert ev.fold(rescued).text == "Once upon a time"
    assert isinstance(left[-1], ev.Failed)


async def test_a_second_break_may_be_mended_too() -> None:
    """Each seam is marked; the last one who fails is told."""
    events = await run(
        candidate("first", HALF), candidate("second", [ev.TextDelta("a time "), CUT]), candidate("third", says("ago."))
    )

    answer = ev.fold(events)
    assert answer.text == "Once upon a time ago."
    assert sum(warning.code == "resumed" for warning in answer.warnings) == 2


async def test_who_cannot_begin_in_the_middle_is_passed_over_after_a_seam_too() -> None:
    """The one who was to go on fails before a word: a model that would answer anew is not spliced on behind it."""
    fails, stranger = candidate("second", [CUT]), candidate("stranger", says("New."), "elsewhere")

    rescued = await run(candidate("first", HALF), fails, stranger, candidate("able", says("a time")))
    left = await run(candidate("first", HALF), fails, stranger)

    assert ev.fold(rescued).text == "Once upon a time"
    assert ev.fold(left).text == "Once upon "
    assert isinstance(left[-1], ev.Failed)
