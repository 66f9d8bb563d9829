"""From a name to exactly one model, or to an error that helps."""

from __future__ import annotations

import pytest

from osaurus_nb.catalog.names import resolve
from osaurus_nb.errors import ModelAmbiguous, ModelNotFound
from osaurus_nb.models import ModelCard

LISTED = {
    "local": [ModelCard("smol", "local"), ModelCard("org/tiny", "local")],
    "openai": [ModelCard("gpt-4o", "openai"), ModelCard("shared", "openai")],
    "router": [ModelCard("openai/gpt-4o", "router"), ModelCard("shared", "router")],
}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("smol", "smol"),
        ("local/smol", "smol"),
        ("org/tiny", "org/tiny"),
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("OpenAI/gpt-4o", "openai/gpt-4o"),
        ("gpt-4o", "openai/gpt-4o"),
        ("router/openai/gpt-4o", "router/openai/gpt-4o"),
        ("openai/not-listed", "openai/not-listed"),
    ],
)
def test_a_name_means_one_model(name: str, meant: str) -> None:
    """Local id, prefixed id (listed or not), bare id that one provider lists."""
    assert resolve(name, LISTED).name == meant


def test_two_providers_with_one_name_are_never_guessed() -> None:
    """An ambiguous name is refused with the exact ones."""
    with pytest.raises(ModelAmbiguous) as caught:
        resolve("shared", LISTED)

    assert caught.value.choices == ("openai/shared", "router/shared")


def test_a_typo_gets_near_matches() -> None:
    """An unknown name is never replaced, only answered with what is close."""
    with pytest.raises(ModelNotFound, match="Did you mean") as caught:
        resolve("gpt-40", LISTED)

    assert "openai/gpt-4o" in caught.value.near


def test_a_part_of_a_name_gets_the_whole_one() -> None:
    """Half a name is answered with the names that contain it."""
    with pytest.raises(ModelNotFound) as caught:
        resolve("smo", LISTED)

    assert caught.value.near == ("smol",)


def test_with_no_model_at_all_the_first_steps_are_told() -> None:
    """On a fresh machine the error says how to get a model."""
    with pytest.raises(ModelNotFound, match="osaurus-nb pull"):
        resolve("anything", {})
