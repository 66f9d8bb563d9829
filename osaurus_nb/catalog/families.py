"""What is known of a model family's oddities on the wire, as data."""

from __future__ import annotations

import re

#: Pattern of the model id -> quirks that its codec knows. The first match counts.
_FAMILIES: tuple[tuple[re.Pattern[str], frozenset[str]], ...] = (
    # OpenAI's o-series and gpt-5 and later refuse max_tokens and any sampling but the default (seen 2026-11).
    (re.compile(r"^(?:openai/)?(?:o[1-9]\d*|gpt-(?:[5-9]|\d{2,}))(?:[.\-:]|$)", re.I), frozenset({"reasoner"})),
    # Claude before 4.6 thinks by a budget of tokens; 4.7 and later take only the default sampling (seen 2026-11).
    (re.compile(r"^(?:anthropic/)?claude-(?:3|\w+-4(?:-[0-5])?(?:-\d{8})?$)", re.I), frozenset({"budget_thinking"})),
    (re.compile(r"^(?:anthropic/)?claude-\w+-(?:4-[7-9]|[5-9]|\d{2})", re.I), frozenset({"default_sampling"})),
)


def quirks(model: str) -> frozenset[str]:
    """The wire-level oddities of the model with this id."""
    return next((found for pattern, found in _FAMILIES if pattern.match(model)), frozenset())
