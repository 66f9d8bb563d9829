"""Schemas of tools, as providers take them and as prefix caches find them again. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from osaurus_nb.events import Warned
from osaurus_nb.request import Tool

#: Refused at the top of a tool's schema by OpenAI, Azure and Anthropic (seen 2026-11).
_NOT_AT_TOP = ("oneOf", "anyOf", "allOf", "enum", "const", "not")


def written(tool: Tool) -> dict[str, Any]:
    """The schema with its keys in order: one tool is then always the same prompt, and found in a cache.

    A strict tool keeps the caller's order, for the model writes its arguments in it.
    """
    return dict(tool.parameters) if tool.strict else _sorted(tool.parameters)


def plain(tool: Tool) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The schema as an object without what is refused at its top, and the keywords that this left out."""
    schema = {"type": "object", **written(tool)}
    lost = tuple(keyword for keyword in _NOT_AT_TOP if keyword in schema)
    return {key: schema[key] for key in schema if key not in lost}, lost


def told(lost: Sequence[str], vendor: str) -> Iterator[Warned]:
    """A warning for each keyword that was left out of some tool."""
    for keyword in dict.fromkeys(lost):
        yield Warned("schema_changed", f"{vendor} takes no '{keyword}' at the top of a tool's schema.", "tools")


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [*map(_sorted, value)] if isinstance(value, list) else value
