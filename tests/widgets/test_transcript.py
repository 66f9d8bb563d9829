"""What a chat keeps, shows and sends on."""

from __future__ import annotations

from osaurus_nb.errors import Unreachable
from osaurus_nb.events import Warned
from osaurus_nb.messages import Reasoning, assistant
from osaurus_nb.reply import Reply
from osaurus_nb_widgets.transcript import Answer, Exchange, Transcript, finished, plain


def reply(text: str, **about: object) -> Reply:
    said = (assistant(text),) if text else ()
    given = {"model": "m", "provider": "p", "asked": "m", "finish_reason": "stop", "messages": said, **about}
    return Reply(text, **given)


def answered(transcript: Transcript, question: str, text: str) -> Exchange:
    exchange = transcript.ask(question)
    exchange.answer, exchange.writing = finished(exchange.answer.id, reply(text)), False
    return exchange


def test_a_question_is_sent_with_all_turns_before_it():
    """The model hears what was said so far, in order."""
    transcript = Transcript()
    answered(transcript, "one?", "One.")
    transcript.ask("two?")

    turns = [(message.role, message.text) for message in transcript.prompt()]

    assert turns == [("user", "one?"), ("assistant", "One."), ("user", "two?")]


def test_a_question_without_an_answer_is_not_sent_again():
    """A turn that failed stays on the page, but later questions do not build on it."""
    transcript = Transcript()
    exchange = transcript.ask("lost?")
    exchange.answer = finished(exchange.answer.id, reply("", error=Unreachable("gone", provider="p")))
    transcript.ask("next?")

    assert [message.text for message in transcript.prompt()] == ["next?"]
    assert transcript.public()[0]["text"] == "lost?"


def test_a_retry_keeps_the_old_answer_as_an_earlier_one():
    """Nothing that was read disappears; only the new answer counts."""
    transcript = Transcript()
    exchange = answered(transcript, "one?", "Old.")
    transcript.retry()
    exchange.answer = finished(exchange.answer.id, reply("New."))

    shown = [(message["text"], message.get("superseded", False)) for message in transcript.public()[1:]]
    transcript.ask("two?")

    assert shown == [("Old.", True), ("New.", False)]
    assert [message.text for message in transcript.prompt()] == ["one?", "New.", "two?"]


def test_a_retry_replaces_an_answer_without_a_word():
    """A failure that is asked again leaves no empty place."""
    transcript = Transcript()
    exchange = transcript.ask("one?")
    exchange.answer = finished(exchange.answer.id, reply("", error=Unreachable("gone", provider="p")))

    transcript.retry()

    assert exchange.earlier == []


def test_there_is_nothing_to_retry_at_the_start():
    """A retry in an empty chat asks nothing."""
    assert Transcript().retry() is None


def test_ids_are_never_used_twice():
    """A view keeps what it drew by its id, also after the chat was cleared."""
    transcript = Transcript()
    answered(transcript, "one?", "One.")
    first = {message["id"] for message in transcript.public()}

    transcript.clear()
    answered(transcript, "two?", "Two.")

    assert first.isdisjoint(message["id"] for message in transcript.public())


def test_what_is_odd_about_an_answer_becomes_a_notice():
    """Warnings, a cut, a stop and a failure are each told in words."""
    warned = finished(1, reply("Hi", warnings=(Warned("dropped", "seed was ignored"),), finish_reason="length"))
    stopped = finished(2, reply("Hi", stopped=True))
    failed = finished(3, reply("", error=Unreachable("No route to p.", provider="p")))

    assert [notice.text for notice in warned.notices] == [
        "seed was ignored",
        "The answer reached its token limit and is cut off there.",
    ]
    assert [notice.text for notice in stopped.notices] == ["Stopped."]
    assert stopped.footer == "p: m"
    assert [(notice.text, notice.level) for notice in failed.notices] == [("No route to p.", "error")]
    assert failed.failed
    assert failed.footer == ""


def test_the_plain_transcript_leaves_out_what_was_asked_again():
    """Where no widget can be shown, the conversation that counts is readable."""
    transcript = Transcript()
    exchange = answered(transcript, "one?", "Old.")
    transcript.retry()
    exchange.answer, exchange.writing = finished(exchange.answer.id, reply("New.", stopped=True)), False

    assert plain(transcript.public()) == "You: one?\n\nModel: New.\n[Stopped.]\n(p: m)"


def test_a_repr_shows_no_content():
    """Questions and answers reach no log by accident."""
    exchange = Exchange(1, "secret question", Answer(2, "secret answer"))

    assert "secret" not in repr(exchange)
    assert "secret" not in repr(exchange.answer)


NOTHING = Warned("empty_answer", "The model returned no visible text: the token limit was used up.")


def test_an_answer_without_a_word_says_so_once():
    """It is marked with why, and its one notice is not repeated in other words; a cut answer is no such thing."""
    thought = (assistant(Reasoning("hm")),)
    nothing = finished(1, reply("", finish_reason="length", warnings=(NOTHING,), messages=thought))
    cut = finished(2, reply("Hi", finish_reason="length"))

    shown = nothing.public()
    assert shown["empty"] == "reasoning"
    assert shown["reasoning"] == "hm"
    assert shown["footer"].startswith("p: m")
    assert shown["notices"] == [{"text": NOTHING.message, "level": "warning"}]
    assert "empty" not in cut.public()


def test_an_answer_without_a_word_is_asked_again_and_not_sent_on():
    """What it may have cost stays in sight as an earlier answer; no later question builds on its thoughts."""
    transcript = Transcript()
    exchange = transcript.ask("one?")
    thought = (assistant(Reasoning("hm")),)
    exchange.answer = finished(exchange.answer.id, reply("", finish_reason="length", messages=thought))
    transcript.ask("two?")
    sent = [message.text for message in transcript.prompt()]
    transcript.exchanges.pop()

    transcript.retry()

    assert sent == ["two?"]
    assert [(row.get("empty"), row.get("superseded", False)) for row in transcript.public()[1:]] == [
        ("reasoning", True),
        (None, False),
    ]
