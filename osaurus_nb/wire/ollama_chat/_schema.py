"""What the bodies of /api/chat and /api/generate must look like. Strict about types, open to unknown keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from osaurus_nb.wire._inbound import Open, Routed


class FunctionCall(Open):
    name: str = Field(min_length=1)
    arguments: dict[str, Any] = Field(default_factory=dict)


class CallBody(Open):
    id: str | None = None  # the vendor's servers know it; its Python client leaves it out
    function: FunctionCall


class MessageBody(Open):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[CallBody] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class FunctionSpec(Open):
    name: str = Field(min_length=1)
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolBody(Open):
    type: Literal["function"] = "function"
    function: FunctionSpec


def _tag(value: Any) -> str | None:
    return {str: "$text", dict: "$schema", bool: "$flag", list: "$many", int: "$count", float: "$count"}.get(
        type(value)
    )


Format = Annotated[
    Annotated[Literal["", "json"], Tag("$text")] | Annotated[dict[str, Any], Tag("$schema")],
    Discriminator(_tag, custom_error_type="format", custom_error_message="must be 'json' or a schema"),
]
Think = Annotated[
    Annotated[Literal["", "low", "medium", "high", "max"], Tag("$text")] | Annotated[bool, Tag("$flag")],
    Discriminator(_tag, custom_error_type="think", custom_error_message="must be a boolean or a level"),
]
Stop = Annotated[
    Annotated[str, Tag("$text")] | Annotated[list[str], Tag("$many")],
    Discriminator(_tag, custom_error_type="stop", custom_error_message="must be a string or an array"),
]
KeepAlive = Annotated[
    Annotated[str, Tag("$text")] | Annotated[float, Tag("$count")],
    Discriminator(_tag, custom_error_type="keep_alive", custom_error_message="must be a duration or a number"),
]


class Options(Open):
    num_predict: int | None = Field(default=None, ge=-2)
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    min_p: float | None = Field(default=None, ge=0, le=1)
    stop: Stop | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_penalty: float | None = Field(default=None, gt=0)


class _Body(Routed):
    """What both paths take; a null means the same as a missing key."""

    model: str = Field(min_length=1)
    stream: bool | None = None
    format: Format | None = None
    think: Think | None = None
    keep_alive: KeepAlive | None = None
    options: Options | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)


class ChatBody(_Body):
    messages: list[MessageBody] | None = None
    tools: list[ToolBody] | None = None


class GenerateBody(_Body):
    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    context: list[int] | None = None
    raw: bool | None = None
    images: list[str] | None = None


class ShowBody(Open):
    model: str | None = None
    name: str | None = None
