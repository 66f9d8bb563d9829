"""Files that are broken: what can be read is used, what cannot is named, nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.errors import ConfigError

GOOD = {"id": "A", "name": "good", "host": "h"}
CANARY = "sk-canary-0123456789abcdef"


@pytest.fixture
def file(tmp_path: Path) -> ProviderFile:
    made = ProviderFile(Paths(tmp_path))
    made.path.parent.mkdir(parents=True)
    return made


def asides(file: ProviderFile) -> list[str]:
    return [path.read_text() for path in sorted(file.path.parent.glob("*.corrupt-*"))]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("text", "no object"),
        ({"name": "n", "host": "h"}, "no id"),
        ({"id": "B", "host": "h"}, "no name"),
        ({"id": "B", "name": "n"}, "no host"),
        ({"id": "A", "name": "n", "host": "h"}, "same id"),
        ({"id": "B", "name": "n", "host": "a b"}, "host"),
        ({"id": "B", "name": "n", "host": "h", "port": "80"}, "port"),
        ({"id": "B", "name": "n", "host": "h", "providerProtocol": "ftp"}, "http or https"),
        ({"id": "B", "name": "n", "host": "h", "timeout": "soon"}, "timeout"),
        ({"id": "B", "name": "n", "host": "h", "customHeaders": {"X": "a\r\nb"}}, "one line"),
        ({"id": "B", "name": "n", "host": "h", "customHeaders": ["X"]}, "customHeaders"),
        ({"id": "B", "name": "n", "host": "h", "manualModelIds": "m"}, "manualModelIds"),
        ({"id": "B", "name": "n", "host": "h", "authType": 7}, "authType"),
    ],
)
def test_a_bad_entry_is_named_and_the_good_ones_load(file: ProviderFile, row: Any, told: str) -> None:
    """It is named by its place, and survives our changes as it stands."""
    file.path.write_text(json.dumps({"providers": [GOOD, row]}))

    contents = file.read()
    file.add("new", "http://h2/v1")

    assert [provider.name for provider in contents.providers] == ["good"]
    [problem] = contents.problems
    assert problem.startswith("Entry 2")
    assert told in problem
    assert json.loads(file.path.read_text())["providers"][1] == row


def test_a_bad_entry_is_named_without_a_key_in_its_name(file: ProviderFile) -> None:
    """Keys are pasted anywhere."""
    file.path.write_text(json.dumps({"providers": [{"id": "B", "name": CANARY}]}))

    [problem] = file.read().problems

    assert CANARY not in problem


@pytest.mark.parametrize("cut", [5, 30, 60, 90, 120, 150])
def test_a_truncated_file_gives_what_is_whole(file: ProviderFile, cut: int) -> None:
    """Entries before the cut load; the file is told of, kept under a new name, and not overwritten by looking."""
    text = json.dumps({"providers": [{**GOOD, "id": id, "name": id.lower()} for id in "ABCD"]})[:cut]
    file.path.write_text(text)

    contents = file.read()

    assert [p.id for p in contents.providers] == [id for id in "ABCD" if f'"{id.lower()}", "host": "h"}}' in text]
    assert any("damaged" in problem and "corrupt-" in problem for problem in contents.problems)
    assert file.path.read_text() == text
    assert asides(file) == [text]


def test_entries_around_a_slip_of_the_hand_load(file: ProviderFile) -> None:
    """A missing comma in one entry costs that entry; a change then writes the rest, beside the kept original."""
    whole = [json.dumps({**GOOD, "id": id, "name": id, "customHeaders": {"X": "1"}}) for id in "ABC"]
    text = '{"providers": [' + ", ".join([whole[0], whole[1].replace(", ", " ", 1), whole[2]]) + "]}"
    file.path.write_text(text)

    assert [provider.id for provider in file.load()] == ["A", "C"]
    file.add("new", "http://h2/v1")

    assert [provider.name for provider in file.load()] == ["A", "C", "new"]
    assert asides(file) == [text]
    assert any("Take from it" in problem for problem in file.read().problems)


@pytest.mark.parametrize("text", ["{ half", "", "[]", "7", '{"providers": {}}', "\xff\xfe", "[" * 100_000])
def test_garbage_is_kept_and_told_however_often_it_is_read(file: ProviderFile, text: str) -> None:
    """Each state of the file is kept once; the next change starts anew."""
    file.path.write_bytes(text.encode("latin-1"))

    for _ in range(3):
        assert list(file.load()) == []
        assert "damaged" in file.read().problems[0]
    file.add("new", "http://h/v1")

    assert [path.read_bytes() for path in file.path.parent.glob("*.corrupt-*")] == [text.encode("latin-1")]
    assert [provider.name for provider in file.load()] == ["new"]


def test_what_is_kept_beside_a_lost_entry_waits_for_it(file: ProviderFile) -> None:
    """Put back from the copy, an entry finds its variable and its number again."""
    for number in range(2):
        file.add("lab", "http://h/v1", key_env=f"KEY_{number}")
    whole = file.path.read_text()
    file.path.write_text(whole[: whole.rindex('"name"')])

    file.add("new", "http://h/v1")
    file.edit("new", timeout=90)
    file.path.write_text(whole)

    assert [(p.slug, p.key_env) for p in file.load()] == [("lab", "KEY_0"), ("lab-2", "KEY_1")]


def test_a_damaged_side_file_costs_only_what_it_held(file: ProviderFile) -> None:
    """The providers load without it, it is set aside, and a change writes a new one."""
    file.add("lab", "http://h/v1", key_env="LAB_KEY")
    side = file.path.with_name("osaurus-nb.json")
    side.write_text("{ half")

    contents = file.read()
    file.edit("lab", key_env="LAB_KEY")

    assert [provider.key_env for provider in contents.providers] == [None]
    assert "osaurus-nb.json is damaged" in contents.problems[0]
    assert file.find("lab").key_env == "LAB_KEY"
    assert asides(file) == ["{ half"]


def test_what_cannot_be_read_at_all_is_told_and_never_replaced(file: ProviderFile) -> None:
    """A folder in the file's place, as one without rights: looking tells, changing refuses."""
    file.path.mkdir()

    assert "cannot be read" in file.read().problems[0]
    with pytest.raises(ConfigError, match="Nothing was changed"):
        file.add("lab", "http://h/v1")

    assert file.path.is_dir()
