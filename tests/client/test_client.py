"""Asking: sync and async, whole and streamed, with tools and in conversation."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest

from osaurus_nb import assistant, image, system, user
from osaurus_nb import events as ev
from osaurus_nb.client import AsyncClient, Client
from osaurus_nb.errors import (
    BadAnswer,
    CredentialRejected,
    ModelNotFound,
    OsaurusError,
    RateLimited,
    RequestError,
    StreamCut,
)
from osaurus_nb.messages import Media, Text
from osaurus_nb.models import Usage
from osaurus_nb.reply import Reply
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import Script, ScriptedAdapter, says

Ask = Callable[[ScriptedAdapter, str], Reply]


def scripted(*scripts: Script, **models: Sequence[Script]) -> ScriptedAdapter:
    return ScriptedAdapter({"m": scripts or [says("Hello", " there")], **models})


def client(adapter: ScriptedAdapter) -> Client:
    return Client(model="scripted/m", backend=Runtime([adapter]))


def ask_sync(adapter: ScriptedAdapter, prompt: str) -> Reply:
    return client(adapter).chat(prompt)


def ask_sync_stream(adapter: ScriptedAdapter, prompt: str) -> Reply:
    stream = client(adapter).stream(prompt)
    assert "".join(stream) == stream.reply.text
    return stream.reply


def ask_async(adapter: ScriptedAdapter, prompt: str) -> Reply:
    return asyncio.run(AsyncClient(model="scripted/m", backend=Runtime([adapter])).chat(prompt))


def ask_async_stream(adapter: ScriptedAdapter, prompt: str) -> Reply:
    async def ask() -> Reply:
        stream = AsyncClient(model="scripted/m", backend=Runtime([adapter])).stream(prompt)
        assert "".join([piece async for piece in stream]) == stream.reply.text
        return stream.reply

    return asyncio.run(ask())


@pytest.mark.parametrize("ask", [ask_sync, ask_sync_stream, ask_async, ask_async_stream])
def test_all_four_ways_give_the_same_reply(ask: Ask) -> None:
    """One path: sync, async, whole and streamed bring back the same."""
    reply = ask(scripted(), "hi")

    assert str(reply) == reply.text == "Hello there"
    assert (reply.provider, reply.model, reply.asked) == ("scripted", "m", "scripted/m")
    assert reply.usage == Usage(input_tokens=3, output_tokens=2)
    assert reply.finish_reason == "stop"
    assert reply.attempts == (ev.AttemptStarted(1, "scripted", "scripted/m"),)
    assert reply.timings is not None
    assert reply.timings.first_token is not None
    assert not reply.stopped


@pytest.mark.parametrize("ask", [ask_sync, ask_sync_stream, ask_async, ask_async_stream])
def test_all_four_ways_raise_the_same_fault(ask: Ask) -> None:
    """A provider's fault is raised, and the partial text is not lost."""
    adapter = scripted([ev.TextDelta("Hel"), BadAnswer("cut", provider="scripted")])

    with pytest.raises(StreamCut) as caught:
        ask(adapter, "hi")

    assert caught.value.reply.text == "Hel"
    assert caught.value.reply.error is caught.value


def test_parts_system_and_options_reach_the_model() -> None:
    """Texts, images, a system prompt and tuning all arrive in the neutral request."""
    adapter = scripted()
    png = b"\x89PNG\r\n\x1a\n"

    client(adapter).chat(["What is this?", image(png)], system="Be brief.", temperature=0, max_tokens=5, stop="x")

    request = adapter.requests[0]
    assert request.messages == (system("Be brief."), user("What is this?", Media("image", "image/png", data=png)))
    assert (request.sampling.temperature, request.sampling.max_output_tokens) == (0, 5)
    assert request.sampling.stop == ("x",)


def test_whole_messages_may_be_given() -> None:
    """A list of turns is taken as it is."""
    adapter = scripted()
    turns = [user("one"), assistant("two"), user("three")]

    client(adapter).chat(turns)

    assert adapter.requests[0].messages == tuple(turns)


def test_what_is_no_prompt_or_option_is_refused() -> None:
    """A misspelt option or an empty prompt is an error before anything is asked."""
    adapter = scripted()

    with pytest.raises(RequestError, match="temprature"):
        client(adapter).chat("hi", temprature=0)  # type: ignore[call-arg]
    with pytest.raises(RequestError, match="empty"):
        client(adapter).chat("")
    assert adapter.requests == []


def test_an_unknown_model_is_never_replaced() -> None:
    """The error lists near matches; no other model is asked."""
    adapter = scripted()

    with pytest.raises(ModelNotFound):
        client(adapter).chat("hi", model="n")

    assert adapter.requests == []


def test_fallbacks_answer_only_when_named() -> None:
    """The caller's own list lets another model answer, and the reply says which did."""
    adapter = scripted([RateLimited("slow down", provider="scripted")], other=[says("from other")])

    with pytest.raises(RateLimited):
        client(adapter).chat("hi")
    reply = client(adapter).chat("hi", fallbacks=["scripted/other"])

    assert reply.text == "from other"
    assert (reply.asked, reply.model, reply.substituted) == ("scripted/m", "other", True)


def call(arguments: str, name: str = "add") -> Script:
    return [ev.ToolCallStarted("1", name), ev.ToolCallDelta(arguments), ev.PartEnded(), ev.Finished("tool_calls")]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_tools_are_run_until_the_model_answers() -> None:
    """A Python function is described, called with the model's arguments, and its result is sent back."""
    adapter = scripted(call('{"a": 2, "b": 3}'), says("It is 5."))

    reply = client(adapter).chat("2 + 3?", tools=[add])

    assert reply.text == "It is 5."
    first, second = adapter.requests
    assert first.tools[0].description == "Add two numbers."
    assert first.tools[0].parameters["properties"]["a"]["type"] == "integer"
    assert second.messages[-1].role == "tool"
    assert [message.role for message in reply.messages] == ["assistant", "tool", "assistant"]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (call("{}"), "do not fit"),
        (call("[1]"), "do not fit"),
        (call('{"a": 1, "b": null}'), "TypeError"),
        (call("{}", name="remove_all"), "no tool 'remove_all'"),
    ],
)
def test_a_bad_tool_call_is_told_to_the_model(script: Script, told: str) -> None:
    """Wrong arguments, a raising function and an unknown name come back as error results; nothing else runs."""
    adapter = scripted(script, says("sorry"))

    reply = client(adapter).chat("go", tools=[add])

    result = reply.messages[1].parts[0]
    assert told in result.text  # type: ignore[union-attr]
    assert result.is_error  # type: ignore[union-attr]


def test_a_cut_tool_call_is_never_run() -> None:
    """Arguments that did not arrive whole are not executed."""
    ran: list[int] = []
    cut: Script = [ev.ToolCallStarted("1", "note"), ev.ToolCallDelta('{"x": 1'), ev.Finished("length")]

    def note(x: int) -> None:
        ran.append(x)

    reply = client(scripted(cut)).chat("go", tools=[note])

    assert ran == []
    assert reply.finish_reason == "length"


def test_the_tool_loop_is_bounded() -> None:
    """A model that only calls tools is stopped after the rounds that were allowed."""
    adapter = scripted(call('{"a": 1, "b": 1}'))

    reply = client(adapter).chat("loop", tools=[add], max_rounds=3)

    assert len(adapter.requests) == 4
    assert reply.warnings[-1].code == "tool_rounds"


def test_a_tool_may_use_the_client() -> None:
    """Tools run in a thread: a sync call inside one does not deadlock."""
    adapter = scripted(call('{"a": 1, "b": 1}'), says("inner"), says("outer"))
    asking = client(adapter)

    def add(a: int, b: int) -> str:
        return asking.chat("inside").text

    assert asking.chat("outside", tools=[add]).text == "outer"


def test_a_conversation_remembers() -> None:
    """Each turn is sent with all before it; undo forgets the last one."""
    adapter = scripted(says("one"), says("two"), says("three"))
    chat = client(adapter).conversation(system="Be brief.")

    chat.chat("first")
    "".join(chat.stream("second"))

    assert [message.text for message in adapter.requests[1].messages] == ["Be brief.", "first", "one", "second"]
    assert [message.text for message in chat.messages] == ["first", "one", "second", "two"]
    chat.undo()
    assert [message.text for message in chat.messages] == ["first", "one"]


def test_a_failed_turn_is_not_remembered() -> None:
    """A question that got no answer does not stay in the conversation."""
    adapter = scripted([CredentialRejected("no such key", provider="scripted")], says("fine"))
    chat = client(adapter).conversation()

    with pytest.raises(CredentialRejected):
        chat.chat("first")
    chat.chat("second")

    assert [message.text for message in chat.messages] == ["second", "fine"]


def test_stopping_keeps_the_partial_text_and_stops_the_model() -> None:
    """Leaving a stream keeps what came, marks it as stopped and closes the work upstream."""
    adapter = scripted([ev.TextDelta("Once"), 30.0])
    stream = client(adapter).stream("a story")

    with stream:
        for _ in stream:
            break

    assert stream.reply.text == "Once"
    assert stream.reply.stopped
    assert "stopped" in stream.reply.footer
    _eventually(lambda: adapter.closed == 1)


def test_it_works_from_a_thread_while_a_loop_runs() -> None:
    """A widget's callback thread may ask while the notebook's loop is busy."""
    asking, texts = client(scripted()), []

    async def cell() -> None:
        thread = threading.Thread(target=lambda: texts.append(asking.chat("hi").text))
        thread.start()
        texts.append(asking.chat("hi").text)
        thread.join(5)

    asyncio.run(cell())

    assert texts == ["Hello there", "Hello there"]


def test_a_reply_shows_itself_without_its_text_in_repr() -> None:
    """repr() is for logs: it holds no answer. The notebook's bundle does."""
    reply = client(scripted(says("canary"))).chat("secret question")

    assert "canary" not in repr(reply)
    assert reply._repr_mimebundle_()["text/plain"].startswith("canary")


def test_models_and_status_are_listed() -> None:
    """The client lists what can be named and how each provider is doing."""
    asking = client(scripted())

    assert [card.name for card in asking.models()] == ["scripted/m"]
    assert asking.status()[0].models == 1
    assert isinstance(asking.chat("x").message.parts[0], Text)


def test_a_broken_observer_cannot_hurt(caplog: pytest.LogCaptureFixture) -> None:
    """What an observer raises is logged once; the answer goes on."""

    class Broken:
        def observe(self, note: object, /) -> None:
            raise ZeroDivisionError("prompt text")

    runtime = Runtime([scripted()], observers=[Broken()])

    reply = Client(model="scripted/m", backend=runtime).chat("hi")

    assert reply.text == "Hello there"
    assert [record.message for record in caplog.records] == ["Broken failed with ZeroDivisionError and is ignored"]


def _eventually(holds: Callable[[], bool]) -> None:
    for _ in range(100):
        if holds():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came true")


def test_errors_are_one_family() -> None:
    """Everything raised on purpose is an OsaurusError."""
    with pytest.raises(OsaurusError):
        client(scripted()).chat("hi", model="nothing/at-all")
