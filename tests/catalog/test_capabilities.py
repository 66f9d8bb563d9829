"""What is known of models beyond what their providers say."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from osaurus_nb.catalog import capabilities
from osaurus_nb.catalog.capabilities import enriched, talks
from osaurus_nb.models import Capabilities, ModelCard

TABLE = json.loads((Path(capabilities.__file__).parent / "capabilities.json").read_text())


def test_a_vendors_model_is_described() -> None:
    """At its own host: how long a prompt may be, and what it can do."""
    card = enriched(ModelCard("claude-sonnet-4-5", "a"), "api.anthropic.com")

    assert (card.context_length, card.max_output_tokens) == (200_000, 64_000)
    assert card.capabilities == Capabilities(tools=True, vision=True, documents=True, json_schema=True, reasoning=True)


def test_what_the_provider_says_holds() -> None:
    """The table only fills what is not said, also where that is a no."""
    said = ModelCard("claude-sonnet-4-5", "a", context_length=7, capabilities=Capabilities(vision=False))

    card = enriched(said, "api.anthropic.com")

    assert card.context_length == 7
    assert card.capabilities.vision is False
    assert card.capabilities.tools is True


def test_elsewhere_only_what_is_in_the_model_holds() -> None:
    """An aggregator may cut the window or have no tools; that the model thinks stays so."""
    card = enriched(ModelCard("anthropic/claude-sonnet-4-5:free", "x"), "some.aggregator.example")

    assert card.context_length is None
    assert card.capabilities.tools is None
    assert card.capabilities.reasoning is True


@pytest.mark.parametrize("endpoint", ["loopback", "lan", "process", "tailnet"])
def test_models_at_home_are_left_as_they_are(endpoint) -> None:
    """What runs here is what its server says."""
    card = ModelCard("gpt-5", "lab", endpoint=endpoint)

    assert enriched(card, "api.openai.com") is card


def test_what_nobody_knows_stays_unknown() -> None:
    """No guess is made."""
    card = ModelCard("totally-new-1", "x")

    assert enriched(card, "api.openai.com") == card


@pytest.mark.parametrize(
    ("id", "chats"),
    [
        ("gpt-5", True),
        ("gemini-2.5-flash", True),
        ("llama3.2:3b", True),
        ("text-embedding-3-small", False),
        ("nomic-embed-text:latest", False),
        ("BAAI/bge-m3", False),
        ("rerank-v3.5", False),
        ("whisper-1", False),
        ("gpt-4o-transcribe", False),
        ("tts-1", False),
        ("dall-e-3", False),
        ("omni-moderation-latest", False),
    ],
)
def test_only_models_that_chat_may_be_a_default(id: str, chats: bool) -> None:
    """Embedders, rerankers, and what speaks, hears or draws are chosen only by name."""
    assert talks(ModelCard(id, "x")) is chats


def test_a_provider_may_say_what_embeds() -> None:
    """Its word counts more than the name."""
    assert not talks(ModelCard("plain-name", "x", capabilities=Capabilities(embeddings=True)))
    assert talks(ModelCard("embedded-systems-coder", "x", capabilities=Capabilities(embeddings=False)))


def test_the_table_is_dated_and_whole() -> None:
    """Every row has three fields and known letters; it is of this century and says where it is from."""
    assert date.fromisoformat(capabilities.date()).year >= 2026
    assert "MIT" in TABLE["source"]
    rows = [(id, row) for models in TABLE["hosts"].values() for id, row in models.items()]
    assert len(rows) > 500
    for id, (context, output, letters) in rows:
        assert id == id.lower()
        assert 0 <= context <= 20_000_000
        assert 0 <= output <= 20_000_000
        assert set(letters.lower()) <= set("tvadjrek")
