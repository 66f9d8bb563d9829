"""What is known of a model family's oddities on the wire, as data. What each of them means: `models.Quirk`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from osaurus_nb.models import Quirk


class _Family(NamedTuple):
    """Models whose bare id, in lower case, begins like this, at hosts with this name: at any when it is None."""

    model: re.Pattern[str]
    quirks: frozenset[Quirk]
    host: re.Pattern[str] | None = None


def _row(model: str, *quirks: Quirk, host: str | None = None) -> _Family:
    return _Family(re.compile(model), frozenset(quirks), re.compile(host) if host is not None else None)


#: The vendor's own hosts. Behind the addresses of others the same models often take more.
_OPENAI = r"(?:.+\.)?(?:openai\.com|openai\.azure\.com|services\.ai\.azure\.com)$"
_MISTRAL = r"(?:.+\.)?mistral\.ai$"
_DEEPSEEK = r"(?:.+\.)?deepseek\.com$"
_OPENROUTER = r"(?:.+\.)?openrouter\.ai$"
_MISTRALS = r"(?:open-)?(?:mistral|mixtral|magistral|ministral|codestral|devstral|pixtral|voxtral)"

#: A model has the quirks of every row that it matches. Seen 2026-11 unless a row says otherwise.
_FAMILIES: tuple[_Family, ...] = (
    # OpenAI: the o-series, gpt-5 and later.
    _row(r"(?:o[1-9]\d*|gpt-(?:[5-9]|\d{2,})(?!-chat))(?:[.\-:]|$)", "reasoner"),
    _row(r"(?:gpt-6-astra|gpt-6\.1-sol)", "always_thinks"),
    _row(r"(?:gpt-6-astra|gpt-6\.1-sol)", "tools_on_responses", host=_OPENAI),
    _row(r"gpt-6-(?:sol|luna)", "tools_unthinking", host=_OPENAI),
    _row(r"", "few_knobs", "plain_schemas", host=_OPENAI),
    # Claude: before 4.6 it thinks by a budget; 4.6 ended prefills, 4.7 budgets and sampling.
    _row(r"claude-(?:[123](?:[.\-@:]|$)|instant|[a-z]+-4(?:[.-][0-5])?(?:$|[-@:](?!\d\d?(?!\d))))", "budget_thinking"),
    _row(r"claude-[a-z]+-(?:4[.-](?:[6-9]|[1-9]\d)|[5-9]|[1-9]\d)(?!\d)", "no_prefill"),
    _row(r"claude-[a-z]+-(?:4[.-](?:[7-9]|[1-9]\d)|[5-9]|[1-9]\d)(?!\d)", "default_sampling", "adaptive_only"),
    _row(r"claude-4\.(?:[7-9]|[1-9]\d)-", "default_sampling", "adaptive_only", "no_prefill"),  # as OpenRouter spells it
    # Gemini: 2.5 thinks by a budget, 3 signs its calls, 3.6 and the 3.5 Flash-Lite ended sampling and prefills.
    _row(r"(?:gemini-[12](?:[.\-]|$)|gemini-(?:pro|ultra)|gemma|learnlm)", "unsigned_calls"),
    _row(r"gemini-2[.\-]5", "thinking_budget"),
    _row(r"(?:gemini-1|gemini-2[.\-]0|gemini-pro|gemma|learnlm)", "schema_subset"),
    _row(r"gemini-(?:2[.\-]5|[3-9](?:[.\-]\d+)?)-pro", "always_thinks"),
    _row(r"gemini-(?:[3-9]|\d\d)(?:[.\-]|$)", "one_candidate"),
    _row(
        r"gemini-(?:3[.\-]5-flash-lite|3[.\-](?:[6-9]|[1-9]\d)|[4-9]|\d\d)(?:[.\-]|$)", "default_sampling", "no_prefill"
    ),
    # Mistral: its API refuses unknown keys, wherever a server hands them on to it; its templates check the ids.
    _row(rf"{_MISTRALS}", "short_ids"),
    _row(rf"{_MISTRALS}(?!.*instruct)[a-z0-9.\-]*-(?:latest|\d{{4}})$", "strict_keys"),
    _row(r"", "strict_keys", "short_ids", host=_MISTRAL),
    # DeepSeek from 3.2 on thinks between calls.
    _row(r"deepseek-(?:chat|reasoner|flash|pro|v3[.\-][2-9]|v[4-9]|v\d\d)", "echo_reasoning"),
    _row(r"", "thinking_switch", host=_DEEPSEEK),
    _row(r"minimax-m\d", "think_tags"),
    _row(r"", "tells_cost", host=_OPENROUTER),
)

#: Words in front of an id: `models/`, `openai/`, `accounts/x/models/`, `us.anthropic.`
_PREFIX = re.compile(r"(?:[a-z-]+\.)+(?=[a-z])")


@lru_cache(maxsize=4096)  # asked for every request
def quirks(model: str, host: str = "") -> frozenset[Quirk]:
    """The wire-level oddities of the model with this id, at a provider with this host name."""
    bare = _PREFIX.sub("", model.lower().rpartition("/")[2], count=1)
    found = (
        row.quirks
        for row in _FAMILIES
        if row.model.match(bare) and (row.host is None or (host and row.host.match(host.lower().rstrip("."))))
    )
    return frozenset().union(*found)
