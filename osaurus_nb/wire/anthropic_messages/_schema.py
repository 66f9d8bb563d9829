"""What a Messages body must look like. Strict about types, open to keys we do not know."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from osaurus_nb.wire._inbound import Open, Routed, by_type


class Base64Source(Open):
    type: Literal["base64"]
    media_type: str
    data: str


class UrlSource(Open):
    type: Literal["url"]
    url: str


class TextSource(Open):
    type: Literal["text"]
    media_type: str = "text/plain"
    data: str


class FileSource(Open):
    type: Literal["file"]
    file_id: str


class TextBlock(Open):
    type: Literal["text"]
    text: str


ImageSource = Annotated[
    Annotated[Base64Source, Tag("$base64")] | Annotated[UrlSource, Tag("$url")] | Annotated[FileSource, Tag("$file")],
    by_type("a source of type base64 or url"),
]


class ImageBlock(Open):
    type: Literal["image"]
    source: ImageSource


SourceContent = Annotated[
    Annotated[TextBlock, Tag("$text")] | Annotated[ImageBlock, Tag("$image")], by_type("a block of type text or image")
]


def _content_tag(value: Any) -> str | None:
    return "$text" if isinstance(value, str) else "$blocks" if isinstance(value, list) else None


_STRING_OR_LIST = Discriminator(
    _content_tag, custom_error_type="content_type", custom_error_message="must be a string or an array"
)


class ContentSource(Open):
    type: Literal["content"]
    content: Annotated[Annotated[str, Tag("$text")] | Annotated[list[SourceContent], Tag("$blocks")], _STRING_OR_LIST]


DocumentSource = Annotated[
    Annotated[Base64Source, Tag("$base64")]
    | Annotated[UrlSource, Tag("$url")]
    | Annotated[TextSource, Tag("$text")]
    | Annotated[ContentSource, Tag("$content")]
    | Annotated[FileSource, Tag("$file")],
    by_type("a source of type base64, url, text or content"),
]


class DocumentBlock(Open):
    type: Literal["document"]
    source: DocumentSource
    title: str | None = None


class SearchResultBlock(Open):
    type: Literal["search_result"]
    source: str
    title: str
    content: list[TextBlock]


class ThinkingBlock(Open):
    type: Literal["thinking"]
    thinking: str
    signature: str = ""


class RedactedBlock(Open):
    type: Literal["redacted_thinking"]
    data: str


class ToolUseBlock(Open):
    type: Literal["tool_use"]
    id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    input: dict[str, Any]


#: Blocks of tools that Anthropic runs on its own machines, and handles to what is stored there.
SERVER_BLOCKS = frozenset(
    {
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "tool_reference",
        "browser_state",
        "mcp_tool_use",
        "mcp_tool_result",
        "container_upload",
        "compaction",
        "fallback",
    }
)


class ServerBlock(Open):
    """Read so that it can be refused by its name."""

    type: str


def _block_tag(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return None if not isinstance(kind, str) else "$server" if kind in SERVER_BLOCKS else f"${kind}"


ResultBlock = Annotated[
    Annotated[TextBlock, Tag("$text")]
    | Annotated[ImageBlock, Tag("$image")]
    | Annotated[DocumentBlock, Tag("$document")]
    | Annotated[SearchResultBlock, Tag("$search_result")]
    | Annotated[ServerBlock, Tag("$server")],
    Discriminator(
        _block_tag,
        custom_error_type="type_unknown",
        custom_error_message="must be a block of type text, image, document or search_result",
    ),
]


class ToolResultBlock(Open):
    type: Literal["tool_result"]
    tool_use_id: str = Field(min_length=1)
    content: (
        Annotated[Annotated[str, Tag("$text")] | Annotated[list[ResultBlock], Tag("$blocks")], _STRING_OR_LIST] | None
    ) = None
    is_error: bool | None = None


Block = Annotated[
    Annotated[TextBlock, Tag("$text")]
    | Annotated[ImageBlock, Tag("$image")]
    | Annotated[DocumentBlock, Tag("$document")]
    | Annotated[SearchResultBlock, Tag("$search_result")]
    | Annotated[ThinkingBlock, Tag("$thinking")]
    | Annotated[RedactedBlock, Tag("$redacted_thinking")]
    | Annotated[ToolUseBlock, Tag("$tool_use")]
    | Annotated[ToolResultBlock, Tag("$tool_result")]
    | Annotated[ServerBlock, Tag("$server")],
    Discriminator(
        _block_tag,
        custom_error_type="type_unknown",
        custom_error_message="must be a block of type text, image, document, search_result, thinking, "
        "redacted_thinking, tool_use or tool_result",
    ),
]
Content = Annotated[Annotated[str, Tag("$text")] | Annotated[list[Block], Tag("$blocks")], _STRING_OR_LIST]
System = Annotated[Annotated[str, Tag("$text")] | Annotated[list[TextBlock], Tag("$blocks")], _STRING_OR_LIST]


class MessageBody(Open):
    role: Literal["user", "assistant", "system"]
    content: Content


class ToolBody(Open):
    """A tool of the caller's own has no type or `custom`; all others run at Anthropic's or have its schemas."""

    name: str = Field(min_length=1)
    type: Literal["custom"] | None = None
    description: str | None = None
    input_schema: dict[str, Any]
    strict: bool | None = None


class ServerTool(Open):
    type: str


def _tool_tag(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    return "$custom" if value.get("type") in (None, "custom") else "$server"


AnyTool = Annotated[
    Annotated[ToolBody, Tag("$custom")] | Annotated[ServerTool, Tag("$server")],
    Discriminator(_tool_tag, custom_error_type="tool_type", custom_error_message="must be an object"),
]


class ToolChoiceBody(Open):
    type: Literal["auto", "none", "any", "tool"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class FormatBody(Open):
    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(Open):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: FormatBody | None = None


class ThinkingBody(Open):
    type: Literal["adaptive", "enabled", "disabled", "between_tools"]
    budget_tokens: int | None = Field(default=None, ge=1024)
    display: Literal["summarized", "omitted"] | None = None


class CountBody(Routed):
    """A request whose tokens are counted: all of a question but the length of its answer."""

    model: str = Field(min_length=1)
    messages: list[MessageBody] = Field(min_length=1)
    system: System | None = None
    tools: list[AnyTool] | None = None
    tool_choice: ToolChoiceBody | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = Field(default=None, ge=0, le=1)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    thinking: ThinkingBody | None = None
    output_config: OutputConfig | None = None
    stream: bool | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    # Only Anthropic understands these; they go back to it as they came.
    metadata: dict[str, Any] | None = None
    cache_control: dict[str, Any] | None = None
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None
    diagnostics: dict[str, Any] | None = None
    context_management: dict[str, Any] | None = None
    user_profile_id: str | None = None
    workspace_id: str | None = None
    billing_policy: Any = None
    fallback_credit_token: Any = None
    # State and tools on Anthropic's own machines.
    container: Any = None
    mcp_servers: list[Any] | None = None
    thread: dict[str, Any] | None = None
    compaction: dict[str, Any] | None = None
    # Keys of ours. The vendor has fallbacks too, but not as a list of names.
    fallbacks: Any = None


class MessagesBody(CountBody):
    """The request body; a null means the same as a missing key."""

    max_tokens: int = Field(ge=1)
