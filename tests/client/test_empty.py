"""An answer without a visible word: said in so many words, with its cause, and asked again as a new step."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

import pytest

from osaurus_nb import events as ev
from osaurus_nb.client import AsyncClient, Client
from osaurus_nb.errors import Refused, RequestError, Unavailable
from osaurus_nb.messages import assistant
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.ports import Attempt
from osaurus_nb.reply import Emptiness, Reply
from osaurus_nb.request import ChatRequest
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import Script, ScriptedAdapter, says

THOUGHT = ev.ReasoningDelta("hm, let me see")
COUNTED = ev.UsageReported(Usage(3, 0, reasoning_output_tokens=64))
NOTHING: dict[str, tuple[Script, Emptiness]] = {
    "thoughts up to the limit": ([THOUGHT, ev.Finished("length")], "reasoning"),
    "hidden thoughts up to the limit": ([COUNTED, ev.Finished("length")], "reasoning"),
    "the limit": ([ev.Finished("length")], "length"),
    "a filter": ([ev.Finished("content_filter")], "content_filter"),
    "thoughts alone": ([THOUGHT, ev.PartEnded(), ev.Finished("stop")], "stop"),
    "nothing": ([ev.Finished("stop")], "stop"),
    "calls that never came": ([ev.Finished("tool_calls")], "unknown"),
    "blanks": ([ev.TextDelta("\n \n"), ev.PartEnded(), ev.Finished("stop")], "stop"),
}
CALL: Script = [ev.ToolCallStarted("c", "look"), ev.ToolCallDelta("{}"), ev.PartEnded(), ev.Finished("tool_calls")]
nothings = pytest.mark.parametrize(("script", "why"), NOTHING.values(), ids=NOTHING)


def scripted(*scripts: Script) -> ScriptedAdapter:
    return ScriptedAdapter({"m": list(scripts)})


def client(adapter: ScriptedAdapter) -> Client:
    return Client(backend=Runtime([adapter]), model="m")


@nothings
def test_a_reply_without_a_word_says_why(script: Script, why: Emptiness) -> None:
    """One stable word for a program, and a sentence for a person, in plain text too."""
    reply = client(scripted(script)).chat("hi")

    assert reply.empty == why
    assert [notice for notice in reply.notices if notice.startswith("The model returned no visible text")]
    assert "no visible text" in reply._repr_mimebundle_()["text/plain"]
    assert "no visible text" in reply._repr_mimebundle_()["text/html"]


@pytest.mark.anyio
async def test_who_streams_is_told_before_the_end() -> None:
    """The notice is on the stream before `Finished`, and the reply then knows too."""
    stream = AsyncClient(backend=Runtime([scripted([THOUGHT, ev.Finished("length")])]), model="m").stream("hi")

    seen = [event async for event in stream.events()]

    [notice] = [event for event in seen if isinstance(event, ev.Warned)]
    [end] = [event for event in seen if isinstance(event, ev.Finished)]
    assert notice.code == "empty_answer"
    assert seen.index(notice) < seen.index(end)
    assert stream.reply.empty == "reasoning"
    assert stream.reply.warnings == (notice,)


@pytest.mark.parametrize("script", [says("Hi"), CALL, [ev.TextDelta("Hi"), ev.Finished("length")]])
def test_an_answer_is_not_empty(script: Script) -> None:
    """Neither a word, nor a call of a tool alone, nor half an answer is called so."""
    reply = client(scripted(script)).chat("hi")

    assert reply.empty is None
    assert "visible" not in " ".join(reply.notices)


def test_what_was_stopped_or_failed_is_not_called_empty() -> None:
    """It says so itself."""
    about = {"model": "m", "provider": "p", "asked": "m", "finish_reason": "unknown"}

    assert Reply("", **about, stopped=True).empty is None
    assert Reply("", **about, error=Unavailable("gone", provider="p")).empty is None


def test_thoughts_of_an_earlier_round_do_not_explain_the_last_one() -> None:
    """Counts are of all rounds of tools; only what is shown in the last one tells of it."""
    reply = Reply(
        "", "m", "p", "m", "length", Usage(9, 0, reasoning_output_tokens=9), messages=(assistant("a"), assistant(""))
    )

    assert reply.empty == "length"


def test_a_retry_asks_the_last_question_again() -> None:
    """It goes out as it was asked, with the options of then, but for those that are given now."""
    adapter = scripted([THOUGHT, ev.PartEnded(), ev.Finished("length")], says("Four."))
    chat = client(adapter).conversation(system="Be brief.")
    first = chat.chat("2 + 2?", temperature=0, max_tokens=5)

    second = chat.retry(max_tokens=500)

    asked = adapter.requests[1]
    assert first.empty == "reasoning"
    assert [message.text for message in asked.messages] == ["Be brief.", "2 + 2?"]
    assert (asked.sampling.temperature, asked.sampling.max_output_tokens) == (0, 500)
    assert second.text == "Four."
    assert [message.text for message in chat.messages] == ["2 + 2?", "Four."]


@nothings
def test_a_turn_without_a_word_is_not_remembered(script: Script, why: Emptiness) -> None:
    """Later questions do not build on it: providers refuse a turn that says nothing."""
    chat = client(scripted(says("one"), script)).conversation()
    chat.chat("first")

    chat.chat("second")

    assert [message.text for message in chat.messages] == ["first", "one"]
    chat.undo()
    assert [message.text for message in chat.messages] == ["first", "one"]


def test_a_retry_takes_the_place_of_an_answer() -> None:
    """Asked again, a question stands once; a retry that brings nothing leaves the answer that was there."""
    chat = client(scripted(says("one"), says("two"), [ev.Finished("stop")], says("four"))).conversation()
    chat.chat("first")
    chat.chat("second")

    nothing = chat.retry()
    kept = [message.text for message in chat.messages]
    "".join(chat.stream_retry())

    assert nothing.empty == "stop"
    assert kept == ["first", "one", "second", "two"]
    assert [message.text for message in chat.messages] == ["first", "one", "second", "four"]


def test_a_question_that_failed_can_be_asked_again() -> None:
    """Its answer then stands in the conversation as if it had come at once."""
    chat = client(scripted([Refused("No.", provider="scripted")], says("up again"))).conversation()
    with pytest.raises(Refused):
        chat.chat("hello?")

    chat.retry()

    assert [message.text for message in chat.messages] == ["hello?", "up again"]


class Stepping(ScriptedAdapter):
    """Notes whose step each request is."""

    def __init__(self, scripts: Mapping[str, Sequence[Script]]) -> None:
        super().__init__(scripts)
        self.steps: list[str] = []

    async def stream(self, request: ChatRequest, card: ModelCard, attempt: Attempt) -> AsyncGenerator[ev.Event, None]:
        self.steps.append(attempt.step.id)
        async with aclosing(super().stream(request, card, attempt)) as events:
            async for event in events:
                yield event


def test_a_retry_is_a_new_step() -> None:
    """It is billed for itself, and what the empty answer cost stays booked."""
    adapter = Stepping({"m": [[ev.Finished("length")], says("Four.")]})
    chat = client(adapter).conversation()
    chat.chat("2 + 2?")

    chat.retry()

    assert len(set(adapter.steps)) == 2


def test_without_a_question_there_is_nothing_to_retry() -> None:
    """An empty conversation, and one whose last question was undone, ask nothing."""
    adapter = scripted(says("one"))
    chat = client(adapter).conversation()

    with pytest.raises(RequestError, match="no question"):
        chat.retry()
    chat.chat("first")
    chat.undo()
    with pytest.raises(RequestError, match="no question"):
        chat.retry()

    assert len(adapter.requests) == 1
