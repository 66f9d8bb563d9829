"""What is asked, in no provider's dialect. Values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from osaurus_nb.errors import Warned
from osaurus_nb.messages import Message, Opaque
from osaurus_nb.routes import NO_REQUIREMENTS, Mode, Requirements, Resume

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may ask for. `parameters` is its JSON Schema."""

    name: str
    description: str = ""
    parameters: JsonObject = field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None
    provider_metadata: Opaque | None = None


@dataclass(frozen=True, slots=True)
class NamedTool:
    """Tool choice: exactly this one."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | NamedTool


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """The shape that the answer must have."""

    kind: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    schema: JsonObject | None = None
    strict: bool | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. None means: the model's own default."""

    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: Mapping[str, float] | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    n: int = 1


@dataclass(frozen=True, slots=True)
class RouteOptions:
    """How candidates are chosen and how long they may take.

    `fallbacks` are model names that may answer instead, in order, before anything was shown.
    `deadline` is for the whole step, in seconds. `strict_params` turns every warning into an error. `max_cost_micro`
    is the most that the step may cost, in millionths of a US dollar. `turn` is the caller's own name for a
    conversation that shall stay with its model. `explain` asks for the route in the answer. `fusion`: several models
    answer and another one judges, in any case (`required`) or where the question is worth it (`auto`).
    """

    mode: Mode | None = None
    profile: str | None = None
    requirements: Requirements = NO_REQUIREMENTS
    resume: Resume = "off"
    turn: str | None = None
    explain: bool = False
    fallbacks: tuple[str, ...] = ()
    deadline: float | None = None
    strict_params: bool = False
    max_cost_micro: int | None = None
    fusion: Literal["auto", "required"] | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the caller wants the answer: in one piece or streamed, with usage inside the stream or not."""

    stream: bool = False
    include_usage: bool = False


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One question to one model or profile.

    `extra` holds the keys that no field knows; `provider_metadata` those that mean something in one dialect alone.
    `warnings` are what its reader noticed; the answer begins with them.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    sampling: Sampling = Sampling()
    reasoning_effort: Effort | None = None
    route: RouteOptions = RouteOptions()
    delivery: Delivery = Delivery()
    extra: JsonObject = field(default_factory=dict)
    provider_metadata: Opaque | None = None
    warnings: tuple[Warned, ...] = ()

    def __repr__(self) -> str:
        return f"ChatRequest({self.model!r}, {len(self.messages)} messages, {len(self.tools)} tools)"


@dataclass(frozen=True, slots=True, repr=False)
class Sent:
    """What the caller wrote, for a provider of the same dialect: it may get the very same words.

    `body` is the JSON object as it was parsed, `headers` those that belong to the dialect. Only the head of the
    request was read so far, which is cheap however long the body is; `read` gives the whole of it, or raises
    RequestError.
    """

    dialect: str
    body: JsonObject
    read: Callable[[], ChatRequest]
    headers: Mapping[str, str] = field(default_factory=dict)
