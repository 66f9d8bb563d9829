"""What a generateContent body must look like. Strict about types, open to keys that we do not know.

Keys are camelCase; the vendor's servers accept snake_case too, and so do we.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from osaurus_nb.wire._inbound import Open, Routed


class _Camel(Open):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


class Blob(_Camel):
    mime_type: str | None = None
    data: str
    display_name: str | None = None


class FileData(_Camel):
    mime_type: str | None = None
    file_uri: str
    display_name: str | None = None


class FunctionCall(_Camel):
    id: str | None = None
    name: str = Field(min_length=1)
    args: dict[str, Any] | None = None


class ResponsePart(_Camel):
    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(_Camel):
    id: str | None = None
    name: str = Field(min_length=1)
    response: dict[str, Any] | None = None
    parts: list[ResponsePart] | None = None


class PartBody(_Camel):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    executable_code: Any = None
    code_execution_result: Any = None
    tool_call: Any = None
    tool_response: Any = None


class Content(_Camel):
    role: Literal["user", "model", "function", "tool"] | None = None
    parts: list[PartBody] | None = None


class SystemContent(_Camel):
    role: str | None = None
    parts: list[PartBody] | None = None


class FunctionDeclaration(_Camel):
    name: str = Field(min_length=1)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    parameters_json_schema: dict[str, Any] | None = None


class ToolBody(_Camel):
    function_declarations: list[FunctionDeclaration] | None = None


class FunctionCallingConfig(_Camel):
    mode: Literal["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"] | None = None
    allowed_function_names: list[str] | None = None


class ToolConfig(_Camel):
    function_calling_config: FunctionCallingConfig | None = None


class ThinkingConfig(_Camel):
    include_thoughts: bool | None = None
    thinking_budget: int | None = Field(default=None, ge=-1)
    thinking_level: str | None = None


class GenerationConfig(_Camel):
    max_output_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: float | None = Field(default=None, ge=0)  # the SDK sends 40.0
    stop_sequences: list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    candidate_count: int | None = Field(default=None, ge=1, le=16)
    response_logprobs: bool | None = None
    logprobs: int | None = Field(default=None, ge=0, le=20)
    response_mime_type: str | None = None
    response_schema: dict[str, Any] | None = None
    response_json_schema: dict[str, Any] | None = None
    response_modalities: list[str] | None = None
    thinking_config: ThinkingConfig | None = None


class GenerateBody(_Camel, Routed):
    """The request body; a null means the same as a missing key."""

    model: str | None = None
    contents: list[Content] = Field(min_length=1)
    system_instruction: SystemContent | None = None
    tools: list[ToolBody] | None = None
    tool_config: ToolConfig | None = None
    generation_config: GenerationConfig | None = None
    safety_settings: list[dict[str, Any]] | None = None
    cached_content: str | None = None
    labels: dict[str, str] | None = None
    service_tier: str | None = None


class CountBody(_Camel):
    """A body of countTokens: the contents alone, or a whole request."""

    contents: list[Content] | None = Field(default=None, min_length=1)
    generate_content_request: GenerateBody | None = None
