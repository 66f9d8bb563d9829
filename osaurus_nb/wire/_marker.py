"""Our marker among the tools of a body: it asks for several models, and never reaches a provider. Pure.

It is taken out, and what it means is said by our own key `fusion`. The tool choice tells how it is meant: `none` or
another tool by name: not at all; `required` or the marker by name: in any case; else where the question is worth it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from osaurus_nb.errors import RequestError

#: What the tool is called as its type, or by name in a tool choice.
MARKERS = frozenset({"osaurus:fusion", "sage-router:fusion", "openrouter:fusion"})
#: The key of a body that says the same without a tool.
KEY = "fusion"
Wanted = Literal["auto", "required"]


def is_marked(body: Mapping[str, Any]) -> bool:
    """Is the marker among its tools?"""
    tools = body.get("tools")
    return isinstance(tools, list) and any(_is_marker(tool) for tool in tools)


def unmarked(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body without the marker, and with the key instead. Raises RequestError for options of the marker's."""
    for at, tool in enumerate(body["tools"]):
        if _is_marker(tool) and (more := [key for key in tool if key != "type" and tool[key]]):
            field = f"tools[{at}].{more[0]}" if more[0].isidentifier() else f"tools[{at}]"
            raise RequestError(f"'{field}': a fusion is set by a profile, its marker has no options.", param=field)
    tools = [tool for tool in body["tools"] if not _is_marker(tool)]
    wanted, choice = _meant(body.get("tool_choice"))
    kept = {key: value for key, value in body.items() if key not in ("tools", "tool_choice")}
    if tools:
        kept |= {"tools": tools} | ({"tool_choice": choice} if choice is not None else {})
    return kept | ({KEY: wanted} if wanted is not None and kept.get(KEY) is None else {})


def _is_marker(tool: object) -> bool:
    return isinstance(tool, Mapping) and isinstance(tool.get("type"), str) and tool["type"] in MARKERS


def _meant(choice: Any) -> tuple[Wanted | None, Any]:
    """What a tool choice says of the marker, and what is left of it for the other tools."""
    kind = choice.get("type") if isinstance(choice, Mapping) else choice
    if kind is None or kind == "auto":
        return "auto", choice
    if kind in ("required", "any"):
        return "required", None
    if not isinstance(choice, Mapping):
        return None, choice
    if kind == "allowed_tools":
        return _allowed(choice)
    return ("required", None) if {kind, _name(choice)} & MARKERS else (None, choice)


def _allowed(choice: Mapping[str, Any]) -> tuple[Wanted | None, Any]:
    tools = choice.get("tools")
    if not isinstance(tools, list) or not any(_is_marker(tool) for tool in tools):
        return None, choice
    others = [tool for tool in tools if not _is_marker(tool)]
    required = choice.get("mode") == "required"
    left = {**choice, "tools": others, "mode": "auto"} if others else None
    return "required" if required else "auto", left


def _name(choice: Mapping[str, Any]) -> Any:
    function = choice.get("function")
    name = function.get("name") if isinstance(function, Mapping) else choice.get("name")
    return name if isinstance(name, str) else None
