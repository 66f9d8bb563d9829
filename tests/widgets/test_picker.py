"""The list of models that the picker shows."""

from __future__ import annotations

import pytest

from osaurus_nb.models import Capabilities, ModelCard, SourceStatus
from osaurus_nb_widgets.picker import context, groups


def test_local_models_come_first_and_silent_providers_last():
    """Groups are ordered by how likely they are to be wanted, each with its own models."""
    cards = [ModelCard("gpt", "openai"), ModelCard("tiny", "local", endpoint="process"), ModelCard("qwen", "lab")]
    status = [SourceStatus("anthropic", 0, error="No key."), SourceStatus("openai", 1), SourceStatus("local", 1)]

    found = groups(cards, status)

    assert [group["label"] for group in found] == ["On this machine", "lab", "openai", "anthropic"]
    assert [model["name"] for group in found for model in group["models"]] == ["tiny", "lab/qwen", "openai/gpt"]


def test_what_only_makes_vectors_is_not_offered_for_a_chat():
    """A model of embeddings refuses every question."""
    cards = [ModelCard("minilm", "local", capabilities=Capabilities(embeddings=True)), ModelCard("tiny", "local")]

    [group] = groups(cards, [SourceStatus("local", 2)])

    assert [model["name"] for model in group["models"]] == ["tiny"]


def test_the_router_stands_behind_this_machine():
    """It is nobody's own provider: it is there by itself, and stands before those that were set up."""
    cards = [ModelCard("gpt", "acme"), ModelCard("venice/b", "osaurus"), ModelCard("tiny", "local", endpoint="process")]

    found = groups(cards, [])

    assert [group["label"] for group in found] == ["On this machine", "Osaurus Router", "acme"]


def test_a_provider_without_models_says_why():
    """An unavailable provider is not left out: its reason is what helps."""
    status = [SourceStatus("anthropic", 0, error="No key for 'anthropic'."), SourceStatus("local", 0)]

    reasons = [(group["label"], group["reason"]) for group in groups([], status)]

    assert reasons == [("On this machine", "No models here yet."), ("anthropic", "No key for 'anthropic'.")]


def test_an_option_says_where_its_model_runs():
    """One sees before asking whether a prompt leaves the machine."""
    cards = [ModelCard("a", "ollama", endpoint="loopback", context_length=8192), ModelCard("b", "openai")]

    options = [model for group in groups(cards, []) for model in group["models"]]

    assert [option["where"] for option in options] == ["this machine", "cloud"]
    assert [option["context"] for option in options] == ["8K context", ""]


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        *((None, ""), (512, "512 context"), (8192, "8K context"), (131_072, "128K context")),
        *((200_000, "200K context"), (1_000_000, "1M context"), (1_048_576, "1M context"), (2_500_000, "2.5M context")),
    ],
)
def test_a_window_is_named_as_people_name_it(tokens, words):
    """8192 tokens are 8K, 200000 are 200K."""
    assert context(tokens) == words
