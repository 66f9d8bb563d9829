"""The response object: its 31 keys, which every strict reader wants to see, null or not."""

from __future__ import annotations

from typing import Any

from osaurus_nb import request as ask
from osaurus_nb.errors import OsaurusError, ProviderError, RateLimited, RequestError, StreamCut
from osaurus_nb.events import FinishReason
from osaurus_nb.request import ChatRequest
from osaurus_nb.wire._opaque import AS_SENT, own
from osaurus_nb.wire.openai_responses._names import DIALECT

#: Status, and why an answer is incomplete. Where nobody said why it ended, neither do we.
STATUS: dict[FinishReason, tuple[str, str | None]] = {
    "stop": ("completed", None),
    "tool_calls": ("completed", None),
    "length": ("incomplete", "max_output_tokens"),
    "content_filter": ("incomplete", "content_filter"),
    "unknown": ("incomplete", None),
}


def resource(request: ChatRequest, *, id: str, created: int) -> dict[str, Any]:
    """A response in progress. What the caller left open has the dialect's default."""
    sampling, extra = request.sampling, request.extra
    return {
        "id": f"resp_{id}",
        "object": "response",
        "created_at": created,
        "completed_at": None,
        "status": "in_progress",
        "incomplete_details": None,
        "model": request.model,
        "previous_response_id": extra.get("previous_response_id"),
        "instructions": _instructions(request),
        "output": [],
        "error": None,
        "tools": [_tool(tool) for tool in request.tools],
        "tool_choice": write_tool_choice(request.tool_choice or "auto"),
        "truncation": own(request.provider_metadata, DIALECT).get("truncation", "disabled"),
        "parallel_tool_calls": _or(request.parallel_tool_calls, True),
        "text": {"format": write_format(request.response_format or ask.ResponseFormat())} | _verbosity(request),
        "top_p": _or(sampling.top_p, 1.0),
        "presence_penalty": _or(sampling.presence_penalty, 0.0),
        "frequency_penalty": _or(sampling.frequency_penalty, 0.0),
        "top_logprobs": _or(sampling.top_logprobs, 0),
        "temperature": _or(sampling.temperature, 1.0),
        "reasoning": {"effort": request.reasoning_effort, "summary": _as_sent(request, "reasoning").get("summary")},
        "usage": None,
        "max_output_tokens": sampling.max_output_tokens,
        "max_tool_calls": own(own(request.provider_metadata, DIALECT), AS_SENT).get("max_tool_calls"),
        "store": _or(extra.get("store"), True),
        "background": False,
        "service_tier": "default",
        "metadata": extra.get("metadata") or {},
        "safety_identifier": extra.get("safety_identifier"),
        "prompt_cache_key": extra.get("prompt_cache_key"),
    }


def write_tool_choice(choice: ask.ToolChoice) -> str | dict[str, Any]:
    return {"type": "function", "name": choice.name} if isinstance(choice, ask.NamedTool) else choice


def write_format(spec: ask.ResponseFormat) -> dict[str, Any]:
    if spec.kind != "json_schema":
        return {"type": spec.kind}
    return {
        "type": "json_schema",
        "name": spec.name or "answer",
        "description": spec.description,
        "schema": dict(spec.schema or {}),
        "strict": bool(spec.strict),
    }


def write_failure(error: OsaurusError) -> dict[str, Any]:
    """The error of a failed response. Its codes are a closed list of the vendor's; ours stands in `type`."""
    cause = error.cause if isinstance(error, StreamCut) else error
    code = "server_error"
    if isinstance(cause, RateLimited):
        code = "rate_limit_exceeded"
    elif isinstance(cause, RequestError) or (isinstance(cause, ProviderError) and cause.status == 400):
        code = "invalid_prompt"
    return {"code": code, "message": error.message, "param": error.param, "type": error.code}


def _instructions(request: ChatRequest) -> str | None:
    """The system message that opens the conversation, wherever it came from."""
    first = request.messages[0] if request.messages else None
    return first.text if first is not None and first.role == "system" else None


def _tool(tool: ask.Tool) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description or None,
        "parameters": dict(tool.parameters),
        "strict": tool.strict,
    }


def _verbosity(request: ChatRequest) -> dict[str, Any]:
    verbosity = request.extra.get("verbosity")
    return {"verbosity": verbosity} if verbosity else {}


def _as_sent(request: ChatRequest, name: str) -> dict[str, Any]:
    return own(own(own(request.provider_metadata, DIALECT), AS_SENT), name)


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value
