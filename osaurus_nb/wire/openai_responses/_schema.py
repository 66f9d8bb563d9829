"""What a Responses body and its items must look like. Strict about types, open to keys we do not know."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from osaurus_nb.wire._inbound import Open, Routed, by_type


class TextPart(Open):
    type: Literal["input_text", "output_text", "text"]
    text: str
    annotations: list[dict[str, Any]] | None = None


class RefusalPart(Open):
    type: Literal["refusal"]
    refusal: str


class ImagePart(Open):
    type: Literal["input_image"]
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None


class FilePart(Open):
    type: Literal["input_file"]
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None


class InputAudio(Open):
    data: str
    format: str


class AudioPart(Open):
    type: Literal["input_audio"]
    input_audio: InputAudio


class VideoPart(Open):
    type: Literal["input_video"]
    video_url: str


ContentPart = Annotated[
    Annotated[TextPart, Tag("$input_text")]
    | Annotated[TextPart, Tag("$output_text")]
    | Annotated[TextPart, Tag("$text")]
    | Annotated[RefusalPart, Tag("$refusal")]
    | Annotated[ImagePart, Tag("$input_image")]
    | Annotated[FilePart, Tag("$input_file")]
    | Annotated[AudioPart, Tag("$input_audio")]
    | Annotated[VideoPart, Tag("$input_video")],
    by_type("a part of type input_text, input_image, input_file, output_text or refusal"),
]


def _string_or_list(value: Any) -> str | None:
    return "$text" if isinstance(value, str) else "$list" if isinstance(value, list) else None


_STRING_OR_LIST = Discriminator(
    _string_or_list, custom_error_type="content_type", custom_error_message="must be a string or an array"
)
Content = Annotated[
    Annotated[str, Tag("$text")] | Annotated[list[ContentPart], Tag("$list")],
    _STRING_OR_LIST,
]


class MessageItem(Open):
    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: Content
    phase: Literal["commentary", "final_answer"] | None = None


class CallItem(Open):
    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str


class ResultItem(Open):
    type: Literal["function_call_output"]
    call_id: str
    output: Content


class ThoughtText(Open):
    text: str


class ReasoningItem(Open):
    type: Literal["reasoning"]
    id: str | None = None
    summary: list[ThoughtText] = Field(default_factory=list)
    content: list[ThoughtText] | None = None
    encrypted_content: str | None = None


class CompactionItem(Open):
    type: Literal["compaction"]
    id: str | None = None
    encrypted_content: str


class ReferenceItem(Open):
    type: Literal["item_reference"] | None = None
    id: str


class OtherItem(Open):
    """An item of a tool that only its own provider runs."""

    type: str


_ITEM_TAGS = frozenset(
    {"message", "function_call", "function_call_output", "reasoning", "compaction", "item_reference"}
)


def _item_tag(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    kind = value.get("type")
    if kind is None:
        return "$message" if "role" in value else "$item_reference" if "id" in value else None
    return None if not isinstance(kind, str) else f"${kind}" if kind in _ITEM_TAGS else "$other"


Item = Annotated[
    Annotated[MessageItem, Tag("$message")]
    | Annotated[CallItem, Tag("$function_call")]
    | Annotated[ResultItem, Tag("$function_call_output")]
    | Annotated[ReasoningItem, Tag("$reasoning")]
    | Annotated[CompactionItem, Tag("$compaction")]
    | Annotated[ReferenceItem, Tag("$item_reference")]
    | Annotated[OtherItem, Tag("$other")],
    Discriminator(_item_tag, custom_error_type="item_type", custom_error_message="must be an item with a type or role"),
]
Input = Annotated[
    Annotated[str, Tag("$text")] | Annotated[list[Item], Tag("$list")],
    _STRING_OR_LIST,
]


class ItemsBody(Open):
    """Items alone, as they are stored."""

    input: list[Item]


class FunctionTool(Open):
    type: Literal["function"]
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class OtherTool(Open):
    """A tool that only its own provider runs."""

    type: str


def _tool_tag(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else None
    return "$function" if kind == "function" else "$other" if isinstance(kind, str) else None


ToolBody = Annotated[
    Annotated[FunctionTool, Tag("$function")] | Annotated[OtherTool, Tag("$other")],
    Discriminator(_tool_tag, custom_error_type="tool_type", custom_error_message="must be a tool with a type"),
]


class NamedChoice(Open):
    type: Literal["function"]
    name: str


class AllowedChoice(Open):
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"] = "auto"
    tools: list[NamedChoice] = Field(min_length=1)


class OtherChoice(Open):
    """A tool that only its own provider runs."""

    type: str


def _choice_tag(value: Any) -> str | None:
    if isinstance(value, str):
        return "$word"
    kind = value.get("type") if isinstance(value, dict) else None
    return f"${kind}" if kind in ("function", "allowed_tools") else "$other" if isinstance(kind, str) else None


ToolChoiceBody = Annotated[
    Annotated[Literal["auto", "none", "required"], Tag("$word")]
    | Annotated[NamedChoice, Tag("$function")]
    | Annotated[AllowedChoice, Tag("$allowed_tools")]
    | Annotated[OtherChoice, Tag("$other")],
    Discriminator(_choice_tag, custom_error_type="tool_choice", custom_error_message="must be a word or a function"),
]


class PlainFormat(Open):
    type: Literal["text", "json_object"]


class SchemaFormat(Open):
    type: Literal["json_schema"]
    name: str
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None
    description: str | None = None


FormatBody = Annotated[
    Annotated[PlainFormat, Tag("$text")]
    | Annotated[PlainFormat, Tag("$json_object")]
    | Annotated[SchemaFormat, Tag("$json_schema")],
    by_type("a format of type text, json_object or json_schema"),
]


class TextBody(Open):
    format: FormatBody | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningBody(Open):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None


Stop = Annotated[
    Annotated[str, Tag("$text")] | Annotated[list[str], Tag("$list")],
    _STRING_OR_LIST,
]


class ResponsesBody(Routed):
    """The request body; a null means the same as a missing key."""

    model: str = Field(min_length=1)
    input: Input | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    tools: list[ToolBody] | None = None
    tool_choice: ToolChoiceBody | None = None
    parallel_tool_calls: bool | None = None
    text: TextBody | None = None
    reasoning: ReasoningBody | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    include: list[str] | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    max_tool_calls: int | None = Field(default=None, ge=1)
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    # Features of the vendor's service that are refused when used.
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None
    moderation: Any = None
    # Open Responses.
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    # Our own: what the dialect has no words for.
    top_k: int | None = Field(default=None, ge=0)
    min_p: float | None = Field(default=None, ge=0, le=1)
    stop: Stop | None = None
    seed: int | None = None
    repetition_penalty: float | None = Field(default=None, gt=0)
    n: int | None = None
