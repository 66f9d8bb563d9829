"""Profiles by name: the shipped ones name nobody, the user's own go first, and nothing stands in for a faulty one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from osaurus_nb.config.paths import Paths
from osaurus_nb.config.profiles import ProfileFile
from osaurus_nb.config.providers import PRESETS
from osaurus_nb.errors import ConfigError, RequestError
from osaurus_nb.models import ModelCard
from osaurus_nb.routing.profiles import Profiles, card, is_prefixed, shipped

SHIPPED = ("auto", "balanced", "frontier", "frontier-large", "fusion", "agentic", "fast-local", "coding-max")


@pytest.fixture
def profiles(tmp_path: Path) -> Profiles:
    return Profiles(ProfileFile(Paths(tmp_path)))


def write(home: Path, text: str) -> None:
    draft = home / "draft"
    draft.write_text(text)
    draft.replace(home / "profiles.json")


def test_these_are_shipped() -> None:
    """All promised profiles are there, each with a sentence for the one who chooses."""
    assert Profiles().names() == SHIPPED
    assert all(each.description.endswith(".") for each in shipped())


def test_shipped_profiles_name_nobody() -> None:
    """They speak of what models can do, cost and are: no vendor, no model, no list."""
    words = {word for preset in PRESETS for word in (preset.name, *preset.aliases)} - {"custom", "peer", "local"}
    vendors = words | {"gpt", "claude", "gemini", "llama", "qwen", "grok", "mistral"}

    for each in shipped():
        lists = dataclasses.astuple(each.requirements)
        assert not [value for value in lists if isinstance(value, tuple) and value]
        assert not each.fallbacks
        assert not vendors & set(each.description.lower().replace(",", " ").replace(".", " ").split())


@pytest.mark.parametrize("name", ["osaurus/frontier", "sage-router/frontier", "frontier", "OSAURUS/Frontier"])
def test_a_profile_is_found_by_each_of_its_names(profiles: Profiles, name: str) -> None:
    """With either prefix or bare, in any case, it is the same one."""
    found = profiles.find(name)

    assert found is not None
    assert (found.name, found.mode, found.effort) == ("frontier", "best", "high")


@pytest.mark.parametrize("name", ["gpt-5", "osaurus/gpt-5", "openai/frontier", "", "osaurus/", "local/auto"])
def test_what_is_no_profile_is_left_to_models(profiles: Profiles, name: str) -> None:
    """Names of models are not taken for profiles."""
    assert profiles.find(name) is None


def test_an_unknown_name_is_told_with_those_that_exist(profiles: Profiles) -> None:
    """Whoever asks for a profile that is none learns all names, and the nearest one."""
    with pytest.raises(RequestError, match="Did you mean 'frontier'.* There are: auto, balanced") as caught:
        profiles.named("frontire")

    assert caught.value.param == "profile"


def test_ones_own_goes_before_the_shipped_one(profiles: Profiles, tmp_path: Path) -> None:
    """The same name replaces it, another one is added, and what is saved holds at once."""
    assert not profiles.is_own("auto")
    write(tmp_path, '{"profiles": {"auto": {"mode": "local-strict"}, "mine": {}}}')

    found = profiles.named("osaurus/auto")

    assert found.mode == "local-strict"
    assert profiles.names() == (*SHIPPED, "mine")
    assert profiles.is_own("auto")
    assert profiles.is_own("mine")


def test_nothing_stands_in_for_a_faulty_profile(profiles: Profiles, tmp_path: Path) -> None:
    """The shipped `auto` would ask a cloud where the user's own, with its slip, was to stay at home."""
    write(tmp_path, '{"profiles": {\n"auto": {"mode": "local-strict", "sticki": true}, "mine": {}}}')

    with pytest.raises(ConfigError, match=r"profiles.json: line 2, `auto.sticki`.*`sticky`"):
        profiles.find("auto")
    assert profiles.find("mine") is not None
    assert profiles.find("frontier") is not None
    assert "auto" not in profiles.names()


def test_a_file_that_says_nothing_readable_stops_profiles_and_no_model(profiles: Profiles, tmp_path: Path) -> None:
    """Nobody knows what it was to change: profiles wait until it is repaired, models are asked as ever."""
    write(tmp_path, '{"profiles": ')

    with pytest.raises(ConfigError, match=r"until that file is repaired\. profiles.json: line 1 is no JSON"):
        profiles.find("osaurus/auto")
    assert profiles.find("gpt-5") is None
    assert profiles.problems


def test_a_slip_of_later_changes_nothing(profiles: Profiles, tmp_path: Path) -> None:
    """The last good reading stays in force, and what is wrong is told."""
    write(tmp_path, '{"profiles": {"mine": {"mode": "best"}}}')
    before = profiles.named("mine")
    write(tmp_path, '{"profiles": {"mine": {"mod": "best"}}}')

    assert profiles.named("mine") == before
    assert "line 1, `mine.mod` is no key that we know. Did you mean `mode`?" in profiles.problems[0]


def test_profiles_are_listed_as_models(profiles: Profiles) -> None:
    """Each has a card under its full name; what it demands it can be taken to do."""
    cards = profiles.cards()
    agentic = next(card for card in cards if card.id == "agentic")

    assert [card.name for card in cards] == [f"osaurus/{name}" for name in SHIPPED]
    assert agentic.capabilities.tools is True
    assert agentic.capabilities.vision is None
    assert agentic.context_length == 100_000
    assert profiles.cards() is cards


def test_a_profile_that_stays_at_home_says_so() -> None:
    """Its card is no cloud's."""
    strict = dataclasses.replace(shipped()[0], mode="local-strict")

    assert card(strict).endpoint == "loopback"
    assert card(shipped()[0]).endpoint == "cloud"


def test_a_profile_wins_over_a_model_of_the_router_and_that_is_told(profiles: Profiles) -> None:
    """In the list the name stands once, and a warning says whose it is; at home the model wins its bare name."""
    cards = [ModelCard("auto", "osaurus"), ModelCard("gpt-5", "osaurus"), ModelCard("fusion", "local")]

    clashes = profiles.clashes(cards)

    assert [clash.code for clash in clashes] == ["profile_shadows_model", "model_shadows_profile"]
    assert clashes[0].message.startswith("'osaurus/auto' means the profile 'auto', not the Router's model")
    assert clashes[1].message == "'fusion' means the model on this machine; the profile is 'osaurus/fusion'."
    names = [card.name for card in profiles.merged(cards)]
    assert names == ["osaurus/gpt-5", "fusion", *(f"osaurus/{name}" for name in SHIPPED)]


def test_a_prefixed_name_can_mean_no_model_at_home() -> None:
    """Who writes the prefix means one of ours."""
    assert is_prefixed("osaurus/auto")
    assert is_prefixed("Sage-Router/auto")
    assert not is_prefixed("auto")
