"""`--profile`, `--mode` and `--private`; `%osaurus route` and `%osaurus private`; and the same in a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from IPython.core.completer import CompletionContext

from osaurus_nb import cli, notebook
from osaurus_nb.client import Client
from osaurus_nb.errors import LocalOnly, NoEligibleModel, RequestError, Unavailable
from osaurus_nb.notebook.texts import HELP
from osaurus_nb.routes import MODES
from osaurus_nb.routing.choosing import Chooser
from osaurus_nb.routing.health import Health
from osaurus_nb.routing.profiles import Profiles
from osaurus_nb.runtime import Runtime
from tests.notebook.conftest import Room


@pytest.fixture
def room(room: Room) -> Room:
    """Its models can be chosen among."""
    runtime = Runtime([room.adapter], chooser=Chooser(Health(), Profiles()))
    notebook.use(Client(backend=runtime, model="scripted/echo"), shell=room.shell)
    return room


def last(room: Room) -> dict[str, str]:
    found: dict[str, str] = room.shown[-1]["data"]
    return found


def test_a_cell_asks_by_profile_and_mode(room: Room):
    """The profile chooses, and the line below the answer says so."""
    room.run("%%osaurus --profile auto --mode best\nhi")

    assert room.adapter.requests[-1].route.mode == "best"
    assert "by osaurus/auto" in last(room)["text/html"]


@pytest.mark.parametrize("line", ["%osaurus route --mode fast --profile auto hi", "%osaurus route -m auto hi"])
def test_route_asks_nobody(room: Room, line: str):
    """Who would answer and why, as tables."""
    room.run(line)

    assert room.adapter.requests == []
    assert "by osaurus/auto" in last(room)["text/plain"]
    assert "mostly for" in last(room)["text/html"]


@pytest.mark.parametrize("line", ["%osaurus route", "%osaurus route --last"])
def test_route_alone_is_about_the_last_answer(room: Room, line: str):
    """It agrees with what happened; where nothing was chosen, that is said."""
    room.run("%osaurus ask --profile auto hi")
    room.run(line)
    chosen = last(room)["text/plain"]
    room.run("%osaurus ask hi")
    room.run(line)

    assert "by osaurus/auto" in chosen
    assert "was named: nothing was chosen" in last(room)["text/plain"]


def test_route_before_anything_was_asked(room: Room):
    """Says what to write."""
    assert "%osaurus route QUESTION" in str(room.run("%osaurus route").error_in_exec)


def test_values_stand_in_the_question_that_is_explained(room: Room):
    """As in one that is asked."""
    room.run("topic = 'monads'")

    ran = room.run("%osaurus route --profile auto Explain {{topic}} and {{nothing}}")

    assert "nothing" in str(ran.error_in_exec)


@pytest.mark.parametrize("name", ["osaurus/auto", "auto"])
def test_a_profile_can_be_the_one_that_answers(room: Room, name: str):
    """`%osaurus use` takes it as it takes a model."""
    room.run(f"%osaurus use {name}")
    room.run("%osaurus ask hi")

    assert "by osaurus/auto" in last(room)["text/html"]


def test_who_failed_before_is_said_below_the_answer(room: Room):
    """No hop is silent."""
    room.adapter._scripts["echo"] = [[Unavailable("It fell over.", provider="scripted")]]

    room.run("%osaurus ask -m scripted/echo --fallback scripted/other hi")

    assert "did not answer: It fell over." in last(room)["text/html"]


@pytest.mark.parametrize("cell", ["%%osaurus --private\nhi", "%%osaurus --private --profile auto\nhi"])
def test_a_private_cell_asks_no_stranger(room: Room, cell: str):
    """None of these models is on this machine."""
    ran = room.run(cell)

    assert isinstance(ran.error_in_exec, LocalOnly | NoEligibleModel)
    assert room.adapter.requests == []


def test_a_private_notebook_asks_no_stranger(room: Room):
    """Until it is switched off: every question, in a conversation, asked again or only explained."""
    room.run("%osaurus ask hi")
    room.run("%osaurus private on")
    refused = [
        room.run("%osaurus ask hi"),
        room.run("%osaurus ask --chat --mode best hi"),
        room.run("%osaurus retry"),
    ]
    room.run("%osaurus route --profile auto hi")
    explained = last(room)["text/plain"]
    room.run("%osaurus status")
    shown = last(room)["text/plain"]
    asked = len(room.adapter.requests)
    room.run("%osaurus private off")
    room.run("%osaurus ask hi")

    assert all(isinstance(ran.error_in_exec, LocalOnly | NoEligibleModel) for ran in refused)
    assert "mode local-strict" in explained
    assert "private" in shown
    assert (asked, len(room.adapter.requests)) == (1, 2)


@pytest.mark.parametrize(("option", "named"), [("--mode no", MODES), ("--profile no", ("auto", "frontier"))])
def test_what_there_is_not_is_refused_with_what_there_is(room: Room, option: str, named: tuple[str, ...]):
    """One line, with the names that exist."""
    ran = room.run(f"%osaurus ask {option} hi")

    assert isinstance(ran.error_in_exec, RequestError)
    assert all(name in str(ran.error_in_exec) for name in named)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("%%osaurus --mode l", ["local-first", "local-strict"]),
        ("%osaurus ask -t 0 --mode=re", ["realtime"]),
        ("%%osaurus --profile fron", ["frontier", "frontier-large"]),
        ("%osaurus private o", ["on", "off"]),
        ("%osaurus rout", ["router", "route"]),
    ],
)
def test_tab_knows_modes_and_profiles(room: Room, line: str, found: list[str]):
    """And the commands."""
    [complete] = room.shell.Completer.custom_matchers
    asked = CompletionContext(line.rsplit(maxsplit=1)[-1], line, len(line), 0, None)

    assert {one.text for one in complete(asked)["completions"]} == set(found)


def test_help_tells_of_it():
    """Every option and command of this room."""
    assert all(word in HELP for word in ("--profile", "--mode", "--private", "%osaurus route", "%osaurus private"))


def test_a_terminal_explains_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """`osaurus-nb route explain`: the same table; a fresh home says what to do next."""
    monkeypatch.setenv("OSAURUS_HOME", str(tmp_path))
    monkeypatch.setenv("OSAURUS_OFFERS", "off")
    for name in ("OSAURUS_URL", "OSAURUS_KEY"):
        monkeypatch.delenv(name, raising=False)

    done = cli.main(["route", "explain", "Refactor this function", "--profile", "auto", "--private"])
    unknown = cli.main(["route", "explain", "hi", "--profile", "nobody"])

    told = capsys.readouterr()
    assert (done, unknown) == (0, 1)
    assert "by osaurus/auto · mode local-strict · intent" in told.out
    assert "osaurus-nb pull" in told.out
    assert "frontier" in told.err
