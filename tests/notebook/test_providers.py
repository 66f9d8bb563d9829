"""`%osaurus providers`: the same grammar as on the command line, shown in the notebook."""

from __future__ import annotations

from pathlib import Path

import pytest

import osaurus_nb as osaurus

CANARY = "sk-canary-0123456789abcdef"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OSAURUS_HOME", str(tmp_path))
    return tmp_path


def test_providers_are_added_edited_and_listed_from_a_cell(room, home):
    """What a line of the terminal does, a magic does too; the table is inert text."""
    room.run("%osaurus providers add lab --url http://127.0.0.1:9/v1 --key-env LAB_KEY --secret-header X-A=A_VALUE")
    room.run("%osaurus providers edit lab --name '<b>Labor' --timeout none")
    room.run("%osaurus providers")

    [provider] = osaurus.providers.list()
    assert (provider.name, provider.key_env, provider.timeout) == ("<b>Labor", "LAB_KEY", None)
    assert "http://127.0.0.1:9/v1" in room.shown[-1]["data"]["text/plain"]
    assert "<b>labor" not in room.shown[-1]["data"]["text/html"]


def test_what_is_wrong_with_the_file_is_shown_below_the_table(room, home):
    """The good entries, then the bad one by its place."""
    file = home / "providers" / "remote.json"
    file.parent.mkdir()
    file.write_text('{"providers": [{"id": "A", "name": "good", "host": "h"}, {"id": "B", "name": "bad"}]}')

    room.run("%osaurus providers list")

    table, callout = room.shown[-2:]
    assert "good" in table["data"]["text/plain"]
    assert "Entry 2 ('bad')" in callout["data"]["text/plain"]


@pytest.mark.parametrize(
    "line",
    [
        f"add openai --key {CANARY}",
        "add openai --key something",
        "add openai --token=something",
        f"add openai --key-env {CANARY}",
        f"add lab --url https://u:{CANARY}@h/v1",
    ],
)
def test_a_key_in_a_cell_is_refused_and_not_repeated(room, home, line):
    """A cell is saved with the notebook; the answer to a key in it must not be."""
    result = room.run(f"%osaurus providers {line}")

    assert not result.success
    assert CANARY not in str(result.error_in_exec)
    assert list(osaurus.providers.list()) == []


@pytest.mark.parametrize("line", ["add", "fly", "add nobody", "edit", "add lab --url 'http://h", "add lab --help"])
def test_a_slip_is_one_line(room, home, line, capsys):
    """No usage page, no exit, no traceback."""
    result = room.run(f"%osaurus providers {line}")

    assert not isinstance(result.error_in_exec, SystemExit)
    assert not result.success
    assert "Traceback" not in capsys.readouterr().err
