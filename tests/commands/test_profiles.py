"""`profiles`, as a terminal and a cell have it."""

from __future__ import annotations

import argparse
from contextlib import contextmanager

import pytest

from osaurus_nb.commands.grammar import perform
from osaurus_nb.commands.person import Notebook, Terminal
from osaurus_nb.commands.table import COMMANDS
from osaurus_nb.errors import RequestError
from osaurus_nb.models import Capabilities, ModelCard

SEES = ModelCard("seer", "lab", context_length=32_000, capabilities=Capabilities(vision=True))


class Owner(Terminal):
    """Somebody at a terminal with one model."""

    @contextmanager
    def models(self):
        yield [SEES]


@pytest.fixture
def tell(home):
    """What a command says, and to whom."""

    def told(words, who=None):
        name, *rest = words.split()
        parser = argparse.ArgumentParser(name, allow_abbrev=False)
        COMMANDS[name].configure(parser)
        return perform(parser.parse_args(rest), who or Owner({}))

    return told


def test_profiles_are_listed_with_what_they_are_for(tell, home):
    """The shipped ones and one's own, each with its demands, and where to write one's own."""
    (home / "profiles.json").write_text(
        '{"profiles": {"eyes": {"description": "Sees.", "requirements": {"vision": true}}}}'
    )

    told = tell("profiles")

    rows = {row[0]: row for row in told.rows}
    assert {"auto", "frontier", "coding-max", "eyes (yours)"} <= rows.keys()
    assert rows["eyes (yours)"][1:] == ("balanced", "", "pictures", "Sees.")
    assert str(home / "profiles.json") in told.notes[-1]


def test_one_profile_is_shown_whole(tell):
    """By its bare name and by its full one; an unknown one is told with those that exist."""
    told = tell("profiles show osaurus/agentic")

    assert told.lines[0].startswith("agentic (shipped): ")
    assert ("asked for as", "osaurus/agentic") in told.rows
    assert ("demands", "tools, a long context, quality 0.55") in told.rows
    with pytest.raises(RequestError, match="Did you mean 'agentic'"):
        tell("profiles show agentc")


def test_lint_finds_what_cannot_work(tell, home):
    """Each fault has its profile and its sentence; what is in order has none."""
    (home / "profiles.json").write_text('{"profiles": {"ears": {"requirements": {"audio": true}}, "eyes": {}}}')

    told = tell("profiles lint ears eyes")

    assert told.faulty
    assert told.lines == ["Models that each may choose from: ears 0, eyes 1.", "1 fault."]
    assert [row[:2] for row in told.rows] == [("ears", "fault")]


def test_lint_of_what_is_in_order_is_quiet(tell):
    """No fault, no table."""
    told = tell("profiles lint auto")

    assert not told.faulty
    assert told.lines[-1] == "No faults."
    assert not told.rows


def test_a_cell_lints_beside_its_own_models(tell):
    """A notebook's client is asked, which may be connected to a server with others."""
    told = tell("profiles lint auto", Notebook(models=lambda: [SEES]))

    assert told.lines[0] == "Models that each may choose from: auto 1."


def test_a_script_learns_of_faults_by_the_exit_status(run, home, monkeypatch):
    """`osaurus-nb profiles lint` ends with 1 where something is wrong, with its line, and with 0 where nothing is."""
    monkeypatch.setenv("OSAURUS_OFFERS", "off")
    monkeypatch.setenv("OSAURUS_ROUTER", "off")
    sound = run("profiles lint")
    (home / "profiles.json").write_text('{"profiles": {\n"mine": {"mood": 1}}}')

    faulty = run("profiles lint")

    assert sound.code == 0
    assert faulty.code == 1
    assert "profiles.json: line 2, `mine.mood` is no key that we know." in faulty.out
    assert run("profiles list").code == 0
