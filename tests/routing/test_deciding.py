"""Deciding by chat: probabilities where a model tells them, a bare pick that says so where it does not."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Mapping, Sequence

import pytest

from osaurus_nb import errors
from osaurus_nb.client import AsyncClient
from osaurus_nb.decisions import Choice, Decisions, Option, choice, predicate, score
from osaurus_nb.events import (
    Event,
    Finished,
    PartEnded,
    Started,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
    Warned,
)
from osaurus_nb.messages import Media, image
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.options import Asked
from osaurus_nb.ports import Attempt, Timeouts
from osaurus_nb.request import ChatRequest
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import Script, ScriptedAdapter, says
from osaurus_nb.wire.decisions import systemone

pytestmark = pytest.mark.anyio
SPAM: Mapping[str, Asked] = {"spam": "Is it spam?"}
MANY = [f"option {n}" for n in range(30)]


def tells(said: str, **more: float) -> list[Event]:
    """An answer whose first token had these rivals; a `_` in a name is a blank."""
    return weighs(said, {name.replace("_", " "): share for name, share in more.items()})


def weighs(said: str, shares: Mapping[str, float]) -> list[Event]:
    top = tuple((word, math.log(share)) for word, share in shares.items())
    token = TokenLogprob(said, dict(top).get(said, -1.0), top)
    usage = UsageReported(Usage(input_tokens=10, output_tokens=1))
    return [TextDelta(said, logprobs=(token,)), PartEnded(), usage, Finished("stop")]


async def decided(
    scripts: Sequence[Script], questions: Mapping[str, Asked] = SPAM, **options: Timeouts
) -> tuple[Decisions, ScriptedAdapter]:
    adapter = ScriptedAdapter({"m": scripts})
    async with AsyncClient(model="m", backend=Runtime([adapter], **options)) as client:
        return await client.decide("Buy now!", questions), adapter


async def test_probabilities_are_read_from_the_first_token():
    """All spellings of a label count together; what went elsewhere is left out, and told."""
    found, adapter = await decided([tells("A", A=0.5, _A=0.25, B=0.15, The=0.1)])

    assert found["spam"].value is True
    assert found["spam"].by_option == pytest.approx({True: 0.75 / 0.9, False: 0.15 / 0.9})
    assert found["spam"].calibrated
    assert [(warning.code, warning.param) for warning in found.warnings] == [("probability_elsewhere", "questions[0]")]
    assert "10%" in found.warnings[0].message
    assert found.usage == Usage(input_tokens=10, output_tokens=1)
    assert len(adapter.requests) == 1


async def test_the_question_is_asked_for_one_label_with_its_rivals():
    """The subject stands first, the options are lettered, and the temperature leaves the probabilities as they are."""
    questions = {"anger": score("How angry?", {"calm": "no complaint", "furious": None})}

    _, adapter = await decided([tells("B", A=0.5, B=0.5)], questions)

    [request] = adapter.requests
    assert request.messages[1].text == (
        "Buy now!\n\nQuestion: How angry?\nA. calm: no complaint\nB. furious\n"
        "The options are levels, the lowest first.\n"
        "Answer with the label of the option that fits best, A to B, and nothing else."
    )
    assert request.sampling.logprobs
    assert (request.sampling.top_logprobs, request.sampling.temperature) == (20, 1.0)


async def test_a_score_has_its_mean_level():
    """The levels count from zero."""
    found, _ = await decided([tells("B", A=0.25, B=0.5, C=0.25)], {"anger": score("?", ["low", "mid", "high"])})

    assert found["anger"].expected == pytest.approx(1.0)
    assert found["anger"].value == "mid"


async def test_a_blank_first_token_is_passed_over():
    """Some models begin with one; the label is behind it."""
    blank = TokenLogprob("▁", -0.1, ())
    label = TokenLogprob("B", math.log(0.9), (("B", math.log(0.9)), ("A", math.log(0.1))))
    found, _ = await decided([[TextDelta(" B", logprobs=(blank, label)), PartEnded(), Finished("stop")]])

    assert found["spam"].by_option == pytest.approx({True: 0.1, False: 0.9})


async def test_a_token_that_is_not_among_its_own_rivals_counts_too():
    """Some servers list the others alone."""
    token = TokenLogprob("A", math.log(0.7), (("B", math.log(0.3)),))
    found, _ = await decided([[TextDelta("A", logprobs=(token,)), PartEnded(), Finished("stop")]])

    assert found["spam"].probabilities == pytest.approx((0.7, 0.3))


async def test_without_probabilities_the_pick_is_all_that_is_known():
    """A plain label is taken at its word: it says that it is not calibrated, and claims no confidence."""
    found, adapter = await decided([says("B.")])

    verdict = found["spam"]
    assert (verdict.value, verdict.probabilities, verdict.calibrated) == (False, (0.0, 1.0), False)
    assert verdict.confidence == 0.0
    assert [warning.code for warning in found.warnings] == ["uncalibrated"]
    assert len(adapter.requests) == 1


async def test_an_answer_that_was_about_something_else_is_not_scaled_up():
    """With most of the probability elsewhere the first token says nothing of the options: the model must pick."""
    found, adapter = await decided([tells("A", Well=0.9, A=0.1), says('{"answer": "B"}')])

    assert (found["spam"].value, found["spam"].calibrated) == (False, False)
    shape = adapter.requests[1].response_format
    assert shape is not None
    assert shape.schema is not None
    assert shape.schema["properties"]["answer"]["enum"] == ["A", "B"]
    assert found.usage == Usage(input_tokens=13, output_tokens=2)


async def test_more_options_than_rivals_are_told_are_numbered_and_picked():
    """Twenty are shown at most, so that a longer list is never weighed."""
    found, adapter = await decided([says('{"answer": "30"}')], {"which": MANY})

    assert (found["which"].value, found["which"].calibrated) == ("option 29", False)
    assert "30. option 29" in adapter.requests[0].messages[1].text
    assert not adapter.requests[0].sampling.logprobs


async def test_a_model_that_answers_none_of_the_options_refuses_that_question_alone():
    """The reason is told; the others have their verdicts."""
    withheld: Script = [TextDelta("I can not"), PartEnded(), Finished("content_filter")]
    scripts = [withheld, withheld, tells("A", A=1.0)]
    adapter = ScriptedAdapter({"m": scripts})

    async with AsyncClient(model="m", backend=Runtime([adapter])) as client:
        first = await client.decide("x", SPAM)
        second = await client.decide("x", SPAM)

    assert first["spam"].value is None
    assert first["spam"].refused == "The provider's filter withheld the answer."
    assert first["spam"].by_option == {}
    assert second["spam"].value is True


class Particular(ScriptedAdapter):
    """Refuses what it is told to, and keeps count of how many questions are under way."""

    def __init__(self, answers: Mapping[str, Sequence[Script]], refuses: frozenset[str] = frozenset()) -> None:
        super().__init__(answers)
        self.refuses = refuses
        self.busy = self.most = self.refused = 0

    async def stream(self, request: ChatRequest, card: ModelCard, attempt: Attempt) -> AsyncGenerator[Event, None]:
        if "logprobs" in self.refuses and request.sampling.logprobs:
            yield Warned("parameter_dropped", "no logprobs here", "logprobs")
            raise AssertionError("this must not be sent")
        if "weighing" in self.refuses and request.sampling.logprobs:
            self.refused += 1
            raise errors.Refused("no logprobs", provider="scripted", upstream_status=400)
        if "format" in self.refuses and request.response_format is not None:
            self.refused += 1
            raise errors.Unsupported("no schema", param="response_format")
        if "tools" in self.refuses and request.tools:
            raise errors.Refused("no tools", provider="scripted", upstream_status=400)
        if "images" in self.refuses and any(isinstance(part, Media) for part in request.messages[1].parts):
            raise errors.Unsupported("no pictures", param="messages")
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            async for event in super().stream(request, card, attempt):
                yield event
        finally:
            self.busy -= 1


async def particular(refuses: set[str], answer: Script) -> tuple[Decisions, Particular]:
    adapter = Particular({"m": [answer]}, frozenset(refuses))
    async with AsyncClient(model="m", backend=Runtime([adapter])) as client:
        return await client.decide("x", SPAM), adapter


async def test_a_dialect_without_probabilities_is_held_by_a_schema_at_once():
    """Nothing is sent in vain, and the knob that we set ourselves is no news for the caller."""
    found, adapter = await particular({"logprobs"}, says('{"answer": "A"}'))

    assert (found["spam"].value, found["spam"].calibrated) == (True, False)
    assert [warning.code for warning in found.warnings] == ["uncalibrated"]
    assert len(adapter.requests) == 1


async def test_a_way_that_failed_for_one_question_is_not_tried_for_all():
    """A provider that refuses `logprobs` or a schema is not asked for them four hundred times."""
    adapter = Particular({"m": [[0.001, *says("A")]]}, frozenset({"weighing", "format"}))

    async with AsyncClient(model="m", backend=Runtime([adapter])) as client:
        found = await client.decide("x", {f"q{n}": "?" for n in range(40)})

    assert {verdict.value for verdict in found.verdicts} == {True}
    assert adapter.refused <= 2 * 8
    assert len(adapter.requests) == 40


async def test_without_a_schema_the_model_is_held_by_a_tool():
    """It must call it, and its arguments are the answer."""
    call: Script = [
        Started("scripted", "m"),
        ToolCallStarted("c", "answer"),
        ToolCallDelta('{"answer": '),
        ToolCallDelta('"B"}'),
        PartEnded(),
        Finished("tool_calls"),
    ]

    found, adapter = await particular({"logprobs", "format"}, call)

    assert found["spam"].value is False
    assert adapter.requests[0].tools[0].parameters["properties"]["answer"]["enum"] == ["A", "B"]


async def test_with_neither_the_model_is_asked_for_its_word():
    """And what is no label is a refusal, not a guess."""
    found, _ = await particular({"logprobs", "format", "tools"}, says("A) true"))
    plain, _ = await particular({"logprobs", "format", "tools"}, says("(B)"))

    assert found["spam"].refused == "The model answered with none of the options."
    assert plain["spam"].value is False


async def test_what_no_way_can_carry_is_an_error_and_not_a_refusal():
    """The caller can mend it: here the model takes no pictures."""
    adapter = Particular({"m": [says("A")]}, frozenset({"images"}))

    async with AsyncClient(model="m", backend=Runtime([adapter])) as client:
        with pytest.raises(errors.Unsupported, match="no pictures"):
            await client.decide(["what?", image(b"\x89PNG\r\n\x1a\n")], SPAM)


async def test_questions_are_asked_side_by_side_but_not_all_at_once():
    """Eight at a time; the verdicts stand in the order asked and the tokens are added up."""
    adapter = Particular({"m": [[0.02, *tells("A", A=1.0)]]})

    async with AsyncClient(model="m", backend=Runtime([adapter])) as client:
        found = await client.decide("x", {f"q{n}": "?" for n in range(20)})

    assert adapter.most == 8
    assert [verdict.question.name for verdict in found.verdicts] == [f"q{n}" for n in range(20)]
    assert found.usage == Usage(input_tokens=200, output_tokens=20)


async def test_the_first_fault_stops_the_other_questions():
    """It is raised as itself, and nobody goes on answering."""
    rejected = errors.CredentialRejected("no such key", provider="scripted", upstream_status=401)
    adapter = ScriptedAdapter({"m": [[rejected], [10.0, *says("A")]]})

    async with AsyncClient(model="m", backend=Runtime([adapter])) as client:
        with pytest.raises(errors.CredentialRejected):
            await client.decide("x", {"a": "?", "b": "?", "c": "?"})

    assert adapter.closed >= 1


async def test_one_deadline_holds_for_all_questions_together():
    """Not one for each."""
    slow: Script = [0.15, *tells("A", A=1.0)]

    with pytest.raises(errors.TooSlow):
        await decided([slow], {f"q{n}": "?" for n in range(24)}, timeouts=Timeouts(total=0.3))


async def test_who_goes_away_stops_every_question():
    """A cancelled call leaves no stream behind."""
    adapter = Particular({"m": [[10.0, *says("A")]]})

    async with AsyncClient(model="m", backend=Runtime([adapter])) as client:
        call = asyncio.create_task(client.decide("x", {"a": "?", "b": "?"}))
        while adapter.busy < 2:
            await asyncio.sleep(0.001)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    assert (adapter.busy, adapter.closed) == (0, 2)


async def test_knobs_that_a_chat_has_not_are_told():
    """A request that came in a vendor's dialect may have them."""
    body = (
        b'{"model": "m", "state": "x", "keep_alive": "5m", "questions": {"q": {"type": "noul", "instructions": "?"}}}'
    )
    runtime = Runtime([ScriptedAdapter({"m": [tells("A", A=1.0)]})])

    found = await runtime.decide(systemone.decode_request(body))

    assert [(warning.code, warning.param) for warning in found.warnings] == [("parameter_dropped", "keep_alive")]


async def test_usage_is_estimated_where_nobody_tells_it():
    """And marked."""
    silent: Script = [TextDelta("A"), PartEnded(), Finished("stop")]

    found, _ = await decided([silent])

    assert found.usage is not None
    assert found.usage.estimated
    assert found.usage.input_tokens > 0


async def test_questions_may_be_written_as_they_are_thought_of():
    """A text, a list, a mapping with meanings, a pair, or a question made before: the name comes from the key."""
    adapter = ScriptedAdapter({"m": [says("A")]})
    asked: Mapping[str, Asked] = {
        "spam": "Is it spam?",
        "main_topic": ["billing", "bug"],
        "team": {"sales": "New orders", "support": None},
        "tone": ("How does it sound?", ["calm", "angry"]),
        "anger": score("How angry?", ["calm", "furious"]),
        "late": predicate("Is it late?", true="after the promised day"),
        "kind": choice("Which?", [Option("a", "first"), Option(True)]),
    }

    async with AsyncClient(model="m", backend=Runtime([adapter])) as client:
        found = await client.decide({"mail": "x"}, asked)

    questions = [verdict.question for verdict in found.verdicts]
    assert [question.name for question in questions] == list(asked)
    assert questions[1] == Choice("main_topic", "main topic", (Option("billing"), Option("bug")))
    assert questions[2].options == (Option("sales", "New orders"), Option("support"))
    assert questions[3].instructions == "How does it sound?"
    assert adapter.requests[0].messages[1].text.startswith('{"mail": "x"}')


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({}, "questions"),
        ({"": "?"}, "questions"),
        ({"q": " "}, "questions"),
        ({"q": ["alone"]}, "questions.q"),
        ({"q": ["twice", "twice"]}, "questions.q"),
        ({"q": [str(n) for n in range(256)]}, "questions.q"),
        ({f"q{n}": "?" for n in range(401)}, "questions"),
    ],
)
async def test_a_question_that_is_none_is_refused_before_anything_is_asked(asked: dict[str, Asked], param: str):
    """By its name."""
    with pytest.raises(errors.RequestError) as caught:
        await decided([says("A")], asked)

    assert caught.value.param == param


async def test_nothing_asked_or_answered_shows_in_a_repr():
    """It may reach a log or a traceback."""
    found, _ = await decided([says("A")], {"q": choice("a secret question", ["secret one", "secret two"])})

    assert "secret" not in repr(found)


async def test_a_notebook_shows_the_verdicts_as_a_table():
    """Names, answers and how probable they are; a pick claims nothing, and nothing in it can run."""
    weighed, _ = await decided([tells("A", A=0.75, B=0.25)], {"spam": "?", "anger": score("?", ["calm", "<b>mad</b>"])})
    bare, _ = await decided([says("A")])

    shown = weighed._repr_mimebundle_()
    assert shown["text/plain"].splitlines()[1:3] == [
        "spam      True              75.0%",
        "anger     calm (0.25 of 1)  75.0%",
    ]
    assert "<b>" not in shown["text/html"]
    assert "not known" in bare._repr_mimebundle_()["text/plain"]
