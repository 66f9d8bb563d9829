"""Token counts: the dialect's totals and our disjoint classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osaurus_nb.models import Usage
from osaurus_nb.wire._liberal import as_count, as_mapping


def read_usage(body: Mapping[str, Any]) -> Usage:
    """Totals as disjoint classes. What does not add up is kept and marked absurd."""
    given, made, total = (as_count(body.get(f"{name}_tokens")) for name in ("input", "output", "total"))
    details = as_mapping(body.get("input_tokens_details"))
    read, written = as_count(details.get("cached_tokens")), as_count(details.get("cache_write_tokens"))
    thinking = as_count(as_mapping(body.get("output_tokens_details")).get("reasoning_tokens"))
    fresh, answer = given - read - written, made - thinking
    return Usage(
        input_tokens=max(fresh, 0),
        output_tokens=max(answer, 0),
        cache_read_input_tokens=read,
        cache_creation_input_tokens=written,
        reasoning_output_tokens=thinking,
        estimated=bool(body.get("estimated")),
        absurd=fresh < 0 or answer < 0 or total not in (0, given + made),
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    body: dict[str, Any] = {
        "input_tokens": usage.total_input,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_input_tokens,
            # openai 3.52 in strict mode refuses usage without it (seen 2026-11).
            "cache_write_tokens": usage.cache_creation_input_tokens,
        },
        "output_tokens": usage.total_output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_output_tokens},
        "total_tokens": usage.total,
    }
    return body | ({"estimated": True} if usage.estimated else {})


def encode_input_tokens(count: int) -> dict[str, Any]:
    """The answer to `POST /v1/responses/input_tokens`."""
    return {"object": "response.input_tokens", "input_tokens": count}
