"""A profile beside the models at hand: what it cannot do is a fault, what was hardly meant is a note."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from osaurus_nb.config.paths import Paths
from osaurus_nb.config.profiles import ProfileFile
from osaurus_nb.models import Capabilities, ModelCard, Price
from osaurus_nb.routing.lint import Linted, lint
from osaurus_nb.routing.profiles import Profiles

ABLE = Capabilities(tools=True, reasoning=True, json_schema=True, vision=True)
LARGE = ModelCard("large", "lab", "cloud", 1_000_000, 64_000, ABLE, Price(Decimal(5), Decimal(25)))
LIGHT = ModelCard("light-8b", "lab", "cloud", 128_000, 8_000, ABLE, Price(Decimal("0.05"), Decimal("0.2")))
TINY = ModelCard("tiny-135m", "local", "process", 8_000, size_bytes=270_000_000)
MODELS = (TINY, LARGE, LIGHT)


def linted(home: Path, profile: dict[str, Any] | None, models: Any = MODELS, name: str = "mine") -> Linted:
    if profile is not None:
        (home / "profiles.json").write_text(json.dumps({"profiles": {name: profile}}))
    return lint(Profiles(ProfileFile(Paths(home))), models, only=[name])


def faults(found: Linted) -> list[str]:
    return [each.told for each in found.findings if each.kind == "fault"]


def notes(found: Linted) -> list[str]:
    return [each.told for each in found.findings if each.kind == "note"]


def test_the_shipped_profiles_choose_among_fitting_models(tmp_path: Path) -> None:
    """Small models are left out of those that promise the best; all others match everybody who can."""
    found = lint(Profiles(), MODELS)

    assert found.matches == {
        "auto": 3,
        "balanced": 3,
        "frontier": 1,
        "frontier-large": 1,
        "fusion": 3,
        "agentic": 1,
        "fast-local": 3,
        "coding-max": 1,
    }
    assert not found.faulty


def test_a_profile_that_matches_nobody_is_a_fault(tmp_path: Path) -> None:
    """It is said why, and what would admit the nearest model."""
    found = linted(tmp_path, {"requirements": {"audio": True}})

    assert found.faulty
    assert found.matches == {"mine": 0}
    assert faults(found)[0].startswith("It matches 0 models. Of 3 models none may answer: 3 not known to hear.")


def test_a_shipped_profile_without_models_is_a_fault_only_where_asked_about() -> None:
    """Who has small models alone has no frontier, and their own profiles are in order all the same."""
    every, named = lint(Profiles(), [TINY]), lint(Profiles(), [TINY], only=["frontier"])

    assert every.matches["frontier"] == 0
    assert not every.faulty
    assert named.faulty


def test_without_models_nothing_is_anybodys_fault(tmp_path: Path) -> None:
    """A new home is told that there is nobody yet."""
    found = linted(tmp_path, {"requirements": {"audio": True}}, ())

    assert not found.faulty
    assert notes(found) == ["There are no models yet, so it cannot be told whom a profile matches."]


@pytest.mark.parametrize(
    ("profile", "told"),
    [
        (
            {"thinking": "off", "requirements": {"reasoning": True}},
            "It must reason, and its reasoning is switched off.",
        ),
        (
            {"requirements": {"allow_providers": ["lab"], "deny_providers": ["l*"]}},
            "Each provider that is allowed (lab) is denied too.",
        ),
    ],
)
def test_a_contradiction_is_a_fault(tmp_path: Path, profile: dict[str, Any], told: str) -> None:
    """What nobody could ever meet is told, whoever is at hand."""
    assert f"It contradicts itself. {told}" in faults(linted(tmp_path, profile))
    assert f"It contradicts itself. {told}" in faults(linted(tmp_path, profile, ()))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("larg", "Its fallback does not exist. There is no model 'larg'. Did you mean"),
        ("osaurus/auto", "Its fallback 'osaurus/auto' is a profile; only a model can be one."),
        ("frontier", "Its fallback 'frontier' is a profile; only a model can be one."),
        ("both", "Its fallback is ambiguous. 'both' is offered by several providers"),
        ("lab/light-8b", "Its fallback 'lab/light-8b' may not answer under it. A list denies it"),
    ],
)
def test_a_fallback_that_cannot_answer_is_a_fault(tmp_path: Path, name: str, told: str) -> None:
    """Unknown, ambiguous, refused by the profile itself, or no model at all: told before it is needed."""
    models = (*MODELS, ModelCard("both", "lab"), ModelCard("both", "hut"))

    found = linted(tmp_path, {"fallbacks": [name], "requirements": {"deny_models": ["*light*"]}}, models)

    assert len(faults(found)) == 1
    assert faults(found)[0].startswith(told)


def test_a_fallback_that_nobody_lists_may_still_answer(tmp_path: Path) -> None:
    """Many providers answer to ids that they do not list: that is noted, and no fault."""
    found = linted(tmp_path, {"fallbacks": ["lab/hidden"]})

    assert not found.faulty
    assert notes(found) == ["Its fallback 'lab/hidden' is not listed by 'lab', which may answer to it all the same."]


def test_a_judge_is_looked_at_like_a_fallback(tmp_path: Path) -> None:
    """A fusion whose judge does not exist cannot do what it says."""
    found = linted(tmp_path, {"fusion": {"judge": "nobody"}})

    assert faults(found)[0].startswith("Its judge does not exist.")


def test_a_panel_without_enough_models_is_noted(tmp_path: Path) -> None:
    """It answers all the same, alone, and that was hardly meant."""
    alone = linted(tmp_path, {"fusion": {}, "requirements": {"allow_providers": ["local"]}})
    short = linted(tmp_path, {"fusion": {"panel": 5}})

    assert notes(alone) == ["Its panel needs 2 models, and 1 may answer: nothing will be fused."]
    assert notes(short) == ["Its panel has room for 5 models, and 3 may answer."]


def test_a_list_that_names_nobody_is_noted(tmp_path: Path) -> None:
    """A provider that is not set up, or a slip of the keyboard."""
    found = linted(tmp_path, {"requirements": {"deny_providers": ["lba"], "deny_models": ["lab/l*", "x/*"]}})

    assert notes(found) == [
        "'lba' in its deny_providers matches nothing at hand.",
        "'x/*' in its deny_models matches nothing at hand.",
    ]


def test_what_is_wrong_with_the_file_is_a_fault(tmp_path: Path) -> None:
    """A script that checks profiles learns of an unknown key."""
    found = linted(tmp_path, {"mood": 1})

    assert found.faulty
    assert "`mine.mood` is no key that we know" in faults(found)[0]


def test_profiles_in_the_list_of_models_are_no_models(tmp_path: Path) -> None:
    """A list that has profiles in it, as clients are given, makes no profile match another."""
    profiles = Profiles()

    found = lint(profiles, profiles.merged(MODELS))

    assert found.matches["auto"] == 3
