"""A chat's life without a widget: what a view asks for, and what it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import pytest

from osaurus_nb.client import AsyncClient
from osaurus_nb.errors import Unreachable
from osaurus_nb.events import Event, Finished, PartEnded, ReasoningDelta, TextDelta
from osaurus_nb.models import ModelCard
from osaurus_nb.ports import Attempt
from osaurus_nb.request import ChatRequest
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import Script, ScriptedAdapter, says
from osaurus_nb_widgets.session import Session

pytestmark = pytest.mark.anyio


@dataclass
class Screen:
    """Keeps what a real screen would show."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    selected_model: str = "m"
    sent: list[dict[str, Any]] = field(default_factory=list)

    def send(self, content: dict[str, Any]) -> None:
        self.sent.append(content)

    def kinds(self) -> list[str]:
        return [content["kind"] for content in self.sent]

    def streamed(self) -> str:
        return "".join(content.get("text", "") for content in self.sent if content["kind"] == "delta")

    async def until(self, kind: str, *, times: int = 1) -> None:
        async with asyncio.timeout(5):
            while self.kinds().count(kind) < times:
                await asyncio.sleep(0.002)


class Faulty(ScriptedAdapter):
    """An adapter with a bug."""

    async def stream(self, request: ChatRequest, card: ModelCard, attempt: Attempt) -> AsyncGenerator[Event, None]:
        raise ValueError("sk-canary")
        yield


def chat(*scripts: Script, **options: Any) -> tuple[Session, Screen, ScriptedAdapter]:
    adapter = ScriptedAdapter({"m": list(scripts), "other": [says("I am other.")]})
    screen = Screen()
    return Session(AsyncClient(backend=Runtime([adapter])), screen, options), screen, adapter


def slow(*words: str) -> Script:
    return [item for word in words for item in (TextDelta(word), 0.02)] + [30.0]


async def test_a_question_is_answered_in_deltas_and_then_as_a_whole():
    """The view hears at once, sees the text grow, and in the end has the transcript in one piece."""
    session, screen, _ = chat(says("Hel", "lo."))

    await session.handle({"kind": "ask", "id": 1, "text": " hi "})
    await screen.until("idle")

    assert screen.kinds() == ["heard", "turn", "delta", "delta", "idle"]
    assert screen.sent[1]["keep"] == 0
    assert [message["text"] for message in screen.sent[1]["tail"]] == ["hi", ""]
    assert [message["text"] for message in screen.messages] == ["hi", "Hello."]
    assert screen.messages[1]["footer"].startswith("scripted: m · 3 → 2 tokens")


async def test_many_deltas_are_sent_in_few_messages():
    """However fast a model is, a view gets at most 25 messages a second, and every character."""
    words = [f"word{number} " for number in range(400)]
    session, screen, _ = chat([*(item for word in words for item in (TextDelta(word), 0.001)), *says("end")])
    began = asyncio.get_running_loop().time()

    session.ask("talk")
    await screen.until("idle")

    seconds = asyncio.get_running_loop().time() - began
    assert screen.kinds().count("delta") <= seconds * 25 + 2
    assert screen.messages[-1]["text"] == "".join(words) + "end"
    assert screen.messages[-1]["text"].startswith(screen.streamed().removeprefix("end"))


async def test_stop_shows_the_partial_answer_at_once_and_stops_the_model():
    """The view does not wait for the model to let go; what came so far stays and counts."""
    session, screen, adapter = chat(slow("Once", " upon"), says("Right."))
    session.ask("tell")
    await screen.until("delta", times=2)

    await session.handle({"kind": "stop", "id": 2})
    settled = list(screen.messages)
    await asyncio.sleep(0.01)
    session.ask("go on")
    await screen.until("idle", times=2)

    assert settled[-1]["text"].startswith("Once")
    assert settled[-1]["stopped"]
    assert adapter.closed == 1
    assert [message.role for message in adapter.requests[-1].messages] == ["user", "assistant", "user"]


async def test_a_retry_asks_the_same_question_of_the_model_that_is_chosen_now():
    """One can ask another model the same thing; the first answer stays, marked as superseded."""
    session, screen, adapter = chat(says("First."))
    session.ask("who?")
    await screen.until("idle")

    await session.handle({"kind": "select", "model": "other"})
    await session.handle({"kind": "retry"})
    await screen.until("idle", times=2)

    assert [(message["text"], message.get("superseded")) for message in screen.messages[1:]] == [
        ("First.", True),
        ("I am other.", None),
    ]
    assert adapter.requests[1].model == "other"
    assert [message.text for message in adapter.requests[1].messages] == ["who?"]


async def test_a_failure_is_told_with_what_came_before_it():
    """A broken answer keeps its text and says what went wrong."""
    session, screen, _ = chat([TextDelta("Half"), Unreachable("The line went dead.", provider="scripted")])

    session.ask("talk")
    await screen.until("idle")

    assert screen.messages[-1]["text"] == "Half"
    assert screen.messages[-1]["failed"]
    assert screen.messages[-1]["notices"][-1]["level"] == "error"


async def test_an_unknown_model_is_told_with_near_matches():
    """The error of the client reaches the page word for word."""
    session, screen, _ = chat(says("Hi."))
    screen.selected_model = "scriptd/other"

    session.ask("talk")
    await screen.until("idle")

    assert "Did you mean 'scripted/other'" in screen.messages[-1]["notices"][0]["text"]


async def test_a_fault_of_ours_is_shown_without_what_was_said():
    """An exception is never lost, and its text, which may hold a prompt or a key, is never shown."""
    screen = Screen()
    session = Session(AsyncClient(backend=Runtime([Faulty({"m": [says("Hi.")]})])), screen, {})

    session.ask("talk")
    await screen.until("idle")

    shown = str(screen.messages) + str(screen.sent)
    assert "sk-canary" not in shown
    assert screen.messages[-1]["failed"]
    assert "ValueError" in screen.messages[-1]["notices"][0]["text"]


async def test_clear_stops_and_forgets():
    """A new chat starts from nothing, for the view and for the model."""
    session, screen, adapter = chat(slow("Once"), says("Fresh."))
    session.ask("tell")
    await screen.until("delta")

    await session.handle({"kind": "clear"})
    cleared = list(screen.messages)
    session.ask("again")
    await screen.until("idle", times=3)

    assert cleared == []
    assert [message.text for message in adapter.requests[-1].messages] == ["again"]


async def test_a_view_that_opens_late_is_brought_up_to_date():
    """A second view, or one that was reopened, gets the answer so far and then the rest, nothing twice."""
    session, screen, _ = chat([TextDelta("one "), 0.1, TextDelta("two"), 0.1, *says("!")])
    session.ask("count")
    await screen.until("delta")
    screen.sent.clear()

    await session.handle({"kind": "hello"})
    await screen.until("idle")

    assert screen.sent[0]["kind"] == "turn"
    assert screen.sent[0]["tail"][-1]["text"] == "one "
    assert screen.streamed().startswith("two")


async def test_reasoning_is_kept_apart_from_the_answer():
    """Thinking streams and is saved in a field of its own."""
    session, screen, _ = chat([ReasoningDelta("Hm."), PartEnded(0), TextDelta("Yes.", index=1), Finished("stop")])

    session.ask("well?")
    await screen.until("idle")

    assert (screen.messages[-1]["text"], screen.messages[-1]["reasoning"]) == ("Yes.", "Hm.")


async def test_options_hold_for_each_question():
    """The system prompt and the sampling of the chat go with every request."""
    session, screen, adapter = chat(says("Hi."), system="Be brief.", temperature=0.0)

    session.ask("one")
    await screen.until("idle")

    assert adapter.requests[0].messages[0].text == "Be brief."
    assert adapter.requests[0].sampling.temperature == 0.0


async def test_the_picker_gets_models_and_reasons():
    """Asking for the list looks afresh and sends it whole."""
    session, screen, _ = chat(says("Hi."))

    await session.handle({"kind": "models", "id": 7})

    assert screen.sent[0] == {"kind": "heard", "id": 7}
    assert [model["name"] for model in screen.sent[1]["groups"][0]["models"]] == ["scripted/m", "scripted/other"]


async def test_a_request_that_comes_twice_is_done_once():
    """A view repeats itself until it is heard; nobody is billed twice for that."""
    session, screen, adapter = chat(says("Hi."))

    for _ in range(3):
        await session.handle({"kind": "ask", "id": "view-1", "text": "hello"})
    await screen.until("idle")

    assert len(adapter.requests) == 1
    assert screen.kinds().count("heard") == 3


async def test_odd_messages_are_ignored():
    """A view of another version, or a stranger on the comm, cannot break the chat."""
    session, screen, _ = chat(says("Hi."))

    for message in ({}, {"kind": "ask"}, {"kind": "ask", "text": 7}, {"kind": "ask", "text": "  "}, {"kind": "?"}):
        await session.handle(message)

    assert screen.sent == []


async def test_an_answer_without_a_word_is_asked_again_as_a_new_step():
    """The view learns why there is nothing to read; its retry is another request, with the model of now."""
    session, screen, adapter = chat([ReasoningDelta("hm"), PartEnded(), Finished("length")], says("Four."))
    session.ask("2 + 2?")
    await screen.until("idle")
    first = screen.messages[-1]

    await session.handle({"kind": "retry", "id": 2})
    await screen.until("idle", times=2)

    assert first["empty"] == "reasoning"
    assert "no visible text" in first["notices"][0]["text"]
    assert [[message.text for message in request.messages] for request in adapter.requests] == [["2 + 2?"]] * 2
    assert [message["text"] for message in screen.messages] == ["2 + 2?", "", "Four."]
    assert "empty" not in screen.messages[-1]
