"""The user's own word on spending: read with care, changed without losing anything."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb.config.billing import BillingFile, BillingSettings, document
from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import ConfigError
from osaurus_nb.models import Price

EXAMPLE = {
    "budgets": {
        "request": "0.05",
        "cell": "0.25",
        "notebook": "2",
        "day": "5",
        "keys": {"ab12": "1"},
        "providers": {"openai": "3"},
    },
    "prices": {"lab/m": {"input": "1.25", "output": "10"}},
    "retention": {"rows": 10000, "days": 365},
}


def written(home: Path, content: Any) -> BillingFile:
    """A file that says this, as JSON or as the very text."""
    file = BillingFile(Paths(home))
    file.path.parent.mkdir(mode=0o700, exist_ok=True)
    draft = file.path.with_name("draft")
    draft.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
    draft.replace(file.path)
    return file


def test_every_setting_is_read(tmp_path: Path) -> None:
    """Amounts become whole micro-dollars, prices exact decimals."""
    file = written(tmp_path, EXAMPLE)

    assert file.read() == BillingSettings(
        request=50_000,
        cell=250_000,
        notebook=2_000_000,
        day=5_000_000,
        keys={"ab12": 1_000_000},
        providers={"openai": 3_000_000},
        prices={"lab/m": Price(Decimal("1.25"), Decimal(10))},
        rows=10_000,
        days=365,
    )
    assert file.problems == ()


def test_without_a_file_nothing_is_capped(tmp_path: Path) -> None:
    """Nothing is created by looking."""
    file = BillingFile(Paths(tmp_path / "home"))

    assert file.read() == BillingSettings()
    assert file.problems == ()
    assert not (tmp_path / "home").exists()


def test_amounts_may_be_written_as_people_write_them(tmp_path: Path) -> None:
    """A number, a dollar sign and nothing at all are as good as the plain text, and none loses a millionth."""
    file = written(tmp_path, '{"budgets": {"day": 0.1, "cell": "$0.50", "request": null}, "retention": {"days": 0.5}}')

    assert file.read() == BillingSettings(day=100_000, cell=500_000, days=0.5)
    assert file.problems == ()


def test_unknown_keys_are_named_with_their_line_and_kept(tmp_path: Path) -> None:
    """A word of another version or a slip of the keyboard is told; no change of ours throws it away."""
    said = {"budgets": {"dya": "5", "day": "4"}, "prices": {"a/b": {"input": "1", "output": "2", "mood": 3}}, "x": {}}
    file = written(tmp_path, said)

    assert file.read().day == 4_000_000
    assert file.problems == (
        "billing/settings.json: `x` (line 13) is no setting that we know. It is kept.",
        "billing/settings.json: `budgets.dya` (line 3) is no setting that we know. It is kept.",
        "billing/settings.json: `prices.a/b.mood` (line 10) is no setting that we know. It is kept.",
    )

    cheaper = {"a/b": Price(Decimal("0.5"), Decimal(2))}
    file.edit(lambda settings: replace(settings, cell=1, prices=cheaper))

    kept = json.loads(file.path.read_text())
    assert kept["budgets"] == {"dya": "5", "day": "4", "cell": "0.000001"}
    assert kept["prices"] == {"a/b": {"input": "0.5", "output": "2", "mood": 3}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"budgets": {"day": "5"}', "line 1 is no JSON"),
        ('{"budgets":\n {"day": "five"}}', "`budgets.day` (line 2) is not what belongs there."),
        ('{"budgets": {"day": "-1"}}', "`budgets.day` (line 1) is not what belongs there."),
        ('{"budgets": {"day": true}}', "`budgets.day` (line 1) is not what belongs there."),
        ('{"budgets": []}', "`budgets` (line 1) is not what belongs there."),
        ('{"budgets": {"keys": {"k": "1 €"}}}', "`budgets.keys.k` (line 1) is not what belongs there."),
        ('{"prices": {"a/b": {"input": "1"}}}', "`prices.a/b` (line 1) is not what belongs there."),
        ('{"prices": {"a/b": {"input": "-1", "output": "NaN"}}}', "`prices.a/b` (line 1) is not what belongs there."),
        ('{"retention": {"rows": 0}}', "`retention.rows` (line 1) is not what belongs there."),
        ('{"budgets": {"day": "1", "day": "2"}}', "a key stands twice"),
        ('{"budgets": {"day": NaN}}', "NaN is no number"),
        ("[]", "it is no object"),
        ("[" * 100_000, "it is no JSON"),
        ("\x00", "is no JSON"),
        ("", "is no JSON"),
    ],
)
def test_a_faulty_file_changes_nothing_and_is_told(tmp_path: Path, text: str, told: str) -> None:
    """What was read before stays in force, the place of the fault is named, and no change overwrites the file."""
    file = written(tmp_path, EXAMPLE)
    before = file.read()

    written(tmp_path, text)

    assert file.read() == before
    assert told in file.problems[0]
    assert file.problems[-1] == "What it said before stays in force."
    with pytest.raises(ConfigError, match="Nothing was changed"):
        file.edit(lambda settings: replace(settings, day=None))
    assert file.path.read_text() == text


def test_of_a_file_that_never_was_sound_the_rest_is_in_force(tmp_path: Path) -> None:
    """A slip in one cap does not lift the others, and it is said where none holds."""
    some = written(tmp_path, {"budgets": {"day": "five", "cell": "1"}})
    assert some.read() == BillingSettings(cell=1_000_000)
    assert some.problems[-1] == "Only the rest of it is in force until it is repaired."

    none = BillingFile(Paths(tmp_path))
    written(tmp_path, "{")
    assert none.read() == BillingSettings()
    assert none.problems[-1] == "No budget is in force until it is repaired."


def test_a_repaired_file_is_read_again(tmp_path: Path) -> None:
    """Nobody has to restart anything."""
    file = written(tmp_path, "{")
    assert file.problems

    written(tmp_path, EXAMPLE)

    assert file.read().day == 5_000_000
    assert file.problems == ()


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    """No exception; what was read before stays in force."""
    file = written(tmp_path, EXAMPLE)
    before = file.read()
    file.path.unlink()
    file.path.mkdir()

    assert file.read() == before
    assert "cannot be read" in file.problems[0]
    with pytest.raises(ConfigError, match="Nothing was changed"):
        file.edit(lambda settings: settings)


def test_a_change_is_written_for_the_user_alone(tmp_path: Path) -> None:
    """The file is 0600 and what was not changed stands as it was written."""
    file = written(tmp_path, {"budgets": {"day": "$5.00", "keys": {"a": "1"}}})

    told = file.edit(lambda settings: replace(settings, notebook=1_500_000, keys={}, rows=500))

    assert told == file.read() == BillingSettings(day=5_000_000, notebook=1_500_000, rows=500)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert json.loads(file.path.read_text()) == {
        "budgets": {"day": "$5.00", "notebook": "1.5"},
        "retention": {"rows": 500},
    }


@pytest.mark.parametrize(
    "change",
    [
        {"day": -1},
        {"rows": 0},
        {"days": -1.0},
        {"prices": {"a": Price(Decimal(-1), Decimal(1))}},
        {"keys": {"a": 10**18}},
        {"prices": {"a": Price(Decimal("1e-12"), Decimal(1))}},
    ],
)
def test_nothing_is_written_that_could_not_be_read_back(tmp_path: Path, change: dict[str, Any]) -> None:
    """A program's mistake is refused before it is in the file."""
    file = written(tmp_path, EXAMPLE)
    before = file.path.read_bytes()

    with pytest.raises(ConfigError, match="Nothing was changed"):
        file.edit(lambda settings: replace(settings, **change))

    assert file.path.read_bytes() == before


def test_processes_lose_none_of_each_others_changes(tmp_path: Path) -> None:
    """Each one re-reads under the lock."""
    program = (
        "import sys; from dataclasses import replace; from pathlib import Path\n"
        "from osaurus_nb.config.billing import BillingFile; from osaurus_nb.config.paths import Paths\n"
        "file = BillingFile(Paths(Path(sys.argv[1])))\n"
        "for number in range(20):\n"
        "    file.edit(lambda s: replace(s, keys={**s.keys, f'{sys.argv[2]}-{number}': number}))\n"
    )

    running = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), name]) for name in "ab"]
    assert [process.wait() for process in running] == [0, 0]

    assert BillingFile(Paths(tmp_path)).read().keys == {f"{name}-{n}": n for name in "ab" for n in range(20)}


AMOUNTS = st.integers(0, 10**15)
RATES = st.decimals(0, 1000, places=6)
PRICES = st.builds(Price, RATES, RATES, st.none() | RATES, st.none() | RATES)
SETTINGS = st.builds(
    BillingSettings,
    *[st.none() | AMOUNTS] * 4,
    keys=st.dictionaries(st.text(max_size=8), AMOUNTS, max_size=3),
    providers=st.dictionaries(st.text(max_size=8), AMOUNTS, max_size=3),
    prices=st.dictionaries(st.text(max_size=8), PRICES, max_size=3),
    rows=st.integers(1, 10**6),
    days=st.floats(0.001, 1e6),
)


@given(SETTINGS, SETTINGS)
def test_any_settings_survive_the_file(first: BillingSettings, second: BillingSettings) -> None:
    """What is written is read back, also over what stood there before."""
    once = document.read(document.changed(document.Reading(), first))
    again = document.read(document.changed(once, second))

    assert (once.settings, once.problems) == (first, ())
    assert (again.settings, again.problems) == (second, ())


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,budgetsdaykeypricn0123.-e ', max_size=60).map(str.encode))
def test_no_text_breaks_the_reader(data: bytes) -> None:
    """Whatever stands in the file, it is told and not raised."""
    found = document.read(data)

    assert found.sound or found.problems
