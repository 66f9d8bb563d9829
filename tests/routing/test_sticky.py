"""A conversation stays with its model, and nothing of it is kept."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb.messages import Media, Message, Text, ToolCall, assistant, system, tool_result, user
from osaurus_nb.request import ChatRequest, RouteOptions
from osaurus_nb.routing import sticky as room
from osaurus_nb.routing.sticky import Sticky, continues

SECRET_WORDS = "the merger with Initech"
CALL = ToolCall("1", "look", "{}")


@pytest.fixture
def sticky() -> Sticky:
    return Sticky(secret=b"k" * 32)


def ask(*messages: Message, model: str = "osaurus/auto", **route: str) -> ChatRequest:
    return ChatRequest(model, messages, route=RouteOptions(**route))  # type: ignore[arg-type] - of texts alone


def test_a_conversation_keeps_its_key_as_it_grows(sticky: Sticky) -> None:
    """Later turns, tool calls and results among them, belong to the conversation that began with the same words."""
    opening = (system("Be brief."), user("Who was Ada?"))
    later = (*opening, assistant(CALL), tool_result(CALL, "a countess"), assistant("A countess."), user("And then?"))

    assert sticky.key(ask(*opening)) == sticky.key(ask(*later))


@pytest.mark.parametrize(
    "other",
    [
        ask(system("Be brief."), user("Who was Bob?")),
        ask(system("Be long."), user("Who was Ada?")),
        ask(system("Be brief."), user("Who was Ada?"), model="osaurus/frontier"),
        ask(system("Be brief."), user("Who was Ada?"), profile="agentic"),
        ask(system("Be brief."), user("Who was Ada?"), turn="7"),
        ask(system("Be brief.Who was Ada?")),
        ask(system("Be brief."), user("Who was Ada?", Media("image", data=b"x"))),
    ],
)
def test_another_beginning_is_another_conversation(sticky: Sticky, other: ChatRequest) -> None:
    """Other words, instructions, pictures, profiles or names of the turn are kept apart."""
    assert sticky.key(ask(system("Be brief."), user("Who was Ada?"))) != sticky.key(other)


def test_the_callers_own_name_for_a_turn_goes_first(sticky: Sticky) -> None:
    """With a name the words do not matter: an agent may rewrite its whole prompt within one turn."""
    assert sticky.key(ask(user("a"), turn="t-1")) == sticky.key(ask(user("b"), assistant("c"), user("d"), turn="t-1"))


def test_two_owners_share_no_conversation(sticky: Sticky) -> None:
    """Whoever asks the same with another key does not learn whom the first was answered by."""
    request = ask(user("hello"), turn="t-1")

    assert sticky.key(request, owner="key-1") != sticky.key(request, owner="key-2")


def test_the_first_question_is_no_continuation() -> None:
    """Asking the same thing anew is free to go elsewhere; a later turn and a named one are not."""
    assert not continues(ask(system("s"), user("hello")))
    assert continues(ask(user("hello"), assistant("hi"), user("and?")))
    assert continues(ask(user("hello"), assistant(CALL), tool_result(CALL, "ok")))
    assert continues(ask(user("hello"), turn="t-1"))


def test_a_model_is_held_until_half_an_hour_after_the_last_turn(sticky: Sticky) -> None:
    """Each answer begins the time anew; afterwards the conversation is free."""
    sticky.hold("c", "lab/m", 0.0)
    assert sticky.held("c", 1799.0) == "lab/m"

    sticky.hold("c", "lab/m", 1799.0)

    assert sticky.held("c", 3598.0) == "lab/m"
    assert sticky.held("c", 3599.0) is None
    assert len(sticky) == 0


def test_what_is_released_is_free(sticky: Sticky) -> None:
    """After a failure or another need the conversation is with nobody; releasing it twice is no fault."""
    sticky.hold("c", "lab/m", 0.0)

    sticky.release("c")
    sticky.release("c")

    assert sticky.held("c", 1.0) is None


def test_a_model_that_is_gone_is_left_by_all(sticky: Sticky) -> None:
    """Its conversations are free, those of others are not."""
    sticky.hold("a", "lab/m", 0.0)
    sticky.hold("b", "lab/m", 0.0)
    sticky.hold("c", "lab/n", 0.0)

    sticky.leave("lab/m")

    assert [sticky.held(key, 1.0) for key in "abc"] == [None, None, "lab/n"]


def test_only_so_many_conversations_are_remembered(sticky: Sticky) -> None:
    """The one that was silent the longest is forgotten first."""
    for number in range(room.MOST + 5):
        sticky.hold(str(number), "lab/m", 0.0)

    assert len(sticky) == room.MOST
    assert sticky.held("0", 1.0) is None
    assert sticky.held(str(room.MOST + 4), 1.0) == "lab/m"


def test_nothing_of_a_conversation_is_kept(sticky: Sticky) -> None:
    """Not even the memory of the process holds its words: only digests, and another process has others."""
    request = ask(system(SECRET_WORDS), user(SECRET_WORDS), turn=SECRET_WORDS)
    key = sticky.key(request)
    sticky.hold(key, "lab/m", 0.0)

    assert SECRET_WORDS.encode() not in pickle.dumps(sticky)
    assert key != Sticky().key(request)


@given(st.text(), st.text())
def test_any_text_has_a_key(instructions: str, question: str) -> None:
    """Lone surrogates and empty texts are texts too, and where one ends and the next begins is not lost."""
    sticky = Sticky(secret=b"k" * 32)

    key = sticky.key(ask(system(instructions), Message("user", (Text(question + "\ud800"),))))

    assert len(key) == 32
    if question:
        assert key != sticky.key(ask(system(instructions + question), Message("user", (Text("\ud800"),))))
