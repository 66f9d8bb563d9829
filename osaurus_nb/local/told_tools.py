"""Tools for models that were not trained to call any: told in words, called as marked JSON. Pure.

Calls and results of earlier turns become words too, because the templates of such models pass over them in silence.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from osaurus_nb.request import NamedTool, ToolChoice

CALL_START, CALL_END = "<tool_call>", "</tool_call>"
_RESULT_START, _RESULT_END = "<tool_response>", "</tool_response>"

Chat = list[dict[str, Any]]


def in_words(chat: Chat, tools: Sequence[dict[str, Any]], choice: ToolChoice | None) -> Chat:
    """The chat for a template that knows no tools: those on offer in the system message, calls and results as text."""
    spoken = _spoken(chat)
    if not tools:
        return spoken
    told = _instructions(tools, choice)
    if spoken and spoken[0]["role"] == "system":
        first = {**spoken[0], "content": f"{spoken[0]['content']}\n\n{told}"}
        return [first, *spoken[1:]]
    return [{"role": "system", "content": told}, *spoken]


def read_call(text: str) -> Any:
    """The call that a marked text spells. Raises ValueError for one that is no JSON."""
    return json.loads(text.strip())


def _instructions(tools: Sequence[dict[str, Any]], choice: ToolChoice | None) -> str:
    listed = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    match choice:
        case NamedTool(name=name):
            when = f"Now call the function {name}."
        case "required":
            when = "Now call one of them."
        case _:
            when = "If none of them helps, answer in plain words."
    shape = f'{CALL_START}\n{{"name": "<name>", "arguments": {{...}}}}\n{CALL_END}'
    return f"You can call these functions:\n{listed}\n\nTo call one, answer with this alone:\n{shape}\n{when}"


def _spoken(chat: Chat) -> Chat:
    spoken: Chat = []
    for turn in chat:
        plain = {key: value for key, value in turn.items() if key not in ("tool_calls", "tool_call_id")}
        if turn["role"] == "tool":
            result = f"{_RESULT_START}\n{turn['content']}\n{_RESULT_END}"
            if spoken and spoken[-1].get("results"):  # one turn: many templates want the roles to alternate
                spoken[-1]["content"] += f"\n{result}"
                continue
            plain = {"role": "user", "content": result, "results": True}
        elif calls := turn.get("tool_calls"):
            plain["content"] = "\n".join(filter(None, (turn["content"], *map(_call, calls))))
        spoken.append(plain)
    return [{key: value for key, value in turn.items() if key != "results"} for turn in spoken]


def _call(call: dict[str, Any]) -> str:
    function = call["function"]
    body = json.dumps({"name": function["name"], "arguments": function["arguments"]}, ensure_ascii=False)
    return f"{CALL_START}\n{body}\n{CALL_END}"
