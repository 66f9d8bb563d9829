"""What an answer must look like, as a grammar: a JSON shape, a call of a tool, or either of them. Pure.

The grammars are in the Lark dialect of llguidance. What it cannot hold a model to is refused by name; only the schema
of a tool that is not strict may be followed in part, with a warning.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.request import ChatRequest, NamedTool, ResponseFormat, Tool

#: Says what is wrong with a grammar; nothing for a good one.
Check = Callable[[str], str]

#: As `json.dumps` writes it. Free layout would let a weak model write blanks for ever.
_LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a model writes a call around its JSON: Lark terms before and after. `start` begins it in plain text."""

    before: str
    after: str
    start: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A grammar in Lark, and what has to be said about it."""

    lark: str
    warnings: tuple[Warned, ...] = ()


def rule(request: ChatRequest, *, spelling: Spelling | None, told: bool, check: Check) -> Rule | None:
    """The grammar that this request asks for; None where the model may say what it likes.

    `spelling` is None for a model whose calls are no JSON. `told` says that it knows of tools by words alone.
    """
    try:
        return _rule(request, spelling, told, check)
    except RecursionError:
        raise Unsupported("A schema is nested too deeply to hold an answer to it.", param="response_format") from None


def _rule(request: ChatRequest, spelling: Spelling | None, told: bool, check: Check) -> Rule | None:
    schema = _schema(request.response_format, check)
    tools: Sequence[Tool] = request.tools if request.tool_choice != "none" else ()
    forced = request.tool_choice == "required" or isinstance(request.tool_choice, NamedTool)
    if forced:
        tools = _chosen(request)
    if not tools or not (forced or told or schema):
        return Rule(f"start: {schema}\n") if schema else None
    if spelling is None:
        param = "tool_choice" if forced else "response_format"
        words = "This model does not write its calls as JSON, so its answer cannot be held to them."
        raise Unsupported(words, param=param)
    return _with_calls(request, tools, spelling, None if forced else schema or _PLAIN, check)


_PLAIN = "text"


def _with_calls(
    request: ChatRequest, tools: Sequence[Tool], spelling: Spelling, instead: str | None, check: Check
) -> Rule:
    """Calls of these tools, or `instead` of them something else."""
    shapes, warnings = [], []
    for tool in tools:
        shape, loosened = _arguments(tool, check)
        shapes.append(shape)
        if loosened:
            words = f"The arguments of {tool.name!r} are not held to all of its schema: {loosened}"
            warnings.append(Warned("schema_loosened", words, "tools"))
    lines = [f"start: calls{f' | {instead}' if instead else ''}"]
    lines.append("calls: call" if _one_call(request) else 'calls: call ("\\n" call)*')
    lines.append(f"call: {spelling.before} body {spelling.after}")
    lines.append("body: " + " | ".join(f"call{at}" for at in range(len(tools))))
    for at, (tool, shape) in enumerate(zip(tools, shapes, strict=True)):
        head = json.dumps(f'{{"name": {json.dumps(tool.name, ensure_ascii=False)}, "arguments": ')
        lines.append(f'call{at}: {head} {shape} "}}"')
    if instead == _PLAIN:
        lines.append(f"text: TEXT\nTEXT: /(?s:.*)/ & ~/(?s:{spelling.start}.*)/")
    return Rule("\n".join(lines) + "\n", tuple(warnings))


def _one_call(request: ChatRequest) -> bool:
    return isinstance(request.tool_choice, NamedTool) or not request.parallel_tool_calls


def _chosen(request: ChatRequest) -> Sequence[Tool]:
    """The tools that may be called when one must be."""
    if not request.tools:
        raise RequestError("A tool must be called, but none is offered.", param="tool_choice")
    if not isinstance(request.tool_choice, NamedTool):
        return request.tools
    name = request.tool_choice.name
    chosen = [tool for tool in request.tools if tool.name == name]
    if not chosen:
        raise RequestError(f"The tool {name[:100]!r} must be called, but it is not offered.", param="tool_choice")
    return chosen[:1]


def _schema(shape: ResponseFormat | None, check: Check) -> str | None:
    """The Lark term of the shape that the answer must have."""
    if shape is None or shape.kind == "text":
        return None
    term = _json(shape.schema if shape.kind == "json_schema" and shape.schema is not None else {"type": "object"})
    if problem := check(f"start: {term}\n"):
        raise Unsupported(f"The answer cannot be held to this schema: {problem}", param="response_format")
    return term


def _arguments(tool: Tool, check: Check) -> tuple[str, str]:
    """The Lark term of a tool's arguments, and what of its schema could not be kept."""
    term = _json(_object(tool.parameters))
    problem = check(f"start: {term}\n")
    if not problem:
        return term, ""
    loose = _json(_object(tool.parameters), lenient=True)
    if tool.strict or check(f"start: {loose}\n"):
        raise Unsupported(f"The arguments of {tool.name!r} cannot be held to its schema: {problem}", param="tools")
    return loose, problem


def _object(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Arguments are an object, whether the schema says so or not."""
    return parameters if "type" in parameters or "$ref" in parameters else {**parameters, "type": "object"}


def _json(schema: Mapping[str, Any], *, lenient: bool = False) -> str:
    closed = schema if "allOf" in json.dumps(schema) else _closed(schema)
    return f"%json {json.dumps({**closed, 'x-guidance': {**_LAYOUT, 'lenient': lenient}})}"


def _closed(schema: Any) -> Any:
    """The same, but objects have no properties beside those that are named: weak models would invent some for ever.

    Whatever fits it fits the open schema too. Not for schemas that add up (`allOf`).
    """
    if not isinstance(schema, dict):
        return schema
    inner = {
        **{key: _closed(schema[key]) for key in ("items",) if key in schema},
        **{key: list(map(_closed, schema[key])) for key in _LISTS if isinstance(schema.get(key), list)},
        **{
            key: {name: _closed(value) for name, value in schema[key].items()}
            for key in _MAPS
            if isinstance(schema.get(key), dict)
        },
    }
    open_ended = "properties" in schema and not schema.keys() & _OPENERS
    return {**schema, **inner, **({"additionalProperties": False} if open_ended else {})}


_LISTS = ("anyOf", "oneOf", "prefixItems")
_MAPS = ("properties", "$defs", "definitions")
_OPENERS = {"additionalProperties", "patternProperties", "unevaluatedProperties"}
