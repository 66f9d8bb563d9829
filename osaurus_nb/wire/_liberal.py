"""What a provider's JSON holds, where it is what it should be, and nothing where it is not. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osaurus_nb.events import TokenLogprob


def as_mapping(value: Any) -> Mapping[str, Any]:
    """The object; an empty one for what is none."""
    return value if isinstance(value, Mapping) else {}


def as_rows(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; none of what is no list."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def as_text(value: Any) -> str | None:
    """The string; None for what is none."""
    return value if isinstance(value, str) else None


def as_count(value: Any) -> int:
    """A number of tokens; 0 for what is none."""
    return value if isinstance(value, int) and value > 0 else 0


def as_logprobs(value: Any) -> tuple[TokenLogprob, ...]:
    """Scored tokens with their rivals, in the shape that OpenAI and Ollama share; rows that are none are left out."""
    return tuple(
        TokenLogprob(token, logprob, tuple((rival, score) for rival, score, _ in _scored(row.get("top_logprobs"))))
        for token, logprob, row in _scored(value)
    )


def _scored(value: Any) -> list[tuple[str, float, Mapping[str, Any]]]:
    found = ((row.get("token"), row.get("logprob"), row) for row in as_rows(value))
    return [
        (token, score, row) for token, score, row in found if isinstance(token, str) and isinstance(score, int | float)
    ]
