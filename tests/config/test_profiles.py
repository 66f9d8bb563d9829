"""The user's own profiles: read with care, told by line, and never half in force."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb.config.paths import Paths
from osaurus_nb.config.profiles import ProfileFile, document
from osaurus_nb.config.profiles.lines import lines
from osaurus_nb.routes import Fusion, Profile, Requirements

EXAMPLE = """{
  "version": 1,
  "profiles": {
    "cheap": {
      "description": "What costs little.",
      "mode": "fast",
      "thinking": "off",
      "requirements": {"json": true, "tools": true, "min_context": 32000, "max_price": 1.5, "deny_models": ["*-mini"]},
      "quality": 0.3,
      "fallbacks": ["smollm2-135m-instruct"],
      "deadline": 30,
      "max_cost": "$0.05",
      "chain": 2,
      "sticky": true,
      "fusion": {"panel": 4, "judge": "lab/m"}
    }
  }
}"""
CHEAP = Profile(
    "cheap",
    "What costs little.",
    "fast",
    "none",
    Requirements(tools=True, json=True, min_context=32_000, max_price=1.5, deny_models=("*-mini",)),
    0.3,
    ("smollm2-135m-instruct",),
    30,
    50_000,
    2,
    True,
    Fusion(4, 2, "lab/m"),
)


def said(profile: Any, name: str = "mine") -> document.Reading:
    return document.read(json.dumps({"profiles": {name: profile}}, indent=1).encode(), "profiles.json")


def written(home: Path, text: str) -> None:
    draft = home / "draft"
    draft.write_text(text)
    draft.replace(home / "profiles.json")


def test_every_field_is_read() -> None:
    """All that a profile can say arrives, amounts as whole micro-dollars."""
    found = document.read(EXAMPLE.encode(), "profiles.json")

    assert found.sound
    assert found.profiles == (CHEAP,)


def test_other_spellings_mean_the_same() -> None:
    """What is written for another router (`route`, `reasoning`, `minParamsB`) is read too."""
    ours = said(
        {"mode": "best", "thinking": "high", "max_cost": 1, "requirements": {"min_params_b": 70.0, "documents": True}}
    )
    theirs = said(
        {"route": "best", "reasoning": "high", "maxCost": 1, "requirements": {"minParamsB": 70.0, "document": True}}
    )

    assert ours.sound
    assert ours == theirs


@pytest.mark.parametrize(
    ("profile", "told"),
    [
        ({"mode": "quick"}, "line 4, `mine.mode` is no mode. There are: fast, balanced, best, local-first,"),
        ({"quality": 2}, "line 4, `mine.quality`: it should be less than or equal to 1."),
        ({"sticky": "yes"}, "line 4, `mine.sticky`: it should be true or false."),
        ({"max_cost": "much"}, "line 4, `mine.max_cost`: "),
        ({"chain": 9}, "line 4, `mine.chain`: it should be less than or equal to 8."),
        ({"fusion": {"panel": 9}}, "line 5, `mine.fusion.panel`: "),
        ({"fusion": {"panel": 2, "at_least": 3}}, "line 4, `mine.fusion`: at_least (3) is more than its panel (2)."),
        ({"requirements": {"max_prize": 3}}, "line 5, `mine.requirements.max_prize` is no key that we know. Did you"),
        ({"minParamsB": 3}, "line 4, `mine.minParamsB` is no key that we know. Its place is in `requirements`."),
        ({"requirements": {"quality": 1}}, "line 5, `mine.requirements.quality` is no key that we know. Its place is"),
        (
            {"frontierLargeOnly": True},
            "line 4, `mine.frontierLargeOnly` is no key that we know. Instead, say `quality`",
        ),
        ({"private": True}, 'line 4, `mine.private` is no key that we know. Instead, say `"mode": "local-strict"`.'),
        ({"xyzzy": 1}, "line 4, `mine.xyzzy` is no key that we know. There are: description, mode, thinking,"),
        ({"requirements": {"allow_models": ["a", 3]}}, "line 7, `mine.requirements.allow_models.1`: it should be a t"),
        ([], "line 3, `mine`: it should be an object."),
    ],
)
def test_what_is_wrong_is_told_by_its_line(profile: Any, told: str) -> None:
    """The sentence names the file, the line, the key, and what would be right; the profile is not in force."""
    found = said(profile)

    assert not found.profiles
    assert len(found.problems) == 1
    assert found.problems[0].startswith(f"profiles.json: {told}")
    assert found.faulty == {"mine": found.problems[0]}


@pytest.mark.parametrize("name", ["Upper", "with space", "", "a/b", "ü", "x" * 65, "-a"])
def test_names_are_small_and_plain(name: str) -> None:
    """A name that could not be asked for is refused when it is read."""
    found = said({}, name)

    assert not found.profiles
    assert "is no name" in found.problems[0]


def test_what_is_right_beside_a_fault_is_read() -> None:
    """One faulty profile does not take the others along."""
    text = {"profiles": {"bad": {"mood": 1}, "good": {"mode": "best"}}, "more": 1}

    found = document.read(json.dumps(text).encode(), "p.json")

    assert [each.name for each in found.profiles] == ["good"]
    assert set(found.faulty) == {"bad"}
    assert len(found.problems) == 2


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "line 1 is no JSON"),
        (b'{\n"profiles": {,}}', "line 2 is no JSON"),
        (b"[]", "it should look like"),
        (b'{"profiles": []}', "it should look like"),
        (b"\xff\xfe", "it is no JSON that we read"),
        (b'{"profiles": {"a": {}, "a": {}}}', "the key `a` stands twice"),
        (b'{"profiles": {"a": {"quality": NaN}}}', "NaN is no number"),
        (b"[" * 100_000, "it is no JSON that we read"),
    ],
)
def test_a_text_that_is_no_file_of_profiles_is_damaged(data: bytes, told: str) -> None:
    """It is told what is wrong; nothing is guessed."""
    found = document.read(data, "p.json")

    assert found.damaged is not None
    assert told in found.damaged
    assert not found.profiles


def test_without_a_file_there_is_nothing_of_ones_own(tmp_path: Path) -> None:
    """Nothing is created by looking, and nothing is wrong."""
    file = ProfileFile(Paths(tmp_path / "home"))

    assert file.current().sound
    assert not file.current().profiles
    assert not (tmp_path / "home").exists()


def test_a_changed_file_is_read_again_and_only_then(tmp_path: Path) -> None:
    """What is saved holds from the next question on; between changes it is the same object."""
    file = ProfileFile(Paths(tmp_path))
    before = file.current()
    written(tmp_path, EXAMPLE)

    after = file.current()

    assert not before.profiles
    assert after.profiles == (CHEAP,)
    assert file.current() is after


@pytest.mark.parametrize("broken", [EXAMPLE.replace('"quality"', '"qualty"'), EXAMPLE[:-2], "[]"])
def test_the_last_good_one_stays_in_force(tmp_path: Path, broken: str) -> None:
    """A slip while editing takes nothing away; it is told with its line until it is repaired."""
    file = ProfileFile(Paths(tmp_path))
    written(tmp_path, EXAMPLE)
    assert file.current().sound
    written(tmp_path, broken)

    found = file.current()

    assert found.profiles == (CHEAP,)
    assert not found.faulty
    assert found.damaged is None
    assert found.problems[-1] == "profiles.json: what it said before stays in force."
    written(tmp_path, EXAMPLE)
    assert file.current().sound


def test_a_file_that_was_faulty_from_the_start_is_in_force_as_far_as_it_is_right(tmp_path: Path) -> None:
    """Its faulty profiles are known by name, so that nothing else stands in for them."""
    written(tmp_path, '{"profiles": {"bad": {"mood": 1}, "good": {}}}')

    found = ProfileFile(Paths(tmp_path)).current()

    assert [each.name for each in found.profiles] == ["good"]
    assert set(found.faulty) == {"bad"}
    assert found.problems[-1] == "profiles.json: The rest of it is in force."


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    """Whatever lies there instead of a file stops nothing."""
    (tmp_path / "profiles.json").mkdir()

    assert "cannot be read" in str(ProfileFile(Paths(tmp_path)).current().damaged)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(VALUES, st.sampled_from([None, 1, 2]))
def test_every_key_has_its_line(content: Any, indent: int | None) -> None:
    """By whatever way one goes into a text, the line is the one on which the key stands."""
    text = json.dumps({"a": content}, indent=indent)

    found = lines(text)

    for way, line in found.items():
        if isinstance(way[-1], str):
            assert json.dumps(way[-1]) + ":" in text.splitlines()[line - 1]
    assert set(found) == set(_ways({"a": content}))


def _ways(value: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way for key, each in inside for way in [(*at, key), *_ways(each, (*at, key))]]


@given(st.dictionaries(st.sampled_from([*Profile.__slots__, "x", "requirements"]), VALUES))
def test_no_content_breaks_the_reader(profile: dict[str, Any]) -> None:
    """Whatever stands in the file, it is read or told."""
    found = said(profile)

    assert found.sound == bool(found.profiles)


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    """Any bytes are told as what they are."""
    assert not document.read(data, "p.json").profiles


def test_the_example_of_the_readme_is_sound() -> None:
    """What a reader copies holds as it stands."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    example = next(part for part in readme.split("```json\n")[1:] if '"profiles"' in part).split("```")[0]

    found = document.read(example.encode(), "profiles.json")

    assert found.problems == ()
    assert [each.name for each in found.profiles] == ["cheap", "home"]
