"""Profiles and the time machine in cells."""

from __future__ import annotations

import time

import pytest
from IPython.core.error import UsageError

from osaurus_nb import notebook
from osaurus_nb.client import Client
from tests.client.books import BooksOf, Kept, line


@pytest.fixture
def shown(room, tmp_path, monkeypatch):
    """What a cell shows as text, of a home with a faulty profile and a ledger with one question."""
    monkeypatch.setenv("OSAURUS_HOME", str(tmp_path))
    (tmp_path / "profiles.json").write_text('{"profiles": {\n"mine": {"<b>mood</b>": 1}}}')
    books = BooksOf([line(1, provider="scripted", model="echo", at=time.time() - 60)])
    notebook.use(Client(backend=Kept(books), model="scripted/echo"), shell=room.shell)

    def run(cell):
        before = len(room.shown)
        result = room.run(cell)
        return [each["data"] for each in room.shown[before:]], result

    return run


def test_profiles_are_listed_and_linted_in_a_cell(shown):
    """The same words as in a terminal; what a file says is shown as text and never runs."""
    listed, _ = shown("%osaurus profiles")
    linted, _ = shown("%osaurus profiles lint auto")

    assert "frontier-large" in listed[0]["text/plain"]
    assert "line 2" in linted[0]["text/plain"]
    assert all("<b>mood" not in data.get("text/html", "") for data in [*listed, *linted])


def test_the_ledger_is_replayed_in_a_cell(shown):
    """`%osaurus route replay` with options is the time machine, beside the models of the notebook's own client."""
    data, _ = shown("%osaurus route replay --profile auto")

    text = "\n".join(each["text/plain"] for each in data)
    assert "1 question of the ledger under 'auto'" in text
    assert "The ledger keeps no questions" in text


def test_a_question_about_a_replay_is_a_question(shown):
    """Words behind `replay` that are no options are asked about, not replayed."""
    data, result = shown("%osaurus route replay the scene in one sentence")

    assert result.success
    assert "of the ledger" not in str(data)


def test_a_replay_of_nothing_in_particular_says_what_it_takes(shown):
    """Without a profile and prices, and with an unknown option, the sentence names them."""
    _, bare = shown("%osaurus route replay")
    _, wrong = shown("%osaurus route replay --profil auto")

    assert "Give --profile NAME, or --prices FILE" in str(bare.error_in_exec)
    assert isinstance(wrong.error_in_exec, UsageError)
