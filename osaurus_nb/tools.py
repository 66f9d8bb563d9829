"""Python functions as tools: their schema from the signature, one call run, its result as a message."""

from __future__ import annotations

import asyncio
import inspect
import json
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from osaurus_nb.errors import RequestError
from osaurus_nb.messages import Message, ToolCall, tool_result
from osaurus_nb.request import Tool

Function = Callable[..., Any]

#: How often a model may call tools before it has to answer.
MAX_ROUNDS = 8
#: A result longer than this is cut, and says so.
MAX_RESULT = 100_000


class Toolbox:
    """The functions of one call, by name. Only these can ever be run."""

    def __init__(self, functions: Sequence[Function | Tool]) -> None:
        self._functions = {_name(f): f for f in functions if not isinstance(f, Tool)}
        self.tools = tuple(f if isinstance(f, Tool) else describe(f) for f in functions)
        if len({tool.name for tool in self.tools}) < len(self.tools):
            raise RequestError("Two tools have the same name; give one of them another `__name__`.", param="tools")

    def can_run(self, calls: Sequence[ToolCall]) -> bool:
        """Are all these calls for functions of ours? A plain `Tool` is run by the caller."""
        declared = {tool.name for tool in self.tools} - set(self._functions)
        return bool(calls) and not any(call.name in declared for call in calls)

    async def run(self, call: ToolCall) -> Message:
        """The tool's answer; a fault becomes an error result that the model can react to."""
        function = self._functions.get(call.name)
        if function is None:
            return tool_result(call, f"There is no tool '{call.name}'.", is_error=True)
        try:
            bound = inspect.signature(function).bind(**_arguments(call))
        except (TypeError, ValueError) as exc:
            return tool_result(call, f"The arguments do not fit: {exc}", is_error=True)
        try:
            return tool_result(call, _text(await _call(function, bound)))
        except Exception as exc:  # noqa: BLE001 - the caller's own function: the model is told, the chat goes on
            return tool_result(call, f"{type(exc).__name__}: {exc}", is_error=True)


def describe(function: Function) -> Tool:
    """The tool that this function is: name, first docstring paragraph, JSON Schema of its parameters."""
    from pydantic import ConfigDict, PydanticUserError, create_model  # noqa: PLC0415 - 0.1 s that only tools need

    hints = typing.get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise RequestError(f"Tool '{_name(function)}': parameter '{name}' needs a name and a type.", param="tools")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (hints.get(name, Any), default)
    try:
        model = create_model(_name(function), __config__=ConfigDict(extra="forbid"), **fields)
        schema = model.model_json_schema()
    except PydanticUserError as exc:
        raise RequestError(f"Tool '{_name(function)}': a parameter's type has no JSON Schema.", param="tools") from exc
    schema.pop("title", None)
    doc = inspect.getdoc(function) or ""
    return Tool(_name(function), doc.partition("\n\n")[0].replace("\n", " "), schema)


async def _call(function: Function, bound: inspect.BoundArguments) -> Any:
    """Async functions run on our loop, all others in a thread: they may block, or use the sync client."""
    if inspect.iscoroutinefunction(function):
        return await function(*bound.args, **bound.kwargs)
    return await asyncio.to_thread(function, *bound.args, **bound.kwargs)


def _name(function: Function) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _arguments(call: ToolCall) -> Mapping[str, Any]:
    arguments = json.loads(call.arguments or "{}")
    if not isinstance(arguments, dict):
        raise TypeError("they must be a JSON object")
    return arguments


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= MAX_RESULT else f"{text[:MAX_RESULT]}\n[cut after {MAX_RESULT} characters]"
