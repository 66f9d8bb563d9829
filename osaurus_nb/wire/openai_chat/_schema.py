"""What a Chat Completions body must look like. Strict about types, open to keys we do not know."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from osaurus_nb.wire._inbound import Open, Routed, by_type


class TextPart(Open):
    type: Literal["text"]
    text: str


class RefusalPart(Open):
    type: Literal["refusal"]
    refusal: str


class ImageUrl(Open):
    url: str
    detail: str | None = None


class ImagePart(Open):
    type: Literal["image_url"]
    image_url: ImageUrl


class InputAudio(Open):
    data: str
    format: str


class AudioPart(Open):
    type: Literal["input_audio"]
    input_audio: InputAudio


class FileData(Open):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(Open):
    type: Literal["file"]
    file: FileData


ContentPart = Annotated[
    Annotated[TextPart, Tag("$text")]
    | Annotated[RefusalPart, Tag("$refusal")]
    | Annotated[ImagePart, Tag("$image_url")]
    | Annotated[AudioPart, Tag("$input_audio")]
    | Annotated[FilePart, Tag("$file")],
    by_type("a part of type text, image_url, input_audio, file or refusal"),
]


def _content_tag(value: Any) -> str | None:
    return "$text" if isinstance(value, str) else "$parts" if isinstance(value, list) else None


Content = Annotated[
    Annotated[str, Tag("$text")] | Annotated[list[ContentPart], Tag("$parts")],
    Discriminator(_content_tag, custom_error_type="content_type", custom_error_message="must be a string or an array"),
]


class Function(Open):
    name: str
    arguments: str = ""


class CallBody(Open):
    id: str
    type: Literal["function"] = "function"
    function: Function


class MessageBody(Open):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content | None = None
    name: str | None = None
    tool_calls: list[CallBody] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None


class FunctionSpec(Open):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolBody(Open):
    type: Literal["function"]
    function: FunctionSpec


class NamedFunction(Open):
    name: str


class NamedChoice(Open):
    type: Literal["function"]
    function: NamedFunction


def _choice_tag(value: Any) -> str | None:
    return "$word" if isinstance(value, str) else "$named" if isinstance(value, dict) else None


ToolChoiceBody = Annotated[
    Annotated[Literal["auto", "none", "required"], Tag("$word")] | Annotated[NamedChoice, Tag("$named")],
    Discriminator(_choice_tag, custom_error_type="tool_choice", custom_error_message="must be a word or a function"),
]


class JsonSchemaBody(Open):
    name: str
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None
    description: str | None = None


class ResponseFormatBody(Open):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaBody | None = None


class StreamOptions(Open):
    include_usage: bool | None = None


def _stop_tag(value: Any) -> str | None:
    return "$one" if isinstance(value, str) else "$many" if isinstance(value, list) else None


Stop = Annotated[
    Annotated[str, Tag("$one")] | Annotated[list[str], Tag("$many")],
    Discriminator(_stop_tag, custom_error_type="stop_type", custom_error_message="must be a string or an array"),
]


class ChatBody(Routed):
    """The request body; a null means the same as a missing key."""

    model: str = Field(min_length=1)
    messages: list[MessageBody] = Field(min_length=1)
    tools: list[ToolBody] | None = None
    tool_choice: ToolChoiceBody | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormatBody | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    min_p: float | None = Field(default=None, ge=0, le=1)
    stop: Stop | None = None
    seed: int | None = None
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    repetition_penalty: float | None = Field(default=None, gt=0)
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    n: int | None = Field(default=None, ge=1, le=16)
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
