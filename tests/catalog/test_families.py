"""A family's oddities are data, found by the model's id in any spelling and by the provider's host."""

from __future__ import annotations

from typing import get_args

import pytest

from osaurus_nb.catalog import families
from osaurus_nb.catalog.families import quirks
from osaurus_nb.models import Quirk

OPENAI = "api.openai.com"


@pytest.mark.parametrize("model", ["o1", "o3-mini", "gpt-5", "gpt-5.2-pro", "gpt-10", "openai/o4-mini", "openai.gpt-5"])
def test_reasoners_are_known_by_data(model: str) -> None:
    """The o-series and gpt-5 and later have their quirk."""
    assert quirks(model) == {"reasoner"}


@pytest.mark.parametrize(
    "model", ["gpt-4o", "gpt-5-chat-latest", "llama-3", "olmo-2", "gpt-oss-20b", "o", "demo1", "llama3.2:latest"]
)
def test_other_models_have_none(model: str) -> None:
    """A name that only looks alike has no quirk."""
    assert quirks(model) == frozenset()


@pytest.mark.parametrize(
    ("model", "host", "found"),
    [
        ("gpt-6-astra", OPENAI, {"tools_on_responses", "always_thinks"}),
        ("gpt-6.1-sol", "lab.openai.azure.com", {"tools_on_responses", "always_thinks"}),
        ("gpt-6-luna-2026-09-01", OPENAI, {"tools_unthinking"}),
        ("openai/gpt-6-astra", "openrouter.ai", {"always_thinks", "tells_cost"}),
        ("openai/gpt-6-luna", "openrouter.ai", {"tells_cost"}),
        ("gpt-6-luna", "api.openai.com.example", set()),
    ],
)
def test_rules_of_a_vendor_s_own_host_hold_there_alone(model: str, host: str, found: set[str]) -> None:
    """The same model behind another address may take more."""
    there = quirks(model, host)

    assert there - {"reasoner", "few_knobs", "plain_schemas"} == found
    assert ("few_knobs" in there) == (host in (OPENAI, "lab.openai.azure.com"))


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("claude-3-5-sonnet-20241022", {"budget_thinking"}),
        ("anthropic/claude-3.7-sonnet:thinking", {"budget_thinking"}),
        ("claude-sonnet-4-20250514", {"budget_thinking"}),
        ("claude-opus-4@20250514", {"budget_thinking"}),
        ("claude-opus-4-5-20251101", {"budget_thinking"}),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", {"budget_thinking"}),
        ("claude-opus-4-6", {"no_prefill"}),
        ("us.anthropic.claude-opus-4-6-v1:0", {"no_prefill"}),
        ("claude-opus-4-7", {"no_prefill", "default_sampling", "adaptive_only"}),
        ("anthropic/claude-4.7-opus", {"no_prefill", "default_sampling", "adaptive_only"}),
        ("anthropic/claude-sonnet-5", {"no_prefill", "default_sampling", "adaptive_only"}),
        ("claude-opus-4-10", {"no_prefill", "default_sampling", "adaptive_only"}),
    ],
)
def test_generations_of_claude_are_told_apart(model: str, found: set[str]) -> None:
    """How it thinks, whether it continues words and what sampling it takes depends on its generation."""
    assert quirks(model) == found


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("models/gemini-1.5-pro-002", {"unsigned_calls", "schema_subset"}),
        ("gemini-2.0-flash", {"unsigned_calls", "schema_subset"}),
        ("gemma-3-27b-it", {"unsigned_calls", "schema_subset"}),
        ("gemini-2.5-flash", {"unsigned_calls", "thinking_budget"}),
        ("google/gemini-2.5-pro-preview-06-05", {"unsigned_calls", "thinking_budget", "always_thinks"}),
        ("gemini-3-pro-preview", {"one_candidate", "always_thinks"}),
        ("gemini-3.5-flash", {"one_candidate"}),
        ("gemini-3.5-flash-lite", {"one_candidate", "default_sampling", "no_prefill"}),
        ("gemini-3.8-flash", {"one_candidate", "default_sampling", "no_prefill"}),
        ("gemini-flash-latest", set()),
    ],
)
def test_generations_of_gemini_are_told_apart(model: str, found: set[str]) -> None:
    """Budgets, signatures, schemas and sampling changed from one to the next."""
    assert quirks(model) == found


@pytest.mark.parametrize(
    ("model", "host", "found"),
    [
        ("mistral-large-latest", "api.mistral.ai", {"strict_keys", "short_ids"}),
        ("ft:open-mistral-nemo:a1", "api.mistral.ai", {"strict_keys", "short_ids"}),
        ("mistral/devstral-small-2512", "", {"strict_keys", "short_ids"}),
        ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", "127.0.0.1", {"short_ids"}),
        ("mistral:7b", "127.0.0.1", {"short_ids"}),
        ("deepseek-chat", "api.deepseek.com", {"echo_reasoning", "thinking_switch"}),
        ("deepseek-ai/DeepSeek-V3.2-Exp", "127.0.0.1", {"echo_reasoning"}),
        ("deepseek/deepseek-r1", "openrouter.ai", {"tells_cost"}),
        ("deepseek/deepseek-r1", "openrouter.ai.example.org", set()),
        ("MiniMaxAI/MiniMax-M2.1", "", {"think_tags"}),
    ],
)
def test_other_families_are_found(model: str, host: str, found: set[str]) -> None:
    """By how their vendors and those who host them spell their names."""
    assert quirks(model, host) == found


def test_each_quirk_that_is_explained_belongs_to_some_family() -> None:
    """The list of quirks and the table of families name the same ones."""
    given = frozenset[str]().union(*(row.quirks for row in families._FAMILIES))

    assert given == set(get_args(Quirk))
