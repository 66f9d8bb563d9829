"""What a completions body must look like. Strict about types, open to keys we do not know."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from osaurus_nb.wire._inbound import Open, Routed


def _prompt_tag(value: Any) -> str | None:
    if isinstance(value, str):
        return "$text"
    if not isinstance(value, list):
        return None
    return "$texts" if all(isinstance(item, str) for item in value) else "$tokens"


Prompt = Annotated[
    Annotated[str, Tag("$text")] | Annotated[list[str], Tag("$texts")] | Annotated[list[Any], Tag("$tokens")],
    Discriminator(_prompt_tag, custom_error_type="prompt_type", custom_error_message="must be a string or an array"),
]


def _stop_tag(value: Any) -> str | None:
    return "$one" if isinstance(value, str) else "$many" if isinstance(value, list) else None


Stop = Annotated[
    Annotated[str, Tag("$one")] | Annotated[list[str], Tag("$many")],
    Discriminator(_stop_tag, custom_error_type="stop_type", custom_error_message="must be a string or an array"),
]


class StreamOptions(Open):
    include_usage: bool | None = None


class CompletionBody(Routed):
    """The request body; a null means the same as a missing key."""

    model: str = Field(min_length=1)
    prompt: Prompt
    suffix: str | None = None
    echo: bool | None = None
    best_of: int | None = Field(default=None, ge=1, le=20)
    n: int | None = Field(default=None, ge=1, le=16)
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop: Stop | None = None
    seed: int | None = None
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[str, float] | None = None
    logprobs: int | None = Field(default=None, ge=0, le=5)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    # What local servers added to the dialect.
    top_k: int | None = Field(default=None, ge=0)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0)
