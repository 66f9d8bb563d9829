"""An answer without a visible word in a cell: what is shown of it, and how it is asked again."""

from __future__ import annotations

import pytest

from osaurus_nb import notebook
from osaurus_nb.client import Client
from osaurus_nb.events import Finished, PartEnded, ReasoningDelta, TextDelta
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says

THOUGHT = [ReasoningDelta("hm"), PartEnded(), Finished("length")]
EMPTY = {"echo": [THOUGHT, says("Four.")], "other": [says("I am other.")]}
with_nothing_first = pytest.mark.parametrize("scripts", [EMPTY])


@with_nothing_first
def test_a_cell_says_that_nothing_came_and_what_to_do(room):
    """The notice is in the rich form and in the plain one, with its cause and the way to ask again."""
    result = room.run("%%osaurus\n2 + 2?")

    shown = room.shown[-1]["data"]
    assert result.result.empty == "reasoning"
    for form in ("text/plain", "text/html"):
        assert "The model returned no visible text" in shown[form]
        assert "%osaurus retry" in shown[form]


@with_nothing_first
def test_a_terminal_says_so_too(plain, capsys):
    """What is printed is never nothing."""
    plain.run("%%osaurus\n2 + 2?")

    printed = capsys.readouterr().out
    assert "Note: The model returned no visible text" in printed
    assert "%osaurus retry" in printed


@pytest.mark.parametrize("scripts", [{"echo": [[TextDelta("\n"), PartEnded(), Finished("stop")]]}])
def test_blanks_are_no_answer(room):
    """Whoever looks at the cell sees none."""
    room.run("%%osaurus\nhi")

    assert "no visible text" in room.shown[-1]["data"]["text/plain"]


@with_nothing_first
def test_retry_asks_the_last_question_again(room):
    """As a new request, with the options of then but for its own, and into the same variable."""
    room.run("%%osaurus -t 0 --max-tokens 5 -> sum\n2 + 2?")

    again = room.run("%osaurus retry --max-tokens 500").result

    sampling = room.adapter.requests[1].sampling
    assert room.asked == ["2 + 2?", "2 + 2?"]
    assert (sampling.temperature, sampling.max_output_tokens) == (0, 500)
    assert again.text == "Four."
    assert room.shell.user_ns["sum"] is again


@with_nothing_first
def test_retry_can_ask_another_model_and_fill_another_variable(room):
    """Its options and its arrow are those of a question; the next retry builds on them."""
    room.run("%osaurus ask hello")

    room.run("two = %osaurus retry -m other")
    room.run("%osaurus retry -> three")

    assert room.shell.user_ns["two"].text == room.shell.user_ns["three"].text == "I am other."


def test_retry_asks_the_values_of_then(room):
    """What was put into the prompt stays as it was sent."""
    room.shell.user_ns["topic"] = "rivers"
    room.run("%osaurus ask about {{topic}}")
    room.shell.user_ns["topic"] = "lakes"

    room.run("%osaurus retry")

    assert room.asked == ["about rivers", "about rivers"]


@with_nothing_first
def test_a_turn_is_asked_again_in_its_conversation(room):
    """The empty turn leaves no trace in what later turns are sent with."""
    room.run("%%osaurus --chat -m other\nhello")
    room.run("%%osaurus --chat\n2 + 2?")

    room.run("%osaurus retry")
    room.run("%%osaurus --chat\nthanks")

    turns = [message.text for message in room.adapter.requests[-1].messages]
    assert turns == ["hello", "I am other.", "2 + 2?", "Four.", "thanks"]


def test_retry_needs_a_question(room, capsys):
    """Before the first one, and in a conversation that was forgotten, there is none; another text is none either."""
    room.run("%osaurus retry")
    room.run("%%osaurus --chat\nhi")
    room.run("%osaurus chat reset")
    room.run("%osaurus retry")
    room.run("%osaurus ask hi")
    room.run("%osaurus retry and say more")
    room.run("%osaurus retry --new")

    said = capsys.readouterr()
    assert (said.out + said.err).count("There is no question to ask again yet.") == 2
    assert "Unrecognized arguments: and say more" in said.out + said.err
    assert "takes no --new or --chat" in said.out + said.err
    assert room.asked == ["hi", "hi"]


def test_retry_goes_to_who_answers_now(room):
    """Another client that was put to use is asked, for its models may be the reason to ask again."""
    room.run("%osaurus ask hi")
    adapter = ScriptedAdapter({"new": [says("I am new.")]})
    notebook.use(Client(backend=Runtime([adapter]), model="scripted/new"), shell=room.shell)

    reply = room.run("%osaurus retry").result

    assert reply.text == "I am new."
